//! One worker: its processes, sessions and models.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::file_loads::FileLoads;
use super::residency::{Listed, Residency, TooMany};
use super::session::Session;
use super::settings::MAX_MODELS_PER_PROCESS;
use crate::interpret::Id;
use crate::metrics::Metrics;
use crate::record::{ConnectionId, Tgid};

/// A worker: every watched process of one name.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: Id,
    pub(super) adapter: String,
    pub(super) processes: BTreeMap<Tgid, Residency>,
    pub(super) loads: FileLoads,
    /// Models that a list or a request named.
    named: BTreeSet<Id>,
    /// Sessions that were started, or that an open stream names.
    pub(super) sessions: HashMap<Id, Session>,
    /// Started sessions by the connection that started them.
    pub(super) by_connection: HashMap<ConnectionId, BTreeSet<Id>>,
    /// Sessions started and not ended.
    pub(super) started: u64,
    /// Streams that count as sessions of their own.
    pub(super) anonymous: u64,
    /// Streams with text and no frame yet.
    pub(super) queue: u64,
    /// Streams open.
    pub(super) streams: u64,
}

impl Worker {
    pub(super) fn new(name: Id, adapter: String) -> Self {
        Self {
            name,
            adapter,
            processes: BTreeMap::new(),
            loads: FileLoads::default(),
            named: BTreeSet::new(),
            sessions: HashMap::new(),
            by_connection: HashMap::new(),
            started: 0,
            anonymous: 0,
            queue: 0,
            streams: 0,
        }
    }

    /// Label `adapter_type` may become known late: the old series leaves.
    pub(super) fn set_adapter(&mut self, adapter: &str, metrics: &Metrics) {
        if self.adapter != adapter {
            metrics
                .worker
                .sessions_active
                .remove(&[self.name.as_str(), &self.adapter]);
            adapter.clone_into(&mut self.adapter);
        }
    }

    /// Writes `worker_sessions_active`.
    pub(super) fn publish_sessions(&self, metrics: &Metrics) {
        metrics
            .worker
            .sessions_active
            .with(&[self.name.as_str(), &self.adapter])
            .set((self.started + self.anonymous) as f64);
    }

    /// Writes `worker_inference_queue_depth`.
    pub(super) fn publish_queue(&self, metrics: &Metrics) {
        metrics
            .worker
            .inference_queue_depth
            .with(&[self.name.as_str()])
            .set(self.queue as f64);
    }

    /// Writes `worker_model_manager_resident_count`, or removes it when unknown.
    pub(super) fn publish_models(&self, metrics: &Metrics) {
        let family = &metrics.worker.model_resident;
        match self.resident() {
            Some(count) => family.with(&[self.name.as_str()]).set(count as f64),
            None => family.remove(&[self.name.as_str()]),
        }
    }

    /// A list or a request named models.
    pub(super) fn name_models(&mut self, models: &[Id]) {
        for model in models {
            if self.named.len() < MAX_MODELS_PER_PROCESS {
                self.named.insert(model.clone());
            }
        }
    }

    /// Whether a list or a request ever named a model. Beyond the bound nobody knows: then it counts
    /// as named.
    pub(super) fn is_named(&self, model: &Id) -> bool {
        self.named.len() >= MAX_MODELS_PER_PROCESS || self.named.contains(model)
    }

    /// Files tell that one of its processes loaded a model. The one that lists models holds it: of a
    /// process that speaks for others, they are the helpers.
    pub(super) fn load_from_files(&mut self, loader: Tgid, model: &Id) -> Result<(), TooMany> {
        let speaks = |tgid: &Tgid| self.processes.get(tgid).is_some_and(Residency::is_heard);
        let speaker = self.processes.keys().copied().find(speaks);
        let holder = speaker.filter(|_| !speaks(&loader)).unwrap_or(loader);
        let residency = self.processes.entry(holder).or_default();
        residency.load_unheard(model)
    }

    /// One of its processes listed the models it holds, and thereby those that files told of helpers.
    pub(super) fn list(
        &mut self,
        process: Tgid,
        resident: &[Id],
        cap: Option<u32>,
    ) -> Result<Listed, TooMany> {
        let mut told = Vec::new();
        for (_, helper) in self.processes.iter_mut().filter(|(it, _)| **it != process) {
            if !helper.is_heard() {
                told.extend(std::mem::take(helper).into_models());
            }
        }
        let residency = self.processes.entry(process).or_default();
        for model in told {
            residency.load_unheard(&model)?;
        }
        residency.list(resident, cap)
    }

    /// Models resident in its processes, those that said nothing left out; `None` when none said
    /// anything, or one said what could not be read.
    pub(super) fn resident(&self) -> Option<usize> {
        if self.processes.values().any(Residency::is_uncertain) {
            return None;
        }
        self.processes
            .values()
            .filter_map(Residency::count)
            .reduce(|sum, count| sum + count)
    }
}

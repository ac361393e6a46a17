//! In which pods the watched processes run, as a metric to join others with.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Instant,
};

use probe_core::record::{Role, Tgid};
use prometheus::{GaugeVec, Opts, Registry};

use crate::{
    discover::{ContainerId, Pods, ProcessFacts},
    ingest::Tracker,
};

/// Most series at a time.
const MAX_SERIES: usize = 1024;

/// A series' label values: role, worker, namespace, pod, container, container id.
type Labels = [String; 6];

/// `voxprobe_container_info`.
pub(super) struct ContainerInfo {
    gauge: GaugeVec,
    pods: Pods,
    /// The container of each watched process, with the process's start in clock ticks since boot.
    containers: BTreeMap<(Tgid, u64), Option<ContainerId>>,
    exported: BTreeSet<Labels>,
}

impl ContainerInfo {
    /// Makes and registers it.
    ///
    /// # Panics
    /// When its name is taken: it is constant, and a test registers it.
    pub(super) fn register(registry: &Registry, logs: PathBuf) -> Self {
        Self::build(registry, logs).expect("the metric is constant, and a test registers it")
    }

    fn build(registry: &Registry, logs: PathBuf) -> prometheus::Result<Self> {
        let gauge = GaugeVec::new(
            Opts::new(
                "voxprobe_container_info",
                "Containers of Kubernetes in which watched processes run; always 1. Label worker is \
                 empty for processes that are no workers.",
            ),
            &[
                "role",
                "worker",
                "namespace",
                "pod",
                "container",
                "container_id",
            ],
        )?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self {
            gauge,
            pods: Pods::new(logs),
            containers: BTreeMap::new(),
            exported: BTreeSet::new(),
        })
    }

    /// Brings the series up to date with the watched processes.
    pub(super) fn update(&mut self, tracker: &Tracker) {
        let now = Instant::now();
        let watched: Vec<_> = tracker.started_processes().collect();
        let living: BTreeSet<_> = watched
            .iter()
            .map(|(process, start)| (process.tgid, *start))
            .collect();
        self.containers.retain(|key, _| living.contains(key));
        let mut wanted = BTreeSet::new();
        for (process, start) in watched {
            let container = self
                .containers
                .entry((process.tgid, start))
                .or_insert_with(|| container_of(process.tgid));
            let Some(id) = container else {
                continue;
            };
            let worker = match process.role {
                Role::Worker => process.name.clone(),
                Role::Orchestrator | Role::Redis => String::new(),
            };
            if let Some(place) = self.pods.find(id, now)
                && wanted.len() < MAX_SERIES
            {
                wanted.insert([
                    process.role.as_str().to_owned(),
                    worker,
                    place.namespace.clone(),
                    place.pod.clone(),
                    place.container.clone(),
                    id.to_string(),
                ]);
            }
        }
        for gone in self.exported.difference(&wanted) {
            // It was exported, so it is there.
            let _removed = self.gauge.remove_label_values(&each(gone));
        }
        for labels in &wanted {
            self.gauge.with_label_values(&each(labels)).set(1.0);
        }
        self.exported = wanted;
    }
}

fn container_of(tgid: Tgid) -> Option<ContainerId> {
    ContainerId::of_cgroup(&ProcessFacts::read(tgid.0)?.cgroup())
}

fn each(labels: &Labels) -> [&str; 6] {
    labels.each_ref().map(String::as_str)
}

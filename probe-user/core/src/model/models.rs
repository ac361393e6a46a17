//! Models of all workers: loads, unloads, evictions and how many are resident.

use super::Model;
use crate::flow::CallId;
use crate::interpret::{Id, LoadDuration};
use crate::metrics::{Measure, SkipReason, UNKNOWN};
use crate::record::{KtimeNs, Tgid};

/// A `LoadModel` that succeeded.
pub(super) struct Loaded<'a> {
    pub(super) process: Tgid,
    pub(super) call: CallId,
    pub(super) model: Option<&'a Id>,
    /// When the request arrived.
    pub(super) received: Option<KtimeNs>,
    pub(super) duration: LoadDuration,
    /// When the response left.
    pub(super) at: KtimeNs,
}

impl Model {
    /// A `LoadModel` succeeded. It claims the load that files told meanwhile; one for a model that
    /// files know to be there, during which nothing was read and of which the worker says no
    /// duration, loaded nothing.
    pub(super) fn load_model(&mut self, worker: &Id, loaded: &Loaded<'_>) {
        self.end_model_request(loaded.process, loaded.call);
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let told = state.loads.claim(loaded.model, loaded.received);
        let model = told.as_ref().map(|told| &told.model).or(loaded.model);
        let there = model.is_some_and(|model| state.loads.is_known(model)) && told.is_none();
        if there && loaded.duration == LoadDuration::Unsaid {
            return;
        }
        state.name_models(model.map(std::slice::from_ref).unwrap_or_default());
        let resident = state.processes.entry(loaded.process).or_default();
        let kept = resident.load(model);
        state.publish_models(&self.metrics);
        if kept.is_err() {
            self.refuse("model");
        }
        self.count_load(worker, model);
        let call_ms = loaded.received.map(|received| loaded.at.ms_since(received));
        let files_ms = told.as_ref().map(|told| told.ended.ms_since(told.begun));
        let (load_ms, reason) = match loaded.duration {
            LoadDuration::Said(ms) => (Some(ms as f64), SkipReason::Lost),
            LoadDuration::Unsaid => (files_ms.or(call_ms), SkipReason::Lost),
            LoadDuration::Unknown => (files_ms, SkipReason::Unreadable),
        };
        match load_ms {
            Some(ms) => self.observe_load_duration(worker, model, ms),
            None => self.metrics.probe.skip(Measure::LoadDuration, reason),
        }
        let warmup_ms = match (&told, loaded.duration, call_ms) {
            // The worker's own duration has whole milliseconds, and ends later where it also holds what
            // follows the last read.
            (Some(told), LoadDuration::Said(ms), _) => {
                let of_files = loaded.at.ms_since(told.ended);
                let of_worker = loaded.at.ms_since(told.begun) - ms as f64;
                Some(of_files.min(of_worker).max(0.0))
            }
            (Some(told), _, _) => Some(loaded.at.ms_since(told.ended)),
            (None, LoadDuration::Said(ms), Some(call_ms)) => Some((call_ms - ms as f64).max(0.0)),
            (None, _, _) => None,
        };
        if let Some(ms) = warmup_ms {
            self.observe_warmup(worker, model, ms);
        }
        // This was the first answer.
        if let (Some(told), Some(state)) = (told, self.workers.get_mut(worker)) {
            state.loads.take_wait(&told.model, None);
        }
    }

    pub(super) fn unload_model(&mut self, worker: &Id, process: Tgid, model: Option<&Id>) {
        self.count_unload(worker, label(model), "manual");
        if let Some(state) = self.workers.get_mut(worker) {
            state.processes.entry(process).or_default().unload(model);
            if let Some(model) = model {
                state.loads.forget(model);
            }
            state.publish_models(&self.metrics);
        }
    }

    /// The worker listed its resident models. One that was there and is no longer was evicted: for
    /// room when the models before and after together are over the cap, by age otherwise.
    pub(super) fn list_models(&mut self, worker: &Id, process: Tgid, resident: &[Id]) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let listed = state.list(process, resident, self.settings.resident_cap);
        state.publish_models(&self.metrics);
        let Ok((vanished, over_cap)) = listed else {
            self.refuse("model");
            self.metrics
                .probe
                .skip(Measure::ModelList, SkipReason::Unreadable);
            return;
        };
        for model in &vanished {
            state.loads.forget(model);
        }
        // What no list and no request ever named is not for the model manager to evict: a vocoder, a
        // tokenizer's network.
        let vanished: Vec<Id> = vanished
            .into_iter()
            .filter(|model| state.is_named(model))
            .collect();
        state.name_models(resident);
        let reason = match over_cap {
            Some(true) => "lru_eviction",
            Some(false) => "ttl_eviction",
            None => UNKNOWN,
        };
        for model in vanished {
            self.count_unload(worker, model.as_str(), reason);
        }
    }

    pub(super) fn count_load(&self, worker: &Id, model: Option<&Id>) {
        self.metrics
            .worker
            .model_loads
            .with(&[worker.as_str(), label(model)])
            .inc();
    }

    pub(super) fn count_unload(&self, worker: &Id, model: &str, reason: &str) {
        self.metrics
            .worker
            .model_unloads
            .with(&[worker.as_str(), model, reason])
            .inc();
    }

    pub(super) fn observe_load_duration(&self, worker: &Id, model: Option<&Id>, ms: f64) {
        self.metrics
            .worker
            .model_load_duration
            .with(&[worker.as_str(), label(model)])
            .observe(ms);
    }

    pub(super) fn observe_warmup(&self, worker: &Id, model: Option<&Id>, ms: f64) {
        self.metrics
            .worker
            .model_warmup_duration
            .with(&[worker.as_str(), label(model)])
            .observe(ms);
    }
}

fn label(model: Option<&Id>) -> &str {
    model.map_or(UNKNOWN, Id::as_str)
}

//! Models of all workers: loads, unloads, evictions and how many are resident.

use super::Model;
use crate::interpret::{Id, LoadDuration};
use crate::metrics::{Measure, SkipReason, UNKNOWN};
use crate::record::{KtimeNs, Tgid};

impl Model {
    pub(super) fn load_model(&mut self, worker: &Id, process: Tgid, model: Option<&Id>) {
        self.metrics
            .worker
            .model_loads
            .with(&[worker.as_str(), label(model)])
            .inc();
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let loaded = state.processes.entry(process).or_default().load(model);
        state.publish_models(&self.metrics);
        if loaded.is_err() {
            self.refuse("model");
        }
    }

    pub(super) fn observe_load(
        &self,
        worker: &Id,
        model: Option<&Id>,
        received: Option<KtimeNs>,
        duration: LoadDuration,
        at: KtimeNs,
    ) {
        let labels = [worker.as_str(), label(model)];
        let call_ms = received.map(|received| at.ms_since(received));
        let (load_ms, reason) = match duration {
            LoadDuration::Said(ms) => (Some(ms as f64), SkipReason::Lost),
            LoadDuration::Unsaid => (call_ms, SkipReason::Lost),
            LoadDuration::Unknown => (None, SkipReason::Unreadable),
        };
        match load_ms {
            Some(ms) => self
                .metrics
                .worker
                .model_load_duration
                .with(&labels)
                .observe(ms),
            None => self.metrics.probe.skip(Measure::LoadDuration, reason),
        }
        if let (LoadDuration::Said(ms), Some(call_ms)) = (duration, call_ms) {
            self.metrics
                .worker
                .model_warmup_duration
                .with(&labels)
                .observe((call_ms - ms as f64).max(0.0));
        }
    }

    pub(super) fn unload_model(&mut self, worker: &Id, process: Tgid, model: Option<&Id>) {
        self.count_unload(worker, label(model), "manual");
        if let Some(state) = self.workers.get_mut(worker) {
            state.processes.entry(process).or_default().unload(model);
            state.publish_models(&self.metrics);
        }
    }

    /// The worker listed its resident models. One that was there and is no longer was evicted: for
    /// room when the models before and after together are over the cap, by age otherwise.
    pub(super) fn list_models(&mut self, worker: &Id, process: Tgid, resident: &[Id]) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let listed = state
            .processes
            .entry(process)
            .or_default()
            .list(resident, self.settings.resident_cap);
        state.publish_models(&self.metrics);
        let Ok((vanished, over_cap)) = listed else {
            self.refuse("model");
            self.metrics
                .probe
                .skip(Measure::ModelList, SkipReason::Unreadable);
            return;
        };
        let reason = match over_cap {
            Some(true) => "lru_eviction",
            Some(false) => "ttl_eviction",
            None => UNKNOWN,
        };
        for model in vanished {
            self.count_unload(worker, model.as_str(), reason);
        }
    }

    fn count_unload(&self, worker: &Id, model: &str, reason: &str) {
        self.metrics
            .worker
            .model_unloads
            .with(&[worker.as_str(), model, reason])
            .inc();
    }
}

fn label(model: Option<&Id>) -> &str {
    model.map_or(UNKNOWN, Id::as_str)
}

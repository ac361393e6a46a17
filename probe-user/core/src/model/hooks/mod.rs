//! Library hooks: calls of hooked functions become counts, durations and edges, and with a preset
//! the guide's metrics of voice activity detection and speech recognition.
//!
//! Takes the hooks' descriptions and their calls; gives observations in [`Metrics`] and the starts
//! and ends of speech. An edge belongs to an instance: one process, one first argument. A result
//! that is an error says nothing about the instance and leaves its run as it is.

mod debounce;

use std::collections::{BTreeMap, HashMap};

use prometheus::IntCounter;

use crate::metrics::{Histogram, HookMetrics, Metrics, ProbeMetrics};
use crate::record::{
    Hook, HookCall, HookEvent, HookId, HookKind, HookMeaning, HookResult, KtimeNs, Role, Tgid,
};
use debounce::{Debouncer, Edge};

/// Hooks of one configuration. Each is a line of metrics; a voice system has a handful.
pub const MAX_HOOKS: usize = 64;

/// Instances whose results are followed at once, over all hooks: one for each session that listens.
/// At about 100 bytes each, 0.4 MB. The one without results for longest goes first.
pub const MAX_INSTANCES: usize = 4096;

/// What a voice activity detector found, debounced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Somebody began to speak.
    Started,
    /// They stopped.
    Ended,
}

/// Hooks and the instances they follow.
#[derive(Debug)]
pub struct HookModel {
    metrics: HookMetrics,
    probe: ProbeMetrics,
    hooks: BTreeMap<HookId, Followed>,
    instances: HashMap<Instance, Debouncer>,
}

/// One hook with its series at hand.
#[derive(Debug)]
struct Followed {
    hook: Hook,
    calls: IntCounter,
    duration: Histogram,
    errors: IntCounter,
    edges: [IntCounter; 2],
    guide: Guide,
}

/// Series of the guide's metrics that a hook feeds.
#[derive(Debug)]
enum Guide {
    None,
    Vad {
        events: [IntCounter; 2],
        detection: Histogram,
    },
    Asr {
        requests: IntCounter,
        latency: Histogram,
        timeouts: IntCounter,
        failures: IntCounter,
    },
}

/// What a function works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Instance {
    hook: HookId,
    tgid: Tgid,
    address: u64,
}

impl HookModel {
    /// A model that observes into `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.hooks.clone(),
            probe: metrics.probe.clone(),
            hooks: BTreeMap::new(),
            instances: HashMap::new(),
        }
    }

    /// A hook of the configuration. Where another one had its place, that one's instances are gone.
    pub fn handle_hook(&mut self, hook: &Hook) {
        if self.hooks.len() >= MAX_HOOKS && !self.hooks.contains_key(&hook.id) {
            self.probe.state_refused.with(&["hook"]).inc();
            return;
        }
        let followed = Followed::new(hook.clone(), &self.metrics);
        if self.hooks.insert(hook.id, followed).is_some() {
            self.instances
                .retain(|instance, _| instance.hook != hook.id);
        }
    }

    /// A call of a hooked function by a process of this part. Gives the start or end of speech that
    /// it settles.
    pub fn handle_call(&mut self, call: &HookCall, role: Role) -> Option<Speech> {
        let followed = self.hooks.get(&call.hook)?;
        if followed.hook.role.is_some_and(|wanted| wanted != role) {
            return None;
        }
        let instance = Instance {
            hook: call.hook,
            tgid: call.tgid,
            address: call.instance,
        };
        match call.event {
            HookEvent::Entered => {
                followed.calls.inc();
                None
            }
            HookEvent::Reset => {
                self.make_room(instance);
                let fresh = Debouncer::new(Some(false), call.exit);
                self.instances.insert(instance, fresh);
                None
            }
            HookEvent::Returned(value) => {
                let positive = followed.observe(call, value)?;
                let starts = (!followed.hook.sees_resets).then_some(false);
                self.make_room(instance);
                let followed = self.hooks.get(&call.hook)?;
                let edge = self
                    .instances
                    .entry(instance)
                    .or_insert_with(|| Debouncer::new(starts, call.exit))
                    .handle(positive, call.exit, &followed.hook.debounce)?;
                followed.observe_edge(edge, call.exit)
            }
        }
    }

    /// A watched process ended, and its instances with it.
    pub fn handle_process_ended(&mut self, tgid: Tgid) {
        self.instances.retain(|instance, _| instance.tgid != tgid);
    }

    /// Instances followed now.
    pub fn instances(&self) -> usize {
        self.instances.len()
    }

    /// Gives up the instance without results for longest where a new one has no place.
    fn make_room(&mut self, instance: Instance) {
        if self.instances.len() < MAX_INSTANCES || self.instances.contains_key(&instance) {
            return;
        }
        // By key where times are equal: every replay gives up the same one.
        let oldest = self.instances.iter().min_by_key(|(k, it)| (it.last(), **k));
        if let Some(oldest) = oldest.map(|(instance, _)| *instance) {
            self.instances.remove(&oldest);
            self.probe.state_refused.with(&["hook_instance"]).inc();
        }
    }
}

impl Followed {
    fn new(hook: Hook, metrics: &HookMetrics) -> Self {
        let name: &[&str] = &[&hook.name];
        let guide = match &hook.meaning {
            HookMeaning::Generic => Guide::None,
            HookMeaning::Vad => Guide::Vad {
                events: ["speech_start", "speech_end"]
                    .map(|event| metrics.vad_events.with(&[event])),
                detection: metrics.vad_detection_latency.with(&[]),
            },
            HookMeaning::Asr { model } => Guide::Asr {
                requests: metrics.asr_requests.with(&[model]),
                latency: metrics.asr_latency.with(&[model]),
                timeouts: metrics.asr_errors.with(&["timeout"]),
                failures: metrics.asr_errors.with(&["model_error"]),
            },
        };
        Self {
            calls: metrics.calls.with(name),
            duration: metrics.duration.with(name),
            errors: metrics.errors.with(name),
            edges: ["rising", "falling"].map(|edge| metrics.edges.with(&[&hook.name, edge])),
            guide,
            hook,
        }
    }

    /// Observes a call that returned; gives the result where edges are to be found in it.
    fn observe(&self, call: &HookCall, value: u64) -> Option<bool> {
        let result = self.hook.result(value);
        let took_ns = call.exit.since(call.enter);
        self.calls.inc();
        self.duration.observe(took_ns as f64 / 1e9);
        let is_error = matches!(result, HookResult::Timeout | HookResult::Failed);
        if is_error {
            self.errors.inc();
        }
        if let Guide::Asr {
            requests,
            latency,
            timeouts,
            failures,
        } = &self.guide
        {
            requests.inc();
            latency.observe(took_ns as f64 / 1e6);
            match result {
                HookResult::Timeout => timeouts.inc(),
                HookResult::Failed => failures.inc(),
                HookResult::Positive | HookResult::Negative => {}
            }
        }
        let has_edges = self.hook.kind == HookKind::Edge && !is_error;
        has_edges.then_some(result == HookResult::Positive)
    }

    fn observe_edge(&self, edge: Edge, at: KtimeNs) -> Option<Speech> {
        let [rising, falling] = &self.edges;
        match edge {
            Edge::Rising { .. } => rising.inc(),
            Edge::Falling => falling.inc(),
        }
        let Guide::Vad {
            events: [started, ended],
            detection,
        } = &self.guide
        else {
            return None;
        };
        Some(match edge {
            Edge::Rising { first } => {
                started.inc();
                detection.observe(at.ms_since(first));
                Speech::Started
            }
            Edge::Falling => {
                ended.inc();
                Speech::Ended
            }
        })
    }
}

#[cfg(test)]
mod tests;

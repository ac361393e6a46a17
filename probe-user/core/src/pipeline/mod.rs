//! The stages in order: records → streams → exchanges → events → model → metrics; and what the model
//! tells of what is over, to traces and notices.
//!
//! Takes [`Record`]s, live or from a capture; nothing else drives it. What a capture file should hold
//! is handed to a [`Tap`] as it is processed.

mod connection;
mod connections;
mod counters;
mod elide;
mod flow_sink;
mod named;
mod parser;
mod protocol;
mod registered;
mod stage;
mod told;
mod undetermined;

use std::{collections::VecDeque, sync::Arc};

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    diagnose::Diagnosis,
    flow::{Blocked, Exchange, InflaterBudget},
    interpret::{self, Interpreter},
    metrics::Metrics,
    model::{HookModel, Model, ModelSettings, OrchestratorModel, RedisModel},
    notice::Notices,
    profile::Profile,
    record::{
        ConnectionEnd, ConnectionId, Direction, Evidence, HookCall, KtimeNs, Process, Record, Role,
        Tgid, WebSocketEvent,
    },
    trace::Tracer,
    wire::resp::Registration,
};
use connection::Connection;
use counters::Counters;
pub use named::NamedCall;
use named::NamedCalls;
pub use registered::Registered;
use registered::Waiting;

/// Connections followed at once. The kernel side's map has as many.
pub const MAX_CONNECTIONS: usize = probe_abi::MAX_CONNECTIONS as usize;

/// Receives every record as it is processed, with the content of chunks left out that must not
/// leave the host: what a capture file holds.
pub trait Tap {
    /// One record.
    fn record(&mut self, record: &Record<'_>);
}

/// The tap for one more step.
fn reborrow<'a>(tap: &'a mut Option<&mut dyn Tap>) -> Option<&'a mut dyn Tap> {
    match tap {
        Some(tap) => Some(&mut **tap),
        None => None,
    }
}

/// Everything between the records and the metrics.
pub struct Pipeline {
    profile: Arc<Profile>,
    metrics: Metrics,
    counters: Counters,
    interpreter: Interpreter,
    model: Model,
    orchestrator: OrchestratorModel,
    redis: RedisModel,
    hooks: HookModel,
    diagnosis: Diagnosis,
    /// Connections that speak Redis came or went since the last tick.
    redis_changed: bool,
    processes: HashMap<Tgid, Process>,
    connections: HashMap<ConnectionId, Connection>,
    unwanted: VecDeque<ConnectionId>,
    registered: Waiting,
    events: Vec<interpret::Event>,
    blocked: Vec<Blocked>,
    exchanges: Vec<Exchange>,
    websocket: Vec<WebSocketEvent>,
    inflaters: InflaterBudget,
    #[cfg(test)]
    told: Vec<interpret::ClientEvent>,
    #[cfg(test)]
    heard: Vec<(Tgid, KtimeNs, crate::model::Speech)>,
    registrations: Vec<Registration>,
    /// Kept where somebody asks.
    named: Option<NamedCalls>,
    notices: Option<Notices>,
    tracer: Option<Tracer>,
}

impl Pipeline {
    /// An empty pipeline that observes into `metrics`.
    pub fn new(profile: Arc<Profile>, settings: ModelSettings, metrics: Metrics) -> Self {
        Self {
            interpreter: Interpreter::new(&profile),
            model: Model::new(settings, &metrics),
            orchestrator: OrchestratorModel::new(settings, &metrics),
            redis: RedisModel::new(&metrics),
            hooks: HookModel::new(&metrics),
            diagnosis: Diagnosis::new(&metrics),
            redis_changed: false,
            counters: Counters::new(&metrics),
            profile,
            metrics,
            processes: HashMap::new(),
            connections: HashMap::new(),
            unwanted: VecDeque::new(),
            registered: Waiting::default(),
            events: Vec::new(),
            blocked: Vec::new(),
            exchanges: Vec::new(),
            websocket: Vec::new(),
            inflaters: InflaterBudget::default(),
            #[cfg(test)]
            told: Vec::new(),
            #[cfg(test)]
            heard: Vec::new(),
            registrations: Vec::new(),
            named: None,
            notices: None,
            tracer: None,
        }
    }

    /// Goes by another profile and other settings from the next record on. A connection that is open is
    /// read by the profile with which it began: its calls refer to that one's methods.
    pub fn reconfigure(&mut self, profile: Arc<Profile>, settings: ModelSettings) {
        self.interpreter.reconfigure(&profile);
        self.model.reconfigure(settings);
        self.orchestrator.reconfigure(settings);
        if let Some(notices) = &mut self.notices {
            notices.set_objectives(settings.objectives);
        }
        self.profile = profile;
    }

    /// The state of the voice system.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Why frames were late.
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    /// The diagnosis, to be set up.
    pub fn diagnosis_mut(&mut self) -> &mut Diagnosis {
        &mut self.diagnosis
    }

    /// No record comes any more: late frames that wait for evidence are judged by what there is.
    pub fn finish(&mut self) {
        self.diagnosis.finish();
        if let Some(named) = &mut self.named {
            named.finish();
        }
        if let Some(tracer) = &mut self.tracer {
            tracer.finish();
        }
    }

    /// Keeps what each call was called from now on, until [`Self::take_named`] takes it.
    pub fn keep_named(&mut self) {
        self.named = Some(NamedCalls::default());
    }

    /// The calls that were over since this was last asked.
    pub fn take_named(&mut self) -> Vec<NamedCall> {
        self.named
            .as_mut()
            .map(NamedCalls::take)
            .unwrap_or_default()
    }

    /// What is exported.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A connection whose bytes nobody needs, told once.
    pub fn poll_unwanted(&mut self) -> Option<ConnectionId> {
        self.unwanted.pop_front()
    }

    /// A worker that was seen to register with Redis, told each time.
    pub fn poll_registered(&mut self) -> Option<Registered> {
        self.registered.poll()
    }

    /// Takes the next record.
    pub fn handle(&mut self, record: Record<'_>, tap: Option<&mut dyn Tap>) {
        let at = match &record {
            Record::Tick { at } => Some(*at),
            _ => None,
        };
        self.take(record, tap);
        self.tell_stories(at);
    }

    fn take(&mut self, record: Record<'_>, mut tap: Option<&mut dyn Tap>) {
        self.counters.record(&record);
        // Chunks, and gaps found between them, are told when their place in the stream is known.
        let record = match record {
            Record::Chunk(chunk) => return self.handle_chunk(chunk, tap),
            Record::WebSocket(event) => {
                if let Some(tap) = tap {
                    tap.record(&Record::WebSocket(event.clone()));
                }
                return self.handle_told(event);
            }
            record => record,
        };
        match &record {
            Record::Chunk(_) | Record::WebSocket(_) => {}
            Record::Gap(gap) => self.handle_gap(gap),
            Record::Opened(opened) => self.handle_opened(opened),
            Record::HalfClosed {
                connection,
                direction,
                at,
            } => {
                let tap = reborrow(&mut tap);
                if *direction == Direction::Received {
                    self.orchestrator.handle_connection_lost(*connection);
                }
                self.on_connection(*connection, tap, |connection, stage| {
                    connection.handle_half_closed(*direction, *at, stage);
                });
            }
            Record::Closed {
                connection,
                at,
                errno,
            } => {
                let end = match errno {
                    Some(_) => ConnectionEnd::Reset,
                    None => ConnectionEnd::LocallyClosed,
                };
                self.handle_closed(*connection, *at, end, reborrow(&mut tap));
            }
            Record::Process(process) => {
                self.model.handle_process(process);
                self.orchestrator.handle_process(process);
                self.diagnosis.handle_process(process);
                self.processes.insert(process.tgid, process.clone());
            }
            Record::ProcessEnded { tgid, at } => {
                self.handle_process_ended(*tgid, *at, reborrow(&mut tap));
            }
            Record::Gpus(sample) => {
                self.model.handle_gpus(sample);
                if let Some(notices) = &mut self.notices {
                    notices.handle_gpus(sample);
                }
                self.diagnosis.handle_gpus(sample);
            }
            Record::Evidence(evidence) => self.start_diagnosis(evidence),
            Record::Sched(sched) => self.diagnosis.handle_sched(sched),
            Record::CpuQuota(quota) => self.diagnosis.handle_quota(quota),
            Record::Tcp(reading) => self.diagnosis.handle_tcp(reading),
            Record::Refused { connection, at } => self.diagnosis.handle_refused(*connection, *at),
            Record::File(event) => self.model.handle_file(event),
            Record::Renamed { from, to, at } => self.handle_renamed(from, to, *at),
            Record::Tick { at } => self.handle_tick(*at, reborrow(&mut tap)),
            Record::Hook(hook) => self.hooks.handle_hook(hook),
            Record::HookCalled(call) => self.handle_hook_called(call),
        }
        // After what it set free: a replay must meet chunks that were held back before the end of
        // their connection, as this pipeline did.
        if let Some(tap) = tap {
            tap.record(&record);
        }
    }

    /// Late frames are found by this threshold; they have causes where scheduling is followed, or a
    /// report is wanted all the same.
    fn start_diagnosis(&mut self, evidence: &Evidence) {
        let diagnoses = self.diagnosis.is_wanted(evidence);
        self.model
            .collect_late_frames(evidence.late_threshold_ms, diagnoses);
        if diagnoses {
            self.diagnosis.start(evidence);
        }
    }

    fn handle_hook_called(&mut self, call: &HookCall) {
        let Some(process) = self.processes.get(&call.tgid) else {
            return;
        };
        if let Some(speech) = self.hooks.handle_call(call, process.role) {
            #[cfg(test)]
            self.heard.push((call.tgid, call.exit, speech));
            self.orchestrator
                .handle_speech(call.tgid, call.exit, speech);
        }
    }

    fn handle_process_ended(&mut self, tgid: Tgid, at: KtimeNs, mut tap: Option<&mut dyn Tap>) {
        // Its sessions end with it, not one by one with its connections.
        self.orchestrator.handle_process_ended(tgid, at);
        for id in self.select(|connection| connection.tgid() == tgid) {
            let end = ConnectionEnd::ProcessEnded;
            self.handle_closed(id, at, end, reborrow(&mut tap));
        }
        self.processes.remove(&tgid);
        self.hooks.handle_process_ended(tgid);
        // Before its series leave.
        self.diagnosis.handle_process_ended(tgid);
        self.model.handle_process_ended(tgid, at);
    }

    fn handle_renamed(&mut self, from: &str, to: &str, at: KtimeNs) {
        self.diagnosis.handle_renamed(from, to);
        for process in self.processes.values_mut() {
            if process.role != Role::Worker || process.name != from {
                continue;
            }
            to.clone_into(&mut process.name);
        }
        self.model.handle_renamed(from, to, at);
        self.orchestrator.handle_renamed(from, to);
    }

    fn handle_tick(&mut self, at: KtimeNs, mut tap: Option<&mut dyn Tap>) {
        for id in self.select(Connection::is_waiting) {
            self.on_connection(id, reborrow(&mut tap), |connection, stage| {
                connection.handle_time(at, stage);
            });
        }
        self.model.handle_tick(at);
        self.orchestrator.handle_tick(at);
        self.diagnosis.handle_tick(at);
        if std::mem::take(&mut self.redis_changed) {
            let counted = self.connections.values().filter(|it| self.counts(it));
            self.redis.set_active(counted.count());
        }
        self.counters.interpreted(&self.interpreter.counts());
    }
}

#[cfg(test)]
mod hook_tests;
#[cfg(test)]
mod orchestrator_tests;
#[cfg(test)]
mod redis_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod websocket_tests;

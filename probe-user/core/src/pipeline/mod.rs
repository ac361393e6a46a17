//! The stages in order: records → streams → exchanges → events → model → metrics.
//!
//! Takes [`Record`]s, live or from a capture; nothing else drives it. What a capture file should hold
//! is handed to a [`Tap`] as it is processed.

mod connection;
mod counters;
mod elide;
mod flow_sink;
mod parser;
mod protocol;
mod registered;
mod undetermined;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    diagnose::Diagnosis,
    flow::{Exchange, InflaterBudget},
    interpret::{self, ClientEvent, Interpreter, client_event},
    metrics::Metrics,
    model::{HookModel, Model, ModelSettings, OrchestratorModel, RedisModel},
    profile::Profile,
    record::{
        Address, Chunk, ConnectionEnd, ConnectionId, Direction, Evidence, Gap, HookCall, Joined,
        KtimeNs, Opened, Process, Record, Role, Side, Tgid, WebSocketEvent,
    },
    stream::Delivery,
    wire::resp::Registration,
};
use connection::{Connection, Verdict};
use counters::Counters;
use protocol::{Expected, Making};
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
    exchanges: Vec<Exchange>,
    websocket: Vec<WebSocketEvent>,
    inflaters: InflaterBudget,
    #[cfg(test)]
    told: Vec<ClientEvent>,
    #[cfg(test)]
    heard: Vec<(Tgid, KtimeNs, crate::model::Speech)>,
    registrations: Vec<Registration>,
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
            exchanges: Vec::new(),
            websocket: Vec::new(),
            inflaters: InflaterBudget::default(),
            #[cfg(test)]
            told: Vec::new(),
            #[cfg(test)]
            heard: Vec::new(),
            registrations: Vec::new(),
        }
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
    pub fn handle(&mut self, record: Record<'_>, mut tap: Option<&mut dyn Tap>) {
        self.counters.record(&record);
        // Chunks, and gaps found between them, are told when their place in the stream is known.
        let record = match record {
            Record::Chunk(chunk) => return self.handle_chunk(chunk, tap),
            record => record,
        };
        match &record {
            Record::Chunk(_) => {}
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
                self.diagnosis.handle_gpus(sample);
            }
            Record::Evidence(evidence) => self.start_diagnosis(evidence),
            Record::Sched(sched) => self.diagnosis.handle_sched(sched),
            Record::CpuQuota(quota) => self.diagnosis.handle_quota(quota),
            Record::File(event) => self.model.handle_file(event),
            Record::Renamed { from, to, at } => self.handle_renamed(from, to, *at),
            Record::Tick { at } => self.handle_tick(*at, reborrow(&mut tap)),
            Record::WebSocket(event) => self.handle_told(event),
            Record::Hook(hook) => self.hooks.handle_hook(hook),
            Record::HookCalled(call) => self.handle_hook_called(call),
        }
        // After what it set free: a replay must meet chunks that were held back before the end of
        // their connection, as this pipeline did.
        if let Some(tap) = tap {
            tap.record(&record);
        }
    }

    /// Late frames are found by this threshold; they have causes where scheduling is followed.
    fn start_diagnosis(&mut self, evidence: &Evidence) {
        let diagnoses = evidence.stretch_ns.is_some();
        self.model
            .collect_late_frames(evidence.late_threshold_ms, diagnoses);
        if diagnoses {
            self.diagnosis.start(evidence);
        }
    }

    fn handle_opened(&mut self, opened: &Opened) {
        let Some(process) = self.processes.get(&opened.tgid) else {
            return;
        };
        if self.connections.len() >= MAX_CONNECTIONS {
            self.counters.refused();
            self.unwanted.push_back(opened.connection);
            return;
        }
        // Of a Redis server only its clients' connections are followed.
        let redis = match process.role {
            Role::Redis => opened.side == Some(Side::Server),
            Role::Worker | Role::Orchestrator => self.redis.is_to_redis(opened),
        };
        // Only voice roles speak gRPC; a late join elsewhere has nothing to find.
        let worth_a_search = redis || matches!(process.role, Role::Worker | Role::Orchestrator);
        if opened.joined == Joined::Late && !(worth_a_search && opened.side.is_some()) {
            self.unwanted.push_back(opened.connection);
            return;
        }
        let id = opened.connection;
        let expected = match process.role {
            _ if redis => Expected::Redis,
            Role::Orchestrator if opened.side == Some(Side::Server) => Expected::WebSocket,
            Role::Orchestrator | Role::Worker | Role::Redis => Expected::Http2,
        };
        let making = Making {
            profile: &self.profile,
            inflaters: &self.inflaters,
        };
        let connection = Connection::new(opened.clone(), expected, making);
        self.counters.connection_opened(&connection);
        if connection.redis_side().is_some() {
            self.redis.handle_told(opened);
            self.redis_changed = true;
        }
        if let Some(replaced) = self.connections.insert(id, connection) {
            self.redis.handle_closed(replaced.opened());
            self.counters.connection_closed(&replaced);
        }
        self.redis.handle_opened(opened);
        self.orchestrator.handle_opened(opened);
    }

    fn handle_chunk(&mut self, chunk: Chunk<'_>, tap: Option<&mut dyn Tap>) {
        let id = chunk.connection;
        self.diagnosis.handle_chunk(&chunk);
        self.on_connection(id, tap, |connection, stage| {
            connection.handle_chunk(chunk, stage);
        });
    }

    fn handle_gap(&mut self, gap: &Gap) {
        self.on_connection(gap.connection, None, |connection, stage| {
            connection.handle_gap(gap, stage);
        });
    }

    fn handle_closed(
        &mut self,
        id: ConnectionId,
        at: KtimeNs,
        end: ConnectionEnd,
        tap: Option<&mut dyn Tap>,
    ) {
        if end == ConnectionEnd::Reset {
            self.orchestrator.handle_connection_lost(id);
        }
        self.on_connection(id, tap, |connection, stage| {
            connection.handle_closed(at, end, stage);
        });
        if let Some(connection) = self.connections.remove(&id) {
            let opened = connection.opened();
            let failed = end == ConnectionEnd::Reset;
            if failed && connection.is_undetermined() && self.redis.is_to_redis(opened) {
                self.redis.handle_refused();
            }
            if failed
                && connection.is_undetermined()
                && let (Some(Side::Client), Some(Address::Inet(peer))) = (opened.side, &opened.peer)
            {
                self.orchestrator
                    .handle_connect_failed(opened.tgid, *peer, at);
            }
            self.redis_changed |= connection.redis_side().is_some();
            self.redis.handle_closed(opened);
            self.counters.connection_closed(&connection);
        }
        self.model.handle_connection_closed(id, at);
        self.diagnosis.handle_closed(id);
        self.orchestrator.handle_connection_closed(id, at);
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

    /// Connections by a condition, in the order of their ids: every replay takes the same one.
    fn select(&self, condition: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
        let mut ids: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| condition(connection))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Runs one step of one connection and carries out what came of it.
    fn on_connection(
        &mut self,
        id: ConnectionId,
        mut tap: Option<&mut dyn Tap>,
        step: impl FnOnce(&mut Connection, &mut Stage<'_>),
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(process) = self.processes.get(&connection.tgid()) else {
            return;
        };
        let protocol = connection.protocol_name();
        let mut stage = Stage {
            profile: &self.profile,
            process,
            interpreter: &mut self.interpreter,
            counters: &self.counters,
            events: &mut self.events,
            exchanges: &mut self.exchanges,
            websocket: &mut self.websocket,
            registrations: &mut self.registrations,
            inflaters: &self.inflaters,
            tap: reborrow(&mut tap),
        };
        step(connection, &mut stage);
        if connection.protocol_name() != protocol {
            self.counters.connection_changed(connection, protocol);
            if connection.redis_side().is_some() {
                self.redis.handle_told(connection.opened());
                self.redis_changed = true;
            }
        }
        for registration in self.registrations.drain(..) {
            self.registered.add(registration, connection.opened());
        }
        if connection.take_verdict() == Some(Verdict::Unwanted) {
            self.unwanted.push_back(id);
        }
        for event in self.events.drain(..) {
            self.model.handle(&event);
            if self.diagnosis.is_on() {
                self.diagnosis.handle_event(&event);
            }
            self.orchestrator.handle(&event);
        }
        while let Some(late) = self.model.poll_late() {
            self.diagnosis.handle_late(late);
        }
        if !self.websocket.is_empty() {
            let tgid = process.tgid;
            let mut events = std::mem::take(&mut self.websocket);
            for event in events.drain(..) {
                let record = Record::WebSocket(event);
                if let Some(tap) = &mut tap {
                    tap.record(&record);
                }
                if let Record::WebSocket(event) = record {
                    self.handle_websocket(tgid, event);
                }
            }
            self.websocket = events;
        }
        if !self.exchanges.is_empty() {
            let connection = self.connections.get(&id);
            if let Some(connection) = connection
                && connection.redis_side() == Some(Side::Server)
            {
                self.redis.decide(connection.opened());
            }
            let counted = connection.is_some_and(|connection| self.counts(connection));
            for exchange in self.exchanges.drain(..).filter(|_| counted) {
                self.redis.handle(exchange);
            }
        }
    }

    /// A capture tells what a WebSocket connection said.
    fn handle_told(&mut self, event: &WebSocketEvent) {
        let Some(connection) = self.connections.get_mut(&event.connection) else {
            return;
        };
        let protocol = connection.protocol_name();
        let making = Making {
            profile: &self.profile,
            inflaters: &self.inflaters,
        };
        connection.handle_told(event.side, making);
        if connection.protocol_name() != protocol {
            self.counters.connection_changed(connection, protocol);
        }
        let tgid = connection.tgid();
        self.handle_websocket(tgid, event.clone());
    }

    fn handle_websocket(&mut self, process: Tgid, event: WebSocketEvent) {
        let event = client_event(process, self.profile.websocket(), event);
        self.handle_client(&event);
    }

    /// What an orchestrator and a client said to each other.
    fn handle_client(&mut self, event: &ClientEvent) {
        #[cfg(test)]
        self.told.push(event.clone());
        self.orchestrator.handle_client(event);
    }

    /// Whether a Redis connection counts at this end: the server's does only where no watched
    /// process is the client.
    fn counts(&self, connection: &Connection) -> bool {
        let may_be_redis = |id| {
            self.connections
                .get(&id)
                .is_some_and(Connection::may_be_redis)
        };
        match connection.redis_side() {
            Some(Side::Client) => true,
            Some(Side::Server) => {
                let opened = connection.opened();
                !self.redis.is_claimed(opened) && !self.redis.clients_of(opened).any(may_be_redis)
            }
            None => false,
        }
    }
}

/// What a connection needs of the pipeline while it takes a step.
struct Stage<'a> {
    profile: &'a Arc<Profile>,
    process: &'a Process,
    interpreter: &'a mut Interpreter,
    counters: &'a Counters,
    events: &'a mut Vec<interpret::Event>,
    exchanges: &'a mut Vec<Exchange>,
    websocket: &'a mut Vec<WebSocketEvent>,
    inflaters: &'a InflaterBudget,
    registrations: &'a mut Vec<Registration>,
    tap: Option<&'a mut dyn Tap>,
}

impl Stage<'_> {
    /// Counts what a stream delivers.
    fn count(&self, delivery: &Delivery<'_>) {
        self.counters.delivery(delivery);
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

//! The orchestrators' sessions: what their clients and their workers are told, joined.
//!
//! Takes [`ClientEvent`](crate::interpret::ClientEvent)s of `WebSocket` connections that a watched
//! orchestrator accepted, [`Event`]s of gRPC connections that it made, connection facts, the edges of
//! a voice activity detector and ticks; gives observations in
//! [`Metrics`]. The workers' own events only tell when audio left them.
//!
//! # Which session a call belongs to
//!
//! Session ids are a hint: one id may be shared by many streams, and the id that a client was told
//! need not be the one that the worker is given. A binding is made by the first of these rules that
//! has exactly one answer, and then holds for the session's life.
//!
//! `StartSession`:
//! 1. the id is the one that exactly one client of the process was told (also when the client is told
//!    after the worker);
//! 2. exactly one session of the process has no worker session and upgraded or sent a message within
//!    [`CAUSE_NS`](bounds::CAUSE_NS) before;
//! 3. several do: one of them asked. Each one that is bound otherwise is struck out; when as many are left
//!    as asked under that name, they are it. One that merely ended is not struck out.
//!
//! `Synthesize`, when its first message names a worker session:
//! 1. the id is the one that exactly one client was told;
//! 2. the worker session has one session, and no other session without a worker session waits for its
//!    text to be spoken;
//! 3. of the sessions that share the worker session, or else of those that have none, exactly one waits
//!    for its text to be spoken;
//! 4. several do, and the audio tells: a session sends audio that none of its own streams explains, and
//!    of the streams that may be its only one has had as many frames since. Three such messages bind
//!    it. A session that waits for nothing more is then struck out of the other streams, and the last
//!    one left is it.
//!
//! A stream that is older than the probe may be of any session without a worker session, and only its
//! audio tells. A session that asks for a second worker session under another id is not followed
//! there.
//!
//! What stays open has model `unknown`, gives no latency that depends on it, and is counted in
//! `voxprobe_observations_skipped_total` as `ambiguous`.
//!
//! # Definitions, where the catalogue leaves a choice
//!
//! - A connection is a session once the client was told so, or was sent audio or what cannot be read,
//!   or a worker was asked for it. One that only got an error is none.
//! - A session whose worker sessions all ended by `EndSession` has ended; one for which a worker is
//!   asked again, or whose client is told again that a session started, has started anew.
//! - `LiveKit`: a session is a `StartSession` until its `EndSession`, its failure, or the end of the
//!   connection to the worker. Its media leaves over UDP, which is not read: the first frame received
//!   stands for the first audio handed on.
//! - A failed call and the error message that tells the client of it are one error. Refused connects
//!   to one worker are one error until it can be reached again, and none where a client or a call tells
//!   of it.
//! - Why a worker refuses a session is text, which is not read: its model was not found, unless that
//!   worker has started a session with it before.
//! - Speech is heard per process: it is a session's when the process has no other, or when only one is
//!   being spoken to and interrupts its worker within two seconds.
//! - An interruption is over when the streams being spoken are over and the worker answered, or when
//!   nothing of it was seen for two seconds. Where the worker is watched, its own sends tell when the
//!   last audio left; else its arrival does, and what arrives after a reset is unseen.

mod audio;
mod barge_in;
mod bounds;
mod calls;
mod client;
mod correlate;
mod drops;
mod ending;
mod failures;
mod forwarding;
mod interruption;
mod naming;
mod peers;
mod pending;
mod process;
mod session;
mod sessions;
mod stream;
mod tell;
mod utterance;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use foldhash::{HashMap, HashMapExt as _};
use prometheus::IntCounter;

use super::story::Stories;
use super::{MAX_PROCESSES, ModelSettings, Speech, TransportSetting};
use crate::flow::CallId;
use crate::interpret::{Event, Id, MessageKind};
use crate::metrics::{Measure, Metrics, SkipReason};
use crate::record::{ConnectionId, KtimeNs, Opened, Process, Role, Side, Tgid};
use peers::Peers;
use process::Orchestrator;
use session::{Session, SessionKey, Transport};
use stream::Stream;

/// The orchestrators' state. Feed it in record order.
#[derive(Debug)]
pub struct OrchestratorModel {
    settings: ModelSettings,
    metrics: Metrics,
    processes: BTreeMap<Tgid, Orchestrator>,
    sessions: BTreeMap<SessionKey, Session>,
    /// Series of messages sent and received, looked up once.
    sent: BTreeMap<MessageKind, IntCounter>,
    received: BTreeMap<MessageKind, IntCounter>,
    /// `WebSocket` connections open.
    websockets: HashMap<ConnectionId, SessionKey>,
    streams: BTreeMap<CallId, Stream>,
    /// Control calls that interrupt and are not answered.
    controls: HashMap<CallId, SessionKey>,
    /// Workers' ends of streams that are being interrupted, and the orchestrator's ends.
    followed: HashMap<CallId, CallId>,
    /// Connections on which worker sessions were asked for.
    asked_on: BTreeSet<ConnectionId>,
    peers: Peers,
    /// Frames received and not sent on, of all streams.
    pending_frames: usize,
    next_session: u64,
    stories: Stories,
}

impl OrchestratorModel {
    /// An empty model that observes into `metrics`.
    pub fn new(settings: ModelSettings, metrics: &Metrics) -> Self {
        Self {
            settings,
            metrics: metrics.clone(),
            processes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            websockets: HashMap::new(),
            streams: BTreeMap::new(),
            controls: HashMap::new(),
            followed: HashMap::new(),
            asked_on: BTreeSet::new(),
            peers: Peers::default(),
            pending_frames: 0,
            next_session: 0,
            stories: Stories::default(),
        }
    }

    /// Goes by other settings from the next record on.
    pub fn reconfigure(&mut self, settings: ModelSettings) {
        self.settings = settings;
    }

    /// A process is watched, or what is known about it changed.
    pub fn handle_process(&mut self, process: &Process) {
        let name = Id::new(&process.name).filter(|_| process.role == Role::Worker);
        self.peers.name_worker(process.tgid, name);
        let known = self.processes.contains_key(&process.tgid);
        if process.role != Role::Orchestrator {
            if known {
                self.handle_process_ended(process.tgid, process.at);
            }
        } else if !known && self.processes.len() < MAX_PROCESSES {
            self.processes.insert(process.tgid, Orchestrator::default());
            self.publish_connections();
        } else if !known {
            self.refuse("orchestrator");
        }
    }

    /// A process ended, and its connections with it. Comes before their ends.
    pub fn handle_process_ended(&mut self, tgid: Tgid, at: KtimeNs) {
        self.peers.forget_process(tgid);
        if let Some(orchestrator) = self.processes.remove(&tgid) {
            self.end_process(tgid, &orchestrator, at);
        }
    }

    /// A connection of a watched process began or was found.
    pub fn handle_opened(&mut self, opened: &Opened) {
        self.peers.open(opened);
    }

    /// The peer ended a connection, or it was reset. Comes before what that does to its calls.
    pub fn handle_connection_lost(&mut self, connection: ConnectionId) {
        self.peers.lose(connection);
    }

    /// A connection ended.
    pub fn handle_connection_closed(&mut self, connection: ConnectionId, at: KtimeNs) {
        if let Some(key) = self.websockets.get(&connection).copied() {
            self.end_connection(key, crate::interpret::ConnectionEnd::Unknown, at);
        }
        self.end_worker_connection(connection, at);
        self.peers.close(connection);
    }

    /// A connection that a process wanted was refused, or failed otherwise.
    pub fn handle_connect_failed(&mut self, tgid: Tgid, peer: SocketAddr, at: KtimeNs) {
        if self.peers.is_worker(peer) {
            self.fail_connect(tgid, peer, at);
        }
    }

    /// A gRPC call went on.
    pub fn handle(&mut self, event: &Event) {
        match (event.role, event.side) {
            (Role::Orchestrator, Side::Client) => self.handle_call(event),
            (Role::Worker, Side::Server) if !self.followed.is_empty() => self.handle_worker(event),
            _ => {}
        }
    }

    /// The user of some session of the process began or stopped to speak.
    pub fn handle_speech(&mut self, tgid: Tgid, at: KtimeNs, speech: Speech) {
        match speech {
            Speech::Started => self.hear_start(tgid, at),
            Speech::Ended => self.hear_end(tgid, at),
        }
    }

    /// Time passed: what is settled by silence is settled.
    pub fn handle_tick(&mut self, at: KtimeNs) {
        self.settle_sessions(at);
        self.settle_streams(at);
        self.settle_outages(at);
        for (kind, count) in [
            ("orchestrator", self.processes.len()),
            ("orchestrator_session", self.sessions.len()),
            ("orchestrator_stream", self.streams.len()),
            ("orchestrator_frame", self.pending_frames),
        ] {
            self.metrics
                .probe
                .state_tracked
                .with(&[kind])
                .set(count as f64);
        }
    }

    /// How a process talks to its clients, as far as it is known.
    fn transport(&self, process: Tgid) -> Transport {
        let websocket = match self.settings.transport {
            TransportSetting::WebSocket => true,
            TransportSetting::LiveKit => false,
            TransportSetting::Auto => self
                .processes
                .get(&process)
                .is_some_and(|orchestrator| orchestrator.serves_websocket),
        };
        if websocket {
            Transport::WebSocket
        } else {
            Transport::LiveKit
        }
    }

    fn skip(&self, measure: Measure, reason: SkipReason) {
        self.metrics.probe.skip(measure, reason);
    }

    fn refuse(&self, kind: &str) {
        self.metrics.probe.state_refused.with(&[kind]).inc();
    }
}

#[cfg(test)]
mod tests;

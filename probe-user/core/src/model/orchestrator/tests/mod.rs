//! Stories told in clients' messages and calls to workers, through the model to gathered metrics.
//! Times are milliseconds.

#![expect(
    clippy::float_cmp,
    reason = "counters and gauges are whole numbers, exact in an f64"
)]

mod barge_in;
mod bounds;
mod correlation;
mod drops;
mod endings;
mod errors;
mod latency;
mod livekit;
mod messages;
mod stories;

use super::*;
use crate::flow::{CallEnd, Origin};
use crate::interpret::{
    AudioFrame, ClientEvent, ClientFields, ClientWhat, Command, ConnectionEnd, Failure,
    MessageKind, What,
};
use crate::metrics::Limits;
use crate::profile::MethodRole;
use crate::record::{Address, Joined};

const ORCHESTRATOR: Tgid = Tgid(7);
const WORKER: Tgid = Tgid(8);
/// The orchestrator's connection to its worker.
const CHANNEL: u64 = 1;
/// The worker's end of it.
const WORKER_END: u64 = 2;
const OK: CallEnd = CallEnd::Status(Some(0));
const CANCELLED: CallEnd = CallEnd::Reset {
    code: 8,
    by: Origin::Client,
};

fn ms(at: f64) -> KtimeNs {
    KtimeNs((at * 1e6).round() as u64)
}

/// Client `n`'s connection.
fn ws(n: u64) -> ConnectionId {
    ConnectionId(1000 + n)
}

fn call(stream: u32) -> CallId {
    CallId {
        connection: ConnectionId(CHANNEL),
        stream,
    }
}

fn id(text: &str) -> Option<Id> {
    Id::new(text)
}

fn process(tgid: Tgid, role: Role, name: &str) -> Process {
    Process {
        tgid,
        at: KtimeNs(0),
        role,
        name: name.into(),
        adapter: "lab".into(),
    }
}

struct World {
    model: OrchestratorModel,
    metrics: Metrics,
    next_unary: u32,
}

impl World {
    fn new() -> Self {
        Self::with(ModelSettings::default(), Limits::default())
    }

    fn with(settings: ModelSettings, limits: Limits) -> Self {
        let metrics = Metrics::new(limits);
        let mut model = OrchestratorModel::new(settings, &metrics);
        model.handle_process(&process(ORCHESTRATOR, Role::Orchestrator, "orchestrator"));
        Self {
            model,
            metrics,
            next_unary: 1_000_001,
        }
    }

    /// A worker on the same host, at the other end of the channel.
    fn with_worker() -> Self {
        let mut world = Self::new();
        world
            .model
            .handle_process(&process(WORKER, Role::Worker, "tts@0"));
        let ours = "127.0.0.1:50000".parse().unwrap();
        let theirs = "127.0.0.1:7001".parse().unwrap();
        // A dual-stack server that listens on every address.
        let listening = "[::]:7001".parse().unwrap();
        for (connection, tgid, side, local, peer) in [
            (CHANNEL, ORCHESTRATOR, Side::Client, ours, theirs),
            (WORKER_END, WORKER, Side::Server, listening, ours),
        ] {
            world.model.handle_opened(&Opened {
                connection: ConnectionId(connection),
                tgid,
                at: KtimeNs(0),
                side: Some(side),
                joined: Joined::FromStart,
                local: Some(Address::Inet(local)),
                peer: Some(Address::Inet(peer)),
            });
        }
        world
    }

    fn client(&mut self, n: u64, at: f64, what: ClientWhat) {
        self.model.handle_client(&ClientEvent {
            process: ORCHESTRATOR,
            side: Side::Server,
            connection: ws(n),
            at: ms(at),
            what,
        });
    }

    fn upgrade(&mut self, n: u64, at: f64) {
        let requested = Some(ms(at - 0.5));
        self.client(n, at, ClientWhat::Upgraded { requested });
    }

    fn message(
        &mut self,
        n: u64,
        at: f64,
        origin: Origin,
        kind: MessageKind,
        fields: ClientFields,
    ) {
        self.client(
            n,
            at,
            ClientWhat::Message {
                origin,
                kind,
                fields,
            },
        );
    }

    fn told(&mut self, n: u64, at: f64, session: &str) {
        let fields = ClientFields {
            session: id(session),
            ..ClientFields::default()
        };
        self.message(n, at, Origin::Server, MessageKind::SessionStarted, fields);
    }

    /// Client `n` connects and is told its session at `at`.
    fn connect(&mut self, n: u64, at: f64, session: &str) {
        self.upgrade(n, at);
        self.told(n, at, session);
    }

    fn text(&mut self, n: u64, at: f64, is_final: bool) {
        let fields = ClientFields {
            is_final: Some(is_final),
            ..ClientFields::default()
        };
        self.message(n, at, Origin::Client, MessageKind::TextChunk, fields);
    }

    fn command(&mut self, n: u64, at: f64, command: Command) {
        let fields = ClientFields {
            command: Some(command),
            ..ClientFields::default()
        };
        self.message(n, at, Origin::Client, MessageKind::Control, fields);
    }

    fn audio(&mut self, n: u64, at: f64, sequence: i64) {
        let fields = ClientFields {
            sequence: Some(sequence),
            duration_ms: Some(20),
            ..ClientFields::default()
        };
        self.message(n, at, Origin::Server, MessageKind::AudioFrame, fields);
    }

    fn error(&mut self, n: u64, at: f64, code: &str) {
        let fields = ClientFields {
            code: id(code),
            ..ClientFields::default()
        };
        self.message(n, at, Origin::Server, MessageKind::Error, fields);
    }

    fn end(&mut self, n: u64, at: f64, end: ConnectionEnd) {
        self.client(n, at, ClientWhat::Ended(end));
    }

    fn close(&mut self, n: u64, at: f64, by: Origin, code: Option<u16>) {
        let what = ClientWhat::Closing {
            by,
            code,
            keep_alive_timeout: false,
        };
        self.client(n, at, what);
    }

    fn call(&mut self, call: CallId, at: f64, what: What) {
        self.model.handle(&Event {
            process: ORCHESTRATOR,
            role: Role::Orchestrator,
            side: Side::Client,
            call,
            at: ms(at),
            what,
        });
    }

    fn unary(&mut self) -> CallId {
        self.next_unary += 2;
        call(self.next_unary)
    }

    fn ask(&mut self, at: f64, session: &str, model: &str) -> CallId {
        let call = self.unary();
        let what = What::SessionAsked {
            session: id(session),
            model: id(model),
        };
        self.call(call, at, what);
        call
    }

    fn ask_end(&mut self, at: f64, session: &str) {
        let call = self.unary();
        let what = What::SessionEndAsked {
            session: id(session),
        };
        self.call(call, at, what);
    }

    /// Opens stream `n` for a session and sends its only text.
    fn speak(&mut self, n: u32, at: f64, session: &str) {
        self.chunk(n, at, session, true);
    }

    /// Sends text on stream `n`, which is opened for it when it is not open.
    fn chunk(&mut self, n: u32, at: f64, session: &str, is_final: bool) {
        if !self.model.streams.contains_key(&call(n)) {
            self.call(call(n), at, What::StreamOpened);
            self.call(call(n), at, What::StreamSession(id(session).unwrap()));
        }
        let (is_final, length) = (Some(is_final), Some(5));
        self.call(call(n), at, What::Text { is_final, length });
    }

    fn frame(&mut self, n: u32, at: f64, sequence: i64) {
        self.call(call(n), at, What::Frame(frame(sequence)));
    }

    /// Receives a frame and sends it on half a millisecond later.
    fn relay(&mut self, n: u32, client: u64, at: f64, sequence: i64) {
        self.frame(n, at, sequence);
        self.audio(client, at + 0.5, sequence);
    }

    fn done(&mut self, n: u32, at: f64, end: CallEnd) {
        self.call(call(n), at, What::StreamEnded(end));
    }

    fn fail(&mut self, at: f64, method: MethodRole, session: &str, failure: Failure) {
        let call = self.unary();
        let what = What::CallFailed {
            method,
            session: id(session),
            model: id("m").filter(|_| method == MethodRole::StartSession),
            failure,
        };
        self.call(call, at, what);
    }

    /// Sends a command to the worker, answered at `at.1`.
    fn control(&mut self, at: (f64, f64), session: &str, command: Command) {
        let call = self.unary();
        let session = id(session);
        let what = What::ControlReceived {
            session: session.clone(),
            command,
        };
        self.call(call, at.0, what);
        let what = What::ControlAnswered {
            session,
            command,
            received: Some(ms(at.0)),
            success: Some(true),
        };
        self.call(call, at.1, what);
    }

    /// Something at the worker's end of stream `n`.
    fn at_worker(&mut self, n: u32, at: f64, what: What) {
        self.model.handle(&Event {
            process: WORKER,
            role: Role::Worker,
            side: Side::Server,
            call: CallId {
                connection: ConnectionId(WORKER_END),
                stream: n,
            },
            at: ms(at),
            what,
        });
    }

    fn tick(&mut self, at: f64) {
        self.model.handle_tick(ms(at));
    }

    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<prometheus::proto::Metric> {
        self.metrics
            .registry()
            .gather()
            .into_iter()
            .filter(|family| family.name() == name)
            .flat_map(|mut family| std::mem::take(family.mut_metric()))
            .find(|metric| {
                labels.iter().all(|(name, value)| {
                    metric
                        .get_label()
                        .iter()
                        .any(|pair| pair.name() == *name && pair.value() == *value)
                })
            })
    }

    /// A counter's value, 0 when it is not there.
    fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metric(name, labels)
            .map_or(0.0, |metric| metric.get_counter().get_value())
    }

    fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.metric(name, labels)?.get_gauge().get_value())
    }

    /// A histogram's count and sum.
    fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> (u64, f64) {
        self.metric(name, labels).map_or((0, 0.0), |metric| {
            let histogram = metric.get_histogram();
            (histogram.get_sample_count(), histogram.get_sample_sum())
        })
    }

    /// All values of a metric's series, summed: counters and gauges.
    fn sum(&self, name: &str) -> f64 {
        self.metrics
            .registry()
            .gather()
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric().to_vec())
            .map(|m| m.get_counter().get_value() + m.get_gauge().get_value())
            .sum()
    }

    fn series(&self, name: &str) -> usize {
        self.metrics
            .registry()
            .gather()
            .iter()
            .filter(|family| family.name() == name)
            .map(|family| family.get_metric().len())
            .sum()
    }

    fn skipped(&self, measure: &str, reason: &str) -> f64 {
        self.counter(
            "voxprobe_observations_skipped_total",
            &[("measure", measure), ("reason", reason)],
        )
    }

    fn started(&self, model: &str) -> f64 {
        self.counter(
            "orchestrator_sessions_started_total",
            &[("model_id", model)],
        )
    }

    fn active(&self, model: &str) -> Option<f64> {
        self.gauge("orchestrator_sessions_active", &[("model_id", model)])
    }

    fn ended(&self, model: &str, reason: &str) -> f64 {
        self.counter(
            "orchestrator_sessions_ended_total",
            &[("model_id", model), ("reason", reason)],
        )
    }

    fn fal(&self, model: &str) -> (u64, f64) {
        self.histogram("orchestrator_latency_fal_ms", &[("model_id", model)])
    }

    fn e2e(&self, transport: &str) -> (u64, f64) {
        self.histogram("orchestrator_latency_e2e_ms", &[("transport", transport)])
    }

    fn barge_in(&self, trigger: &str) -> (u64, f64) {
        self.histogram("orchestrator_latency_barge_in_ms", &[("trigger", trigger)])
    }

    fn drops(&self, worker: &str, reason: &str) -> f64 {
        self.counter(
            "worker_audio_frame_drops_total",
            &[("worker", worker), ("reason", reason)],
        )
    }

    fn errors(&self, kind: &str) -> f64 {
        self.counter("orchestrator_session_errors_total", &[("error_type", kind)])
    }
}

fn frame(sequence: i64) -> AudioFrame {
    AudioFrame {
        audio_bytes: Some(1920),
        sample_rate: Some(48_000),
        duration_ms: Some(20),
        sequence: Some(sequence),
        is_final: Some(false),
    }
}

fn last_frame(sequence: i64) -> AudioFrame {
    AudioFrame {
        is_final: Some(true),
        ..frame(sequence)
    }
}

fn end_marker() -> AudioFrame {
    AudioFrame {
        audio_bytes: Some(0),
        is_final: Some(true),
        ..frame(0)
    }
}

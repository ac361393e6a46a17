//! One session of an orchestrator: its label, what it waits for, and how it counts.
//!
//! `started`, `active` and `ended` of one session carry the same `model_id`. A session is active as
//! `unknown` from its start, and is counted as started, and moved to its model, when the worker is
//! asked for it; as `unknown` when it ends before, or nobody is asked for long.

use prometheus::Gauge;

use super::barge_in::BargeIn;
use super::bounds::{MAX_HELD_LATENCIES, MODEL_WAIT_NS};
use super::ending::EndReason;
use super::pending::Pending;
use super::utterance::Utterances;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::metrics::{OrchestratorMetrics, UNKNOWN};
use crate::model::story::UtteranceId;
use crate::record::{ConnectionId, KtimeNs, Tgid, TraceContext};

/// Which session. Given in order of appearance, never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionKey(pub(super) u64);

/// Label `transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    WebSocket,
    LiveKit,
}

impl Transport {
    /// As written in labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LiveKit => "livekit",
        }
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connected, and nothing said yet that makes it a session.
    Pending,
    /// Started and not ended.
    Live,
    /// Ended; its connection may go on.
    Ended,
}

/// What a session is counted with: its model, where it is known.
#[derive(Debug)]
struct Label(Option<Id>);

/// Kinds of messages that a client was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentKinds {
    pub(super) audio: bool,
    /// Messages that the profile does not name.
    pub(super) other: bool,
    /// Messages that cannot be read.
    pub(super) unreadable: bool,
}

impl SentKinds {
    /// Whether audio may have been sent in messages that are not known to be audio.
    pub(super) fn may_hide_audio(self) -> bool {
        self.unreadable || (self.other && !self.audio)
    }
}

/// A session, or a connection that may become one.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one independent fact about the session"
)]
pub(super) struct Session {
    pub(super) process: Tgid,
    pub(super) transport: Transport,
    /// `WebSocket`: the client's. `LiveKit`: the worker's on which it was asked for.
    pub(super) connection: ConnectionId,
    pub(super) phase: Phase,
    /// The id that the client was told.
    pub(super) told_id: Option<Id>,
    /// The id that it goes by: the one that the client was told, else the first that a worker was given.
    pub(super) known_as: Option<Id>,
    /// Model of the worker session asked for last.
    pub(super) model: Option<Id>,
    /// Worker sessions asked for and not ended.
    pub(super) names: Vec<Id>,
    /// Synthesis streams whose audio is not settled.
    pub(super) streams: Vec<CallId>,
    /// The client's latest message, or the upgrade: what may make the orchestrator ask a worker.
    /// `None` once the session ended.
    pub(super) cause: Option<KtimeNs>,
    /// The client said something that cannot be read: it may have been text.
    pub(super) unread: bool,
    /// The client's latest messages that caused nothing yet.
    pub(super) pending: Pending,
    /// Last message but errors and ends.
    pub(super) last_activity: KtimeNs,
    /// The user stopped speaking, and no audio was sent since.
    pub(super) speech_ended: Option<KtimeNs>,
    pub(super) utterances: Utterances,
    pub(super) barge_in: Option<BargeIn>,
    /// When text last came or was sent to a worker.
    pub(super) last_text: Option<KtimeNs>,
    /// What was asked for last was interrupted.
    pub(super) interrupted: bool,
    /// The stream whose frame was sent on last.
    pub(super) source: Option<CallId>,
    /// When the connection was upgraded, or the worker asked.
    pub(super) opened: KtimeNs,
    /// The client's first message.
    pub(super) first_message: Option<KtimeNs>,
    /// What was sent to the client besides what is understood.
    pub(super) sent: SentKinds,
    /// Audio messages that no stream known to be the session's explains.
    pub(super) stray_audio: u64,
    /// A call failed, and the client was not told yet.
    pub(super) failed: Option<KtimeNs>,
    /// The connection to a worker that broke last.
    pub(super) broken: Option<ConnectionId>,
    /// The trace that the client's upgrade belongs to.
    pub(super) trace: Option<TraceContext>,
    /// Its start was told.
    pub(super) start_told: bool,
    start_seen: bool,
    since: KtimeNs,
    /// The label it is counted with, once that is settled.
    label: Option<Label>,
    active: Option<Gauge>,
    latencies: Vec<f64>,
}

impl Session {
    pub(super) fn new(
        process: Tgid,
        transport: Transport,
        connection: ConnectionId,
        at: KtimeNs,
    ) -> Self {
        Self {
            process,
            transport,
            connection,
            phase: Phase::Pending,
            told_id: None,
            known_as: None,
            model: None,
            names: Vec::new(),
            streams: Vec::new(),
            cause: Some(at),
            unread: false,
            pending: Pending::default(),
            last_activity: at,
            speech_ended: None,
            utterances: Utterances::default(),
            barge_in: None,
            last_text: None,
            interrupted: false,
            source: None,
            opened: at,
            first_message: None,
            sent: SentKinds::default(),
            stray_audio: 0,
            failed: None,
            broken: None,
            trace: None,
            start_told: false,
            start_seen: false,
            since: at,
            label: None,
            active: None,
            latencies: Vec::new(),
        }
    }

    /// It is a session now. `start_seen` is false for one that is older than the probe.
    pub(super) fn begin(&mut self, at: KtimeNs, start_seen: bool, metrics: &OrchestratorMetrics) {
        if self.phase != Phase::Pending {
            return;
        }
        self.phase = Phase::Live;
        self.start_seen = start_seen;
        self.since = at;
        self.activate(UNKNOWN, metrics);
        if self.model.is_some() {
            self.settle(metrics);
        }
    }

    /// Another session begins on the same connection.
    pub(super) fn restart(&mut self, at: KtimeNs) {
        if self.phase == Phase::Ended {
            self.phase = Phase::Pending;
            self.told_id = None;
            self.known_as = None;
            self.model = None;
            self.names = Vec::new();
            self.label = None;
            self.start_told = false;
            self.cause = Some(at);
            self.opened = at;
            self.first_message = None;
        }
    }

    /// A worker was asked for it; `None` leaves the model to the worker.
    pub(super) fn name_model(&mut self, model: Option<&Id>, metrics: &OrchestratorMetrics) {
        self.model = model.cloned();
        if self.phase == Phase::Live {
            self.settle(metrics);
        }
    }

    /// Time passed: a session that waited long for its model is counted without.
    pub(super) fn expire_wait(&mut self, now: KtimeNs, metrics: &OrchestratorMetrics) {
        if self.phase == Phase::Live && now.since(self.since) >= MODEL_WAIT_NS {
            self.settle(metrics);
        }
    }

    /// It ended. Only the first end counts.
    pub(super) fn end(&mut self, reason: EndReason, metrics: &OrchestratorMetrics) {
        self.cause = None;
        if self.phase != Phase::Live {
            self.phase = Phase::Ended;
            return;
        }
        self.settle(metrics);
        self.phase = Phase::Ended;
        if let Some(active) = self.active.take() {
            active.dec();
        }
        let label = self.label();
        metrics
            .sessions_ended
            .with(&[self.transport.as_str(), label, reason.as_str()])
            .inc();
    }

    /// Observes a first audio latency under the session's model, or holds it until that is known.
    pub(super) fn observe_first_audio(&mut self, ms: f64, metrics: &OrchestratorMetrics) {
        if self.is_unsettled() && self.latencies.len() < MAX_HELD_LATENCIES {
            self.latencies.push(ms);
        } else {
            metrics.latency_fal.with(&[self.model_label()]).observe(ms);
        }
    }

    /// Which utterance of it.
    pub(super) fn utterance_id(&self, key: SessionKey, number: u64) -> UtteranceId {
        UtteranceId {
            connection: self.connection,
            session: key.0,
            number,
        }
    }

    /// Whether its start was seen and counted.
    pub(super) fn is_counted(&self) -> bool {
        self.start_seen && self.label.is_some()
    }

    /// Label `model_id` of latencies.
    pub(super) fn model_label(&self) -> &str {
        self.model.as_ref().map_or(UNKNOWN, Id::as_str)
    }

    fn is_unsettled(&self) -> bool {
        self.phase != Phase::Ended && self.label.is_none()
    }

    fn label(&self) -> &str {
        self.label
            .as_ref()
            .and_then(|label| label.0.as_ref())
            .map_or(UNKNOWN, Id::as_str)
    }

    /// Fixes the label and counts the start.
    fn settle(&mut self, metrics: &OrchestratorMetrics) {
        if self.label.is_some() {
            return;
        }
        self.label = Some(Label(self.model.clone()));
        let label = self.label().to_owned();
        if self.start_seen {
            metrics
                .sessions_started
                .with(&[self.transport.as_str(), &label])
                .inc();
        }
        self.activate(&label, metrics);
        for ms in std::mem::take(&mut self.latencies) {
            metrics.latency_fal.with(&[&label]).observe(ms);
        }
    }

    fn activate(&mut self, label: &str, metrics: &OrchestratorMetrics) {
        let gauge = metrics
            .sessions_active
            .with(&[self.transport.as_str(), label]);
        gauge.inc();
        if let Some(before) = self.active.replace(gauge) {
            before.dec();
        }
    }
}

//! Failures of sessions, each counted once: the call that failed, or the message that tells the
//! client, whichever comes first.
//!
//! Sources: gRPC status codes (gRPC, "Status codes and their use"); HTTP/2 error codes (RFC 9113, 7)
//! with their mapping to statuses (gRPC over HTTP/2, "Errors").

use std::net::SocketAddr;

use super::OrchestratorModel;
use super::bounds::{ERROR_NS, MAX_ADDRESSES, MAX_FAILURES};
use super::ending::EndReason;
use super::process::Outage;
use super::session::{SessionKey, Transport};
use crate::flow::{CallEnd, Origin};
use crate::interpret::{Event, Failure, Id, MessageKind};
use crate::metrics::{SkipReason, UNKNOWN};
use crate::profile::MethodRole;
use crate::record::{ConnectionId, KtimeNs, Tgid};

const OK: u32 = 0;
const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const NOT_FOUND: u32 = 5;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

/// Code of the message that tells a client that its message made no sense.
const INVALID_MESSAGE: &str = "INVALID_MESSAGE";

/// HTTP/2 error codes.
const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// Label `error_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorType {
    WorkerUnavailable,
    ModelNotFound,
    Timeout,
    Internal,
    /// An error message whose code cannot be read.
    Unknown,
}

impl ErrorType {
    fn as_str(self) -> &'static str {
        match self {
            Self::WorkerUnavailable => "worker_unavailable",
            Self::ModelNotFound => "model_not_found",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unknown => UNKNOWN,
        }
    }

    fn of_code(code: Option<&str>) -> Self {
        match code {
            None => Self::Unknown,
            Some("WORKER_UNAVAILABLE") => Self::WorkerUnavailable,
            Some("MODEL_NOT_FOUND") => Self::ModelNotFound,
            Some(code) if code == "TIMEOUT" || code.ends_with("_TIMEOUT") => Self::Timeout,
            Some(_) => Self::Internal,
        }
    }

    /// How a call failed; `None` when it did not, or was given up by the orchestrator itself.
    /// `starts` for a call that asks for a session, `lost` when the worker ended the connection.
    fn of_end(end: CallEnd, starts: bool, lost: bool) -> Option<Self> {
        let status = match end {
            CallEnd::Status(status) => status?,
            // Given up by the orchestrator itself, or ended in peace.
            CallEnd::Reset {
                by: Origin::Client, ..
            }
            | CallEnd::Reset {
                code: NO_ERROR | CANCEL,
                ..
            } => CANCELLED,
            CallEnd::Reset {
                code: REFUSED_STREAM,
                ..
            } => UNAVAILABLE,
            CallEnd::Reset { .. } => INTERNAL,
            CallEnd::ConnectionClosed if lost => UNAVAILABLE,
            // Refused: never processed, and the client library asks again by itself.
            CallEnd::ConnectionClosed | CallEnd::Refused | CallEnd::Unknown => return None,
        };
        match status {
            OK | CANCELLED => None,
            UNAVAILABLE => Some(Self::WorkerUnavailable),
            DEADLINE_EXCEEDED => Some(Self::Timeout),
            NOT_FOUND if starts => Some(Self::ModelNotFound),
            _ => Some(Self::Internal),
        }
    }
}

impl OrchestratorModel {
    /// A client was told of an error.
    pub(super) fn tell_error(&mut self, key: SessionKey, code: Option<&Id>, at: KtimeNs) {
        let recent = |failed: KtimeNs| at.since(failed) <= ERROR_NS;
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let process = session.process;
        // The client's own fault, and no failed call's.
        if code.is_some_and(|code| code.as_str() == INVALID_MESSAGE) {
            self.caused(key, &[MessageKind::Other, MessageKind::Unknown], at);
            return self.count_error(ErrorType::Internal);
        }
        if session.failed.take().is_some_and(recent) {
            return;
        }
        let kind = ErrorType::of_code(code.map(Id::as_str));
        let Some(orchestrator) = self.processes.get_mut(&process) else {
            return;
        };
        while let Some(failed) = orchestrator.failures.pop_front() {
            if recent(failed) {
                return;
            }
        }
        self.count_error(kind);
        self.tell_outages(process);
        self.refuse_message(key, at);
    }

    /// No call failed: what the client is told is about its pending message. A text is refused.
    fn refuse_message(&mut self, key: SessionKey, at: KtimeNs) {
        let by = [MessageKind::TextChunk, MessageKind::Control];
        if let Some(MessageKind::TextChunk) = self.caused(key, &by, at)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            session.utterances.refuse_text();
        }
    }

    /// A call that starts, ends or controls a session was not carried out.
    pub(super) fn fail_call(
        &mut self,
        event: &Event,
        method: MethodRole,
        name: Option<&Id>,
        model: Option<&Id>,
        failure: Failure,
    ) {
        let (process, at) = (event.process, event.at);
        let starts = method == MethodRole::StartSession;
        let connection = event.call.connection;
        let unserved = |model| !self.peers.has_served(connection, model);
        let kind = match failure {
            Failure::Refused if starts && model.is_some_and(unserved) => {
                Some(ErrorType::ModelNotFound)
            }
            Failure::Refused => Some(ErrorType::Internal),
            Failure::Ended(end) => ErrorType::of_end(end, starts, self.peers.is_lost(connection)),
        };
        let owners = name.map_or(Vec::new(), |name| self.owners(process, name));
        let key = match owners.as_slice() {
            [key] => Some(*key),
            _ => None,
        };
        if let Some(kind) = kind {
            let broken = matches!(failure, Failure::Ended(CallEnd::ConnectionClosed));
            self.fail(process, key, kind, broken.then_some(connection), at);
        }
        if let Some(key) = self.controls.remove(&event.call)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            if let Some(barge_in) = &mut session.barge_in {
                barge_in.fail_answer(SkipReason::CutOff);
            }
            self.finish_interruption(key);
        }
        if starts && let Some(name) = name {
            self.fail_start(process, name, at);
        }
    }

    /// A synthesis stream ended.
    pub(super) fn fail_stream(
        &mut self,
        process: Tgid,
        key: Option<SessionKey>,
        connection: ConnectionId,
        end: CallEnd,
        at: KtimeNs,
    ) {
        let lost = self.peers.is_lost(connection);
        if let Some(kind) = ErrorType::of_end(end, false, lost) {
            let broken = (end == CallEnd::ConnectionClosed).then_some(connection);
            self.fail(process, key, kind, broken, at);
        }
    }

    /// A worker could not be reached.
    pub(super) fn fail_connect(&mut self, process: Tgid, peer: SocketAddr, at: KtimeNs) {
        let Some(orchestrator) = self.processes.get_mut(&process) else {
            return;
        };
        if orchestrator.outages.len() < MAX_ADDRESSES || orchestrator.outages.contains_key(&peer) {
            orchestrator.outages.entry(peer).or_insert(Outage {
                since: at,
                told: false,
            });
        }
    }

    /// A worker was reached.
    pub(super) fn end_outage(&mut self, process: Tgid, connection: ConnectionId) {
        if let Some(peer) = self.peers.peer(connection)
            && let Some(orchestrator) = self.processes.get_mut(&process)
            && let Some(outage) = orchestrator.outages.remove(&peer)
            && !outage.told
        {
            self.count_error(ErrorType::WorkerUnavailable);
        }
    }

    /// Time passed: outages of which neither a call nor a client was told are counted.
    pub(super) fn settle_outages(&mut self, now: KtimeNs) {
        let mut untold = 0_u64;
        for orchestrator in self.processes.values_mut() {
            for outage in orchestrator.outages.values_mut() {
                if !outage.told && now.since(outage.since) >= ERROR_NS {
                    outage.told = true;
                    untold += 1;
                }
            }
        }
        for _ in 0..untold {
            self.count_error(ErrorType::WorkerUnavailable);
        }
    }

    /// A worker session that was asked for did not come to be.
    fn fail_start(&mut self, process: Tgid, name: &Id, at: KtimeNs) {
        let Some(entry) = self
            .processes
            .get_mut(&process)
            .and_then(|orchestrator| orchestrator.forget_name(name))
        else {
            return;
        };
        for key in entry.owners {
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            session.names.retain(|other| other != name);
            if session.transport == Transport::LiveKit {
                self.end_session(key, EndReason::Error, at);
                self.remove_session(key);
            }
        }
    }

    fn fail(
        &mut self,
        process: Tgid,
        key: Option<SessionKey>,
        kind: ErrorType,
        broken: Option<ConnectionId>,
        at: KtimeNs,
    ) {
        match key.and_then(|key| self.sessions.get_mut(&key)) {
            Some(session) => {
                // All calls of a session that one broken connection takes with it are one failure.
                if broken.is_some() && session.broken == broken {
                    return;
                }
                session.broken = broken;
                session.failed = Some(at);
            }
            None => {
                if let Some(orchestrator) = self.processes.get_mut(&process) {
                    if orchestrator.failures.len() >= MAX_FAILURES {
                        orchestrator.failures.pop_front();
                    }
                    orchestrator.failures.push_back(at);
                }
            }
        }
        self.count_error(kind);
        if kind == ErrorType::WorkerUnavailable {
            self.tell_outages(process);
        }
    }

    fn tell_outages(&mut self, process: Tgid) {
        if let Some(orchestrator) = self.processes.get_mut(&process) {
            for outage in orchestrator.outages.values_mut() {
                outage.told = true;
            }
        }
    }

    fn count_error(&self, kind: ErrorType) {
        self.metrics
            .orchestrator
            .session_errors
            .with(&[kind.as_str()])
            .inc();
    }
}

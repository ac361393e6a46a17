//! Sessions of all orchestrators: those that only calls tell of, how sessions end, and what is left of
//! them.

use super::OrchestratorModel;
use super::bounds::MAX_SESSIONS;
use super::ending::EndReason;
use super::process::Orchestrator;
use super::session::{Phase, Session, SessionKey, Transport};
use crate::interpret::Id;
use crate::metrics::{Measure, SkipReason};
use crate::record::{ConnectionId, KtimeNs, Tgid};

impl OrchestratorModel {
    /// A session without a client's connection was asked for.
    pub(super) fn ask_livekit(
        &mut self,
        process: Tgid,
        connection: ConnectionId,
        name: Option<&Id>,
        model: Option<&Id>,
        at: KtimeNs,
    ) {
        let Some(name) = name else {
            self.refuse("nameless_session");
            return;
        };
        let Some(orchestrator) = self.processes.get_mut(&process) else {
            return;
        };
        if self.sessions.len() >= MAX_SESSIONS {
            self.refuse("orchestrator_session");
            return;
        }
        let Some(entry) = orchestrator.name_entry(name) else {
            self.refuse("session_name");
            return;
        };
        entry.model = model.cloned();
        entry.connection = Some(connection);
        self.asked_on.insert(connection);
        if !entry.owners.is_empty() {
            // Asked for again: it is still one session.
            return;
        }
        let session = Session::new(process, Transport::LiveKit, connection, at);
        let key = self.add_session(session);
        self.bind(process, key, name, at);
    }

    pub(super) fn add_session(&mut self, session: Session) -> SessionKey {
        let key = SessionKey(self.next_session);
        self.next_session += 1;
        if let Some(orchestrator) = self.processes.get_mut(&session.process) {
            orchestrator.sessions.insert(key);
        }
        self.sessions.insert(key, session);
        key
    }

    /// A session ended; only the first end counts.
    pub(super) fn end_session(&mut self, key: SessionKey, reason: EndReason, at: KtimeNs) {
        self.settle_interruption(key, at);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let was_live = session.phase == Phase::Live;
        session.end(reason, &self.metrics.orchestrator);
        if was_live {
            self.tell_end(key, reason.as_str());
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let cut_off = session
            .barge_in
            .take()
            .is_some_and(|barge_in| barge_in.is_confirmed());
        let unnamed = was_live
            && session.model.is_none()
            && self
                .processes
                .get(&session.process)
                .is_some_and(|orchestrator| {
                    orchestrator
                        .open_names
                        .iter()
                        .filter_map(|name| orchestrator.names.get(name))
                        .any(|name| name.candidates.contains(&key))
                });
        if cut_off {
            self.skip(Measure::BargeIn, SkipReason::CutOff);
        }
        if unnamed {
            self.skip(Measure::SessionModel, SkipReason::Ambiguous);
        }
        self.forget_told(key);
    }

    /// The last worker session of a session was ended.
    pub(super) fn end_by_worker_session(&mut self, key: SessionKey, at: KtimeNs) {
        let reason = EndReason::by_server(self.is_idle(key, at));
        self.end_session(key, reason, at);
        let livekit = self
            .sessions
            .get(&key)
            .is_some_and(|session| session.transport == Transport::LiveKit);
        if livekit {
            self.remove_session(key);
        }
    }

    /// Forgets a session that ended. Its streams go on until they are settled.
    pub(super) fn remove_session(&mut self, key: SessionKey) {
        self.tell_all(key);
        let Some(session) = self.sessions.remove(&key) else {
            return;
        };
        if session.transport == Transport::WebSocket {
            self.websockets.remove(&session.connection);
        }
        for call in &session.streams {
            if session.sent.may_hide_audio() {
                self.give_up_forwarding(*call, SkipReason::Unreadable);
            }
            if let Some(stream) = self.streams.get_mut(call) {
                stream.unheard = true;
            }
        }
        self.controls.retain(|_, owner| *owner != key);
        let streams = &session.streams;
        self.followed
            .retain(|_, followed| !streams.contains(followed));
        if let Some(orchestrator) = self.processes.get_mut(&session.process) {
            orchestrator.sessions.remove(&key);
        }
        self.orphan(session.process, session.names);
    }

    /// A process ended: so did all it had.
    pub(super) fn end_process(&mut self, tgid: Tgid, orchestrator: &Orchestrator, at: KtimeNs) {
        for key in orchestrator.sessions.iter().copied() {
            self.end_session(key, EndReason::Error, at);
            self.remove_session(key);
        }
        let streams: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.process == tgid)
            .map(|(call, _)| *call)
            .collect();
        for call in streams {
            if let Some(stream) = self.streams.get_mut(&call) {
                stream.unheard = true;
            }
            self.settle_stream(call);
        }
        self.publish_connections();
    }

    /// A connection to a worker ended: so did the sessions that live nowhere else, and the names
    /// asked for on it.
    pub(super) fn end_worker_connection(&mut self, connection: ConnectionId, at: KtimeNs) {
        if !self.asked_on.remove(&connection) {
            return;
        }
        let mut gone = Vec::new();
        for orchestrator in self.processes.values_mut() {
            let names: Vec<Id> = orchestrator
                .names
                .iter()
                .filter(|(_, name)| name.connection == Some(connection))
                .map(|(id, _)| id.clone())
                .collect();
            for name in names {
                if let Some(entry) = orchestrator.forget_name(&name) {
                    gone.extend(entry.owners.into_iter().map(|key| (key, name.clone())));
                }
            }
        }
        for (key, name) in gone {
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            session.names.retain(|other| *other != name);
            if session.transport == Transport::LiveKit && session.names.is_empty() {
                self.end_session(key, EndReason::Error, at);
                self.remove_session(key);
            }
        }
    }

    /// Of an agent's session nothing but silence may tell that it ended.
    fn expire_livekit(&mut self, key: SessionKey, now: KtimeNs) {
        let livekit = self
            .sessions
            .get(&key)
            .is_some_and(|session| session.transport == Transport::LiveKit);
        if livekit && self.is_idle(key, now) {
            self.end_session(key, EndReason::Timeout, now);
            self.remove_session(key);
        }
    }

    /// Time passed: settles what silence settles.
    pub(super) fn settle_sessions(&mut self, now: KtimeNs) {
        let keys: Vec<SessionKey> = self.sessions.keys().copied().collect();
        for key in keys {
            self.settle_interruption(key, now);
            self.expire_livekit(key, now);
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            session.expire_wait(now, &self.metrics.orchestrator);
            let missed = session.utterances.settle(now);
            self.tell_start(key);
            self.tell_over(key);
            for _ in 0..missed {
                self.skip(Measure::FirstAudio, SkipReason::Ambiguous);
            }
        }
    }
}

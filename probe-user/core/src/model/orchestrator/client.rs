//! What crosses between an orchestrator and its clients.

use super::OrchestratorModel;
use super::bounds::MAX_SESSIONS;
use super::ending::EndReason;
use super::session::{Phase, Session, SessionKey, Transport};
use crate::flow::Origin;
use crate::interpret::{
    ClientEvent, ClientFields, ClientWhat, Command, ConnectionEnd, Id, MessageKind,
};
use crate::metrics::{Measure, SkipReason};
use crate::record::{KtimeNs, Side};

impl OrchestratorModel {
    /// Something happened on a `WebSocket` connection.
    pub fn handle_client(&mut self, event: &ClientEvent) {
        if event.side != Side::Server || !self.processes.contains_key(&event.process) {
            return;
        }
        let at = event.at;
        let key = self.websockets.get(&event.connection).copied();
        match (&event.what, key) {
            (ClientWhat::Upgraded { requested }, _) => self.upgrade(event, *requested),
            (ClientWhat::Traced(context), _) => self.trace_session(event.connection, *context),
            (
                ClientWhat::Message {
                    origin,
                    kind,
                    fields,
                },
                key,
            ) => {
                self.count_message(*origin, *kind);
                match (key, origin) {
                    (Some(key), Origin::Server) => self.tell_client(key, at, *kind, fields),
                    (Some(key), Origin::Client) => self.hear_client(key, at, *kind, fields),
                    (None, _) => {}
                }
            }
            (ClientWhat::MessagesLost { origin }, key) => {
                self.skip(Measure::WebSocketMessage, SkipReason::Lost);
                if let Some(key) = key {
                    self.lose_messages(key, *origin, at);
                }
            }
            (
                ClientWhat::Closing {
                    by,
                    code,
                    keep_alive_timeout,
                },
                Some(key),
            ) => {
                let idle = self.is_idle(key, at);
                let reason = EndReason::of_close(*by, *code, *keep_alive_timeout, idle);
                self.end_session(key, reason, at);
            }
            (ClientWhat::Ended(end), Some(key)) => self.end_connection(key, *end, at),
            (ClientWhat::Closing { .. } | ClientWhat::Ended(_), None) => {}
        }
    }

    /// Whether a session has been silent for as long as its orchestrator lets it.
    pub(super) fn is_idle(&self, key: SessionKey, at: KtimeNs) -> bool {
        let limit = self.settings.idle_timeout_ms;
        let session = self.sessions.get(&key);
        limit.zip(session).is_some_and(|(limit, session)| {
            at.since(session.last_activity) >= u64::from(limit) * 1_000_000
        })
    }

    /// The client's connection is over.
    pub(super) fn end_connection(&mut self, key: SessionKey, end: ConnectionEnd, at: KtimeNs) {
        let reason = EndReason::of_connection(end, self.is_idle(key, at));
        self.end_session(key, reason, at);
        self.remove_session(key);
        self.publish_connections();
    }

    pub(super) fn publish_connections(&self) {
        self.metrics
            .orchestrator
            .connections_active
            .with(&[])
            .set(self.websockets.len() as f64);
    }

    fn upgrade(&mut self, event: &ClientEvent, requested: Option<KtimeNs>) {
        let at = event.at;
        if let Some(before) = self.websockets.get(&event.connection).copied() {
            self.end_connection(before, ConnectionEnd::Unknown, at);
        }
        if let Some(requested) = requested {
            self.count_message(Origin::Client, MessageKind::SessionStart);
            self.observe_processing(MessageKind::SessionStart, requested, at);
        }
        if let Some(orchestrator) = self.processes.get_mut(&event.process) {
            orchestrator.serves_websocket = true;
        }
        if self.sessions.len() >= MAX_SESSIONS {
            self.refuse("orchestrator_session");
            return;
        }
        let key = self.add_session(Session::new(
            event.process,
            Transport::WebSocket,
            event.connection,
            at,
        ));
        self.websockets.insert(event.connection, key);
        self.publish_connections();
        if requested.is_none() {
            self.begin_session(key, at, false);
        }
    }

    fn count_message(&mut self, origin: Origin, kind: MessageKind) {
        let metrics = &self.metrics.orchestrator;
        let (counters, family) = match origin {
            Origin::Server => (&mut self.sent, &metrics.messages_sent),
            Origin::Client => (&mut self.received, &metrics.messages_received),
        };
        counters
            .entry(kind)
            .or_insert_with(|| family.with(&[kind.as_str()]))
            .inc();
    }

    fn tell_client(
        &mut self,
        key: SessionKey,
        at: KtimeNs,
        kind: MessageKind,
        fields: &ClientFields,
    ) {
        match kind {
            MessageKind::SessionStarted => self.tell_started(key, at, fields.session.as_ref()),
            MessageKind::AudioFrame => {
                self.begin_session(key, at, true);
                self.send_audio(key, at, fields);
            }
            MessageKind::SessionEnded => {
                let idle = self.is_idle(key, at);
                let reason = fields.reason.as_ref().map(Id::as_str);
                self.reply(key, at);
                self.end_session(key, EndReason::of_message(reason, idle), at);
            }
            MessageKind::Error => {
                self.tell_error(key, fields.code.as_ref(), at);
            }
            MessageKind::Unknown => self.begin_session(key, at, true),
            MessageKind::Other
            | MessageKind::SessionStart
            | MessageKind::TextChunk
            | MessageKind::Control => self.reply(key, at),
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            session.sent.audio |= kind == MessageKind::AudioFrame;
            session.sent.other |= kind == MessageKind::Other;
            session.sent.unreadable |= kind == MessageKind::Unknown;
        }
        let ends = matches!(kind, MessageKind::SessionEnded | MessageKind::Error);
        if let Some(session) = self.sessions.get_mut(&key)
            && !ends
        {
            session.last_activity = at;
        }
    }

    fn tell_started(&mut self, key: SessionKey, at: KtimeNs, id: Option<&Id>) {
        self.reply(key, at);
        self.forget_told(key);
        if let Some(session) = self.sessions.get_mut(&key) {
            session.restart(at);
            session.told_id = id.cloned();
            session.known_as = id.cloned().or_else(|| session.known_as.take());
        }
        self.begin_session(key, at, true);
        if let Some(id) = id {
            self.bind_told(key, id, at);
        }
    }

    fn hear_client(
        &mut self,
        key: SessionKey,
        at: KtimeNs,
        kind: MessageKind,
        fields: &ClientFields,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.last_activity = at;
        session.cause = Some(at);
        session.first_message.get_or_insert(at);
        session.pending.receive(kind, at);
        match kind {
            MessageKind::TextChunk => {
                session.interrupted = false;
                session.last_text = Some(at);
                if !session.utterances.handle_text(at, fields.is_final) {
                    self.refuse("utterance");
                }
            }
            MessageKind::Control => self.hear_command(key, fields.command, at),
            MessageKind::Unknown => {
                session.unread = true;
                self.skip(Measure::FirstAudio, SkipReason::Unreadable);
            }
            _ => {}
        }
    }

    fn hear_command(&mut self, key: SessionKey, command: Option<Command>, at: KtimeNs) {
        match command {
            Some(Command::Pause | Command::Stop) => self.hear_interruption(key, at),
            Some(Command::Resume) => self.release(key, at),
            None | Some(Command::Unknown) => {
                if let Some(barge_in) = self
                    .sessions
                    .get_mut(&key)
                    .and_then(|session| session.barge_in.as_mut())
                {
                    barge_in.doubt(SkipReason::Unreadable);
                }
            }
            Some(Command::Reload | Command::Other) => {}
        }
    }

    fn lose_messages(&mut self, key: SessionKey, origin: Origin, at: KtimeNs) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.pending.give_up();
        match origin {
            Origin::Client => {
                session.utterances.lose_text();
                session.unread = true;
                session.cause = Some(at);
            }
            Origin::Server => {
                session.utterances.lose_audio();
                let streams = session.streams.clone();
                for call in streams {
                    self.give_up_forwarding(call, SkipReason::Lost);
                }
                // What says that a session started may have been among them.
                self.begin_session(key, at, true);
            }
        }
    }

    /// Something was sent that the client's oldest pending message caused.
    pub(super) fn reply(&mut self, key: SessionKey, at: KtimeNs) {
        let caused = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.pending.take(at));
        if let Some(caused) = caused
            && let Some(received) = caused.received
        {
            self.observe_processing(caused.kind, received, at);
        }
    }

    pub(super) fn observe_processing(&self, kind: MessageKind, received: KtimeNs, at: KtimeNs) {
        self.metrics
            .orchestrator
            .message_processing
            .with(&[kind.as_str()])
            .observe(at.ms_since(received));
    }

    /// Makes a connection a session.
    pub(super) fn begin_session(&mut self, key: SessionKey, at: KtimeNs, start_seen: bool) {
        if let Some(session) = self.sessions.get_mut(&key)
            && session.phase == Phase::Pending
        {
            session.begin(at, start_seen, &self.metrics.orchestrator);
        }
    }
}

//! What crosses between an orchestrator and its workers.

use super::OrchestratorModel;
use super::bounds::{MAX_CONTROLS, MAX_STREAMS, MAX_STREAMS_PER_SESSION};
use super::session::{Phase, SessionKey, Transport};
use super::stream::Stream;
use crate::flow::{CallEnd, CallId};
use crate::interpret::{Command, Event, Id, MessageKind, What};
use crate::metrics::{Measure, SkipReason};
use crate::record::{KtimeNs, Tgid};

impl OrchestratorModel {
    pub(super) fn handle_call(&mut self, event: &Event) {
        let (process, call, at) = (event.process, event.call, event.at);
        if !self.processes.contains_key(&process) {
            return;
        }
        match &event.what {
            What::Frame(frame) => self.receive_frame(call, at, frame),
            What::FramesLost => self.lose_frames(call, SkipReason::Lost),
            What::Text { is_final, length } => self.send_text(call, at, *is_final, *length),
            What::TextEnded => self.end_text(call),
            What::TextLost | What::MaybeCommanded => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.lost = true;
                }
            }
            What::StreamOpened => self.open_stream(process, call, at),
            What::StreamTraced(context) => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.trace = Some(*context);
                }
            }
            What::StreamSession(name) => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.name = Some(name.clone());
                }
            }
            What::StreamEnded(end) => self.end_stream(call, *end, at),
            What::SessionAsked { session, model } => {
                self.peers.spoke(call.connection);
                self.end_outage(process, call.connection);
                self.ask_session(
                    process,
                    call.connection,
                    session.as_ref(),
                    model.as_ref(),
                    at,
                );
            }
            What::SessionEndAsked { session } => {
                if let Some(session) = session {
                    self.ask_end(process, session, at);
                }
            }
            What::ControlReceived { session, command } => {
                self.send_command(process, call, session.as_ref(), *command, at);
            }
            What::ControlAnswered {
                received, success, ..
            } => self.receive_answer(call, *received, *success, at),
            What::CallFailed {
                method,
                session,
                model,
                failure,
            } => self.fail_call(event, *method, session.as_ref(), model.as_ref(), *failure),
            What::SessionStarted { model, .. } => {
                if let Some(model) = model {
                    self.peers.serve(call.connection, model);
                }
            }
            What::SessionMaybeStarted
            | What::SessionEnded { .. }
            | What::SessionMaybeEnded
            | What::ModelRequested { .. }
            | What::ModelRequestEnded
            | What::ModelLoaded { .. }
            | What::ModelUnloaded { .. }
            | What::ModelsListed { .. }
            | What::ModelsUnreadable => {}
        }
    }

    /// A stream is a session's from now on; `sent_before` are its stray audio messages from before
    /// the stream, when some since then may have been the stream's.
    pub(super) fn join_stream(&mut self, key: SessionKey, call: CallId, sent_before: Option<u64>) {
        let (Some(session), Some(stream)) =
            (self.sessions.get_mut(&key), self.streams.get_mut(&call))
        else {
            return;
        };
        if session.streams.len() < MAX_STREAMS_PER_SESSION {
            session.streams.push(call);
        }
        stream.forwards = session.transport == Transport::WebSocket;
        let Some(sent_before) = sent_before else {
            return;
        };
        let before = stream.forwarding.len();
        let sent = session.stray_audio.saturating_sub(sent_before);
        stream.forwarding.skip_sent(sent);
        self.pending_frames = self
            .pending_frames
            .saturating_sub(before.saturating_sub(stream.forwarding.len()));
        let begins = stream.first_text;
        for text in 0..stream.texts {
            let begins = begins.filter(|_| text == 0);
            session.utterances.handle_chunk(call, None, begins);
        }
    }

    /// Sessions that use a worker session.
    pub(super) fn owners(&self, process: Tgid, name: &Id) -> Vec<SessionKey> {
        self.processes
            .get(&process)
            .and_then(|orchestrator| orchestrator.names.get(name))
            .map(|name| name.owners.clone())
            .unwrap_or_default()
    }

    /// Something was sent to a worker that a client's pending message caused, if it is of one of
    /// these kinds, the likeliest first: what messages of other kinds cause is not known. Gives its
    /// kind.
    pub(super) fn caused(
        &mut self,
        key: SessionKey,
        by: &[MessageKind],
        at: KtimeNs,
    ) -> Option<MessageKind> {
        let session = self.sessions.get_mut(&key)?;
        let caused = session.pending.take_of(by, at)?;
        if let Some(received) = caused.received {
            self.observe_processing(caused.kind, received, at);
        }
        Some(caused.kind)
    }

    fn open_stream(&mut self, process: Tgid, call: CallId, at: KtimeNs) {
        self.peers.spoke(call.connection);
        self.end_outage(process, call.connection);
        if self.streams.len() >= MAX_STREAMS || self.streams.contains_key(&call) {
            self.refuse("orchestrator_stream");
            return;
        }
        let worker = self.peers.worker_of(call.connection).cloned();
        let mut stream = Stream::new(process, at, worker);
        stream.peer = self.peers.other_end_of(call);
        self.streams.insert(call, stream);
    }

    fn send_text(
        &mut self,
        call: CallId,
        at: KtimeNs,
        is_final: Option<bool>,
        length: Option<u32>,
    ) {
        self.decide_stream(call, at);
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        let first = stream.texts == 0 && stream.frames == 0 && !stream.lost;
        let begins = first.then_some(at);
        stream.first_text = stream.first_text.or(begins);
        let sum = stream.text_bytes.zip(length);
        stream.text_bytes = sum.map(|(sum, length)| sum.saturating_add(u64::from(length)));
        stream.texts = stream
            .texts
            .saturating_add(1)
            .min(MAX_STREAMS_PER_SESSION as u32);
        if stream.frames == 0 || std::mem::take(&mut stream.finished) {
            stream.awaiting = Some(at);
        }
        stream.text_final = is_final == Some(true);
        let (opened, owner) = (stream.opened, stream.session());
        let is_first = stream.texts == 1;
        let Some(key) = owner else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.interrupted = false;
        session.last_text = Some(at);
        session.last_activity = at;
        session.utterances.handle_chunk(call, is_final, begins);
        if std::mem::take(&mut session.unread) {
            session.utterances.doubt_begin(SkipReason::Unreadable);
        }
        let received = session.pending.received(MessageKind::TextChunk);
        // The call was opened for its first text, and that was sent before it.
        let opens = is_first && received.is_some_and(|received| opened >= received);
        let sent = if opens { opened } else { at };
        self.caused(key, &[MessageKind::TextChunk], sent);
    }

    fn end_text(&mut self, call: CallId) {
        let owner = self.streams.get(&call).and_then(Stream::session);
        if let Some(session) = owner.and_then(|key| self.sessions.get_mut(&key)) {
            session.utterances.handle_chunks_ended(call);
        }
    }

    fn end_stream(&mut self, call: CallId, end: CallEnd, at: KtimeNs) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        if stream.ended.is_some() {
            return;
        }
        let unfinished = stream.is_open();
        stream.ended = Some((end, at));
        if stream.worker.is_none() {
            stream.worker = self.peers.worker_of(call.connection).cloned();
        }
        let (process, owner) = (stream.process, stream.session());
        self.fail_stream(process, owner, call.connection, end, at);
        self.close_call(call, at, Some(end));
        if let Some(key) = owner {
            self.end_interrupted(key, call, end, unfinished, at);
            self.progress(key, call);
        }
    }

    fn ask_end(&mut self, process: Tgid, name: &Id, at: KtimeNs) {
        let Self {
            processes,
            sessions,
            ..
        } = self;
        let Some(orchestrator) = processes.get_mut(&process) else {
            return;
        };
        if let Some(entry) = orchestrator.names.get_mut(name)
            && entry.owners.len() + entry.asks > 1
        {
            // One of several that share the name; only of one that is over already is it known.
            let over = entry.owners.iter().position(|key| {
                sessions
                    .get(key)
                    .is_none_or(|session| session.phase == Phase::Ended)
            });
            if let Some(over) = over {
                let key = entry.owners.remove(over);
                if let Some(session) = sessions.get_mut(&key) {
                    session.names.retain(|other| other != name);
                }
            }
            return;
        }
        let Some(entry) = orchestrator.forget_name(name) else {
            return;
        };
        for key in entry.owners {
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            session.names.retain(|other| other != name);
            if session.names.is_empty() {
                self.end_by_worker_session(key, at);
            }
        }
    }

    fn send_command(
        &mut self,
        process: Tgid,
        call: CallId,
        name: Option<&Id>,
        command: Command,
        at: KtimeNs,
    ) {
        let owners = name.map_or(Vec::new(), |name| self.owners(process, name));
        let asked = |key: &SessionKey| {
            self.sessions
                .get(key)
                .is_some_and(|it| it.pending.has(MessageKind::Control))
        };
        let asking: Vec<SessionKey> = owners.iter().copied().filter(asked).collect();
        let interrupts = matches!(command, Command::Pause | Command::Stop);
        let key = match (owners.as_slice(), asking.as_slice()) {
            ([key], _) | (_, [key]) => *key,
            _ => {
                if interrupts && !owners.is_empty() {
                    self.skip(Measure::BargeIn, SkipReason::Ambiguous);
                }
                return;
            }
        };
        // A new text interrupts the one being spoken.
        self.caused(key, &[MessageKind::Control, MessageKind::TextChunk], at);
        match command {
            Command::Pause | Command::Stop => {
                if self.controls.len() < MAX_CONTROLS && self.tell_worker(key, at) {
                    self.controls.insert(call, key);
                }
            }
            Command::Resume => self.release(key, at),
            Command::Reload | Command::Other | Command::Unknown => {}
        }
    }

    fn receive_answer(
        &mut self,
        call: CallId,
        sent: Option<KtimeNs>,
        success: Option<bool>,
        at: KtimeNs,
    ) {
        let Some(key) = self.controls.remove(&call) else {
            return;
        };
        let barge_in = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.barge_in.as_mut());
        if let Some(barge_in) = barge_in {
            match (sent, success) {
                (Some(_), Some(_)) => barge_in.answer(at),
                _ => barge_in.fail_answer(SkipReason::Lost),
            }
        }
        self.finish_interruption(key);
    }
}

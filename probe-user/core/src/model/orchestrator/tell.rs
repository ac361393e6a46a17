//! What an orchestrator's part tells once it is over.

use super::OrchestratorModel;
use super::session::{Phase, SessionKey};
use super::stream::{Owner, Stream};
use super::utterance::Utterance;
use crate::flow::{CallEnd, CallId};
use crate::metrics::SkipReason;
use crate::model::story::{
    CallStory, InterruptionStory, SessionChange, SessionStory, Story, UtteranceId, UtteranceStory,
};
use crate::record::{ConnectionId, KtimeNs, Role, TraceContext};

impl OrchestratorModel {
    /// Keeps stories from now on, for [`Self::take_stories`].
    pub fn keep_stories(&mut self) {
        self.stories.keep();
    }

    /// What is over since the last call.
    pub fn take_stories(&mut self) -> Vec<Story> {
        self.stories.take()
    }

    /// Whether a call at a worker's end is followed at an orchestrator's, whose story is still to come.
    pub fn will_tell(&self, worker: CallId) -> bool {
        let mut streams = self.streams.values();
        streams.any(|stream| stream.peer == Some(worker) && !stream.told)
    }

    /// The utterance that a call at a worker's end is for, where that is known, and the trace that a header
    /// says.
    pub fn utterance_of(&self, worker: CallId) -> Option<(UtteranceId, Option<TraceContext>)> {
        let mut streams = self.streams.iter();
        let (call, stream) = streams.find(|(_, stream)| stream.peer == Some(worker))?;
        let key = stream.session()?;
        let session = self.sessions.get(&key)?;
        let number = session.utterances.number_of(*call)?;
        let trace = session.trace.or(stream.trace);
        Some((session.utterance_id(key, number), trace))
    }

    /// The request for a client's connection said which trace it belongs to.
    pub(super) fn trace_session(&mut self, connection: ConnectionId, context: TraceContext) {
        let key = self.websockets.get(&connection);
        if let Some(session) = key.and_then(|key| self.sessions.get_mut(key)) {
            session.trace = Some(context);
        }
    }

    /// No more frames of a stream will come, or count.
    pub(super) fn close_call(&mut self, call: CallId, at: KtimeNs, end: Option<CallEnd>) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        if stream.closed.is_none() && end != Some(CallEnd::Unknown) {
            stream.closed = Some((at, end));
        }
        self.tell_call(call);
    }

    /// Nothing more is learnt of a stream.
    pub(super) fn tell_call(&mut self, call: CallId) {
        let kept = self.stories.are_kept();
        let Some(stream) = self.streams.get_mut(&call).filter(|_| kept) else {
            return;
        };
        if std::mem::replace(&mut stream.told, true) {
            return;
        }
        let (process, story) = (stream.process, stream.story(call));
        let key = stream.session();
        let reason = match stream.owner {
            Owner::OneOf(_) | Owner::Nobody => SkipReason::Ambiguous,
            Owner::Undecided | Owner::One(_) => SkipReason::Lost,
        };
        let session = key.and_then(|key| self.sessions.get_mut(&key));
        let rest = match session {
            Some(session) => session.utterances.close_call(story),
            None => Some(story),
        };
        match (rest, key) {
            (Some(call), _) => self.tell(Story::Call {
                process,
                call,
                reason,
            }),
            (None, Some(key)) => self.tell_over(key),
            (None, None) => {}
        }
    }

    /// Tells the utterances of a session that are over.
    pub(super) fn tell_over(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if self.stories.are_kept() {
            let over = session.utterances.take_over();
            self.tell_utterances(key, over);
        } else {
            session.utterances.forget_over();
        }
    }

    /// Nothing more is learnt of a session: tells what there is of its utterances.
    pub(super) fn tell_all(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        for call in session.utterances.open_calls() {
            if let Some(stream) = self.streams.get_mut(&call) {
                stream.told = self.stories.are_kept();
                session.utterances.close_call(stream.story(call));
            }
        }
        let all = session.utterances.take_all();
        self.tell_utterances(key, all);
    }

    /// Tells an interruption that was measured.
    pub(super) fn tell_interruption(
        &mut self,
        key: SessionKey,
        number: Option<u64>,
        trigger: &'static str,
        latency_ms: f64,
    ) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let calls = number.map(|number| {
            let utterances = &mut session.utterances;
            utterances.measure_interruption(number, latency_ms)
        });
        let streams = calls.iter().flatten().map(|call| self.streams.get(call));
        let trace = session
            .trace
            .or_else(|| streams.flatten().find_map(|stream| stream.trace));
        let story = Story::Interruption(InterruptionStory {
            utterance: number.map(|number| session.utterance_id(key, number)),
            trace,
            process: session.process,
            session: session.known_as.clone(),
            model: session.model.clone(),
            trigger,
            latency_ms,
        });
        self.tell(story);
    }

    /// Tells that a session is counted as started, once.
    pub(super) fn tell_start(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if session.is_counted() && !std::mem::replace(&mut session.start_told, true) {
            let story = session.story(SessionChange::Started);
            self.tell(Story::Session(story));
        }
    }

    /// Tells that a session that was told ended.
    pub(super) fn tell_end(&mut self, key: SessionKey, reason: &'static str) {
        self.tell_start(key);
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        if session.phase == Phase::Ended {
            let story = session.story(SessionChange::Ended(Some(reason)));
            self.tell(Story::Session(story));
        }
    }

    fn tell_utterances(&mut self, key: SessionKey, utterances: Vec<Utterance>) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let stories = utterances.into_iter().map(|utterance| {
            Story::Utterance(UtteranceStory {
                id: session.utterance_id(key, utterance.number),
                process: session.process,
                session: session.known_as.clone(),
                model: session.model.clone(),
                transport: session.transport.as_str(),
                trace: session.trace,
                asked: utterance.begun,
                audio: utterance.audio,
                doubt: utterance.doubt.or(utterance.blurred),
                barge_in_ms: utterance.barge_in_ms,
                calls: utterance.calls,
            })
        });
        for story in stories.collect::<Vec<_>>() {
            self.tell(story);
        }
    }

    fn tell(&mut self, story: Story) {
        if !self.stories.add(story) {
            self.refuse("story");
        }
    }
}

impl Stream {
    fn story(&self, call: CallId) -> CallStory {
        let sure = !self.lost;
        CallStory {
            call,
            peer: self.peer,
            worker: self.worker.clone(),
            trace: self.trace,
            text: self.first_text,
            text_bytes: self.text_bytes.filter(|_| sure),
            first_frame: self.first_frame,
            frames: sure.then_some(self.frames),
            answered_ms: self.answered_ms,
            end: self.closed,
        }
    }
}

impl super::session::Session {
    fn story(&self, change: SessionChange) -> SessionStory {
        SessionStory {
            process: self.process,
            role: Role::Orchestrator,
            worker: None,
            session: self.known_as.clone(),
            model: self.model.clone(),
            transport: Some(self.transport.as_str()),
            change,
        }
    }
}

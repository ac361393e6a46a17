//! Interruptions of sessions: what starts them, what belongs to them, and when they are over.

use super::OrchestratorModel;
use super::barge_in::{BargeIn, Trigger};
use super::session::{Phase, SessionKey};
use super::stream::Stream;
use crate::flow::{CallEnd, CallId, Origin};
use crate::interpret::{Event, MessageKind, What};
use crate::metrics::{Measure, SkipReason};
use crate::record::{KtimeNs, Tgid};

impl OrchestratorModel {
    /// The user of one of a process's sessions began to speak.
    pub(super) fn hear_start(&mut self, tgid: Tgid, at: KtimeNs) {
        let live = self.live_sessions(tgid);
        let speaking: Vec<SessionKey> = live
            .iter()
            .copied()
            .filter(|key| self.is_speaking(*key, at))
            .collect();
        let doubt = (speaking.len() > 1).then_some(SkipReason::Ambiguous);
        let sure = live.len() == 1;
        for key in speaking {
            self.drop_noise(key, at);
            let streams = self.open_streams(key);
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            if session.interrupted || session.barge_in.is_some() {
                continue;
            }
            let spoken = session.utterances.spoken();
            let barge_in = BargeIn::new(Trigger::Vad, at, streams.clone(), spoken);
            session.barge_in = Some(if sure {
                barge_in
            } else {
                barge_in.unsure(doubt)
            });
            self.follow(&streams);
        }
    }

    /// The user of one of a process's sessions stopped speaking.
    pub(super) fn hear_end(&mut self, tgid: Tgid, at: KtimeNs) {
        match self.live_sessions(tgid).as_slice() {
            [] => {}
            [key] => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.speech_ended = Some(at);
                }
            }
            _ => self.skip(Measure::EndToEnd, SkipReason::Ambiguous),
        }
    }

    /// The client sent PAUSE or STOP.
    pub(super) fn hear_interruption(&mut self, key: SessionKey, at: KtimeNs) {
        self.drop_noise(key, at);
        let speaking = self.is_speaking(key, at);
        self.hold(key, at);
        let streams = self.open_streams(key);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.utterances.interrupt();
        match &mut session.barge_in {
            Some(barge_in) => barge_in.add_control(at),
            None if speaking && !session.interrupted => {
                let spoken = session.utterances.spoken();
                session.barge_in =
                    Some(BargeIn::new(Trigger::Control, at, streams.clone(), spoken));
                self.follow(&streams);
            }
            None => {}
        }
    }

    /// PAUSE or STOP was sent to the worker. Whether its answer is awaited.
    pub(super) fn tell_worker(&mut self, key: SessionKey, at: KtimeNs) -> bool {
        self.drop_noise(key, at);
        let speaking = self.is_speaking(key, at);
        self.hold(key, at);
        let streams = self.open_streams(key);
        let Some(session) = self.sessions.get_mut(&key) else {
            return false;
        };
        session.utterances.interrupt_spoken();
        if session.barge_in.is_none() && speaking && !session.interrupted {
            let spoken = session.utterances.spoken();
            session.barge_in = Some(BargeIn::new(Trigger::Grpc, at, streams.clone(), spoken));
        }
        let awaited = session.barge_in.is_some();
        if let Some(barge_in) = &mut session.barge_in {
            barge_in.ask(at);
        }
        self.follow(&streams);
        awaited
    }

    /// RESUME: what was held goes on.
    pub(super) fn release(&mut self, key: SessionKey, at: KtimeNs) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        for call in &session.streams {
            if let Some(stream) = self.streams.get_mut(call) {
                stream.held = false;
            }
        }
        session.last_activity = at;
        self.close_interruption(key);
        if let Some(session) = self.sessions.get_mut(&key) {
            session.interrupted = false;
        }
    }

    /// A stream of a session ended; `unfinished` when audio was still to come.
    pub(super) fn end_interrupted(
        &mut self,
        key: SessionKey,
        call: CallId,
        end: CallEnd,
        unfinished: bool,
        at: KtimeNs,
    ) {
        let followed = self.followed.values().any(|followed| *followed == call);
        let gave_up = matches!(
            end,
            CallEnd::Reset {
                by: Origin::Client,
                ..
            }
        );
        if gave_up && unfinished {
            self.drop_noise(key, at);
            self.reset_stream(key, call, at, followed);
        } else {
            self.finish_stream_audio(key, call);
        }
    }

    /// No more audio of a stream will come.
    pub(super) fn finish_stream_audio(&mut self, key: SessionKey, call: CallId) {
        self.followed.retain(|_, followed| *followed != call);
        if let Some(session) = self.sessions.get_mut(&key)
            && let Some(barge_in) = &mut session.barge_in
        {
            barge_in.end_stream(call);
            self.finish_interruption(key);
        }
    }

    /// Audio of a session's stream arrived.
    pub(super) fn sign_audio(&mut self, key: SessionKey, call: CallId, at: KtimeNs) {
        let Some(barge_in) = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.barge_in.as_mut())
        else {
            return;
        };
        if !barge_in.is_of(call) {
            // The next utterance is heard: nothing of the one before will be.
            if barge_in.is_answered() {
                self.close_interruption(key);
            }
        } else if !self.followed.values().any(|followed| *followed == call) {
            // Where the worker is followed, what counts is when it sent it.
            barge_in.sign(at);
        }
    }

    /// Something happened at the worker's end of a stream that may be followed.
    pub(super) fn handle_worker(&mut self, event: &Event) {
        let Some(call) = self.followed.get(&event.call).copied() else {
            return;
        };
        let Some(key) = self.streams.get(&call).and_then(Stream::session) else {
            return;
        };
        match &event.what {
            What::Frame(frame) if frame.audio_bytes != Some(0) => {
                if let Some(barge_in) = self.barge_in(key) {
                    barge_in.sign(event.at);
                }
            }
            What::FramesLost => {
                if let Some(barge_in) = self.barge_in(key) {
                    barge_in.doubt(SkipReason::Lost);
                }
            }
            What::StreamEnded(_) => {
                if let Some(barge_in) = self.barge_in(key) {
                    barge_in.settle_followed();
                }
                self.finish_stream_audio(key, call);
            }
            _ => {}
        }
    }

    /// Observes an interruption that is over.
    pub(super) fn finish_interruption(&mut self, key: SessionKey) {
        let over = self
            .sessions
            .get(&key)
            .and_then(|session| session.barge_in.as_ref())
            .is_some_and(BargeIn::is_over);
        if over {
            self.close_interruption(key);
        }
    }

    /// Observes an interruption as it stands: nothing more of it will be seen.
    pub(super) fn close_interruption(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(barge_in) = session.barge_in.take() else {
            return;
        };
        self.followed
            .retain(|_, followed| !barge_in.is_of(*followed));
        if !barge_in.is_confirmed() {
            return;
        }
        // Unless something else was asked for meanwhile.
        session.interrupted = session
            .last_text
            .is_none_or(|last| last <= barge_in.since());
        match barge_in.latency() {
            Ok(ms) => {
                let trigger = barge_in.trigger.as_str();
                let latency = &self.metrics.orchestrator.latency_barge_in;
                latency.with(&[session.model_label(), trigger]).observe(ms);
                self.tell_interruption(key, barge_in.spoken, trigger, ms);
            }
            Err(reason) => self.metrics.probe.skip(Measure::BargeIn, reason),
        }
    }

    /// Time passed: settles interruptions that have come to rest.
    pub(super) fn settle_interruption(&mut self, key: SessionKey, now: KtimeNs) {
        self.drop_noise(key, now);
        let settled = self
            .sessions
            .get(&key)
            .and_then(|session| session.barge_in.as_ref())
            .is_some_and(|barge_in| barge_in.is_confirmed() && barge_in.is_settled(now));
        if settled {
            self.close_interruption(key);
        }
    }

    fn reset_stream(&mut self, key: SessionKey, call: CallId, at: KtimeNs, followed: bool) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        // After its end a session has nothing to interrupt: its calls are being cleaned up.
        if session.phase != Phase::Live {
            session.barge_in = None;
            return;
        }
        let spoke = self
            .streams
            .get(&call)
            .is_some_and(|stream| stream.frames > 0 || stream.texts > 0);
        self.caused(key, &[MessageKind::Control, MessageKind::TextChunk], at);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if session.barge_in.is_none() && spoke && !session.interrupted {
            let spoken = session.utterances.spoken();
            session.barge_in = Some(BargeIn::new(Trigger::Grpc, at, vec![call], spoken));
            self.follow(&[call]);
        }
        let followed = followed || self.followed.values().any(|it| *it == call);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(barge_in) = &mut session.barge_in else {
            return;
        };
        barge_in.reset(at);
        if followed {
            return;
        }
        // What arrives after the reset is unseen: it took effect with it, as far as can be told.
        if barge_in.trigger == Trigger::Grpc {
            barge_in.doubt(SkipReason::CutOff);
        } else if barge_in.is_of(call) {
            barge_in.sign(at);
        }
        barge_in.end_stream(call);
        self.finish_interruption(key);
    }

    fn barge_in(&mut self, key: SessionKey) -> Option<&mut BargeIn> {
        self.sessions.get_mut(&key)?.barge_in.as_mut()
    }

    /// Follows streams at the workers' ends.
    fn follow(&mut self, streams: &[CallId]) {
        for call in streams {
            if let Some(worker) = self.peers.other_end_of(*call) {
                self.followed.insert(worker, *call);
            }
        }
    }

    fn hold(&mut self, key: SessionKey, at: KtimeNs) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        for call in &session.streams {
            if let Some(stream) = self.streams.get_mut(call) {
                stream.held = true;
                stream.hold = Some(at);
            }
        }
    }

    /// The user was heard, and nothing followed: that was no interruption.
    fn drop_noise(&mut self, key: SessionKey, now: KtimeNs) {
        let noise = self
            .sessions
            .get(&key)
            .and_then(|session| session.barge_in.as_ref())
            .is_some_and(|barge_in| barge_in.is_noise(now));
        if noise {
            self.close_interruption(key);
        }
    }

    fn is_speaking(&self, key: SessionKey, at: KtimeNs) -> bool {
        self.sessions.get(&key).is_some_and(|session| {
            session.phase == Phase::Live
                && (session.utterances.is_speaking(at) || !self.open_streams(key).is_empty())
        })
    }

    /// Streams of a session that were given text or gave audio, and whose audio is not over.
    fn open_streams(&self, key: SessionKey) -> Vec<CallId> {
        let open = |call: &CallId| {
            self.streams
                .get(call)
                .is_some_and(|stream| stream.is_open() && (stream.texts > 0 || stream.frames > 0))
        };
        self.sessions.get(&key).map_or(Vec::new(), |session| {
            session.streams.iter().copied().filter(open).collect()
        })
    }

    fn live_sessions(&self, tgid: Tgid) -> Vec<SessionKey> {
        let live = |key: &SessionKey| {
            self.sessions
                .get(key)
                .is_some_and(|session| session.phase == Phase::Live)
        };
        self.processes
            .get(&tgid)
            .map_or(Vec::new(), |orchestrator| {
                orchestrator.sessions.iter().copied().filter(live).collect()
            })
    }
}

//! Audio on its way from a worker through the orchestrator to the client.

use super::OrchestratorModel;
use super::bounds::MAX_PENDING_FRAMES_IN_ALL;
use super::forwarding::{Received, Sent};
use super::session::{SessionKey, Transport};
use super::stream::Stream;
use super::utterance::{FirstAudio, Heard};
use crate::flow::{CallEnd, CallId};
use crate::interpret::{AudioFrame, ClientFields};
use crate::metrics::{Measure, SkipReason};
use crate::record::KtimeNs;

/// Which stream an audio message is of.
enum Source {
    One(CallId),
    Several(Vec<CallId>),
    None,
}

impl OrchestratorModel {
    /// A frame came from a worker.
    pub(super) fn receive_frame(&mut self, call: CallId, at: KtimeNs, frame: &AudioFrame) {
        match frame.audio_bytes {
            // An end marker without audio is no frame, and is not sent on.
            Some(0) => {}
            Some(_) => self.receive_audio(call, at, frame),
            None => self.lose_frames(call, SkipReason::Unreadable),
        }
        if frame.is_final == Some(true) {
            let Some(stream) = self.streams.get_mut(&call) else {
                return;
            };
            stream.finished = true;
            let owner = stream.session();
            self.close_call(call, at, None);
            if let Some(key) = owner {
                self.finish_stream_audio(key, call);
                self.progress(key, call);
            }
        }
    }

    /// Frames went unseen.
    pub(super) fn lose_frames(&mut self, call: CallId, reason: SkipReason) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        stream.lost = true;
        let owner = stream.session();
        self.give_up_forwarding(call, reason);
        if let Some(session) = owner.and_then(|key| self.sessions.get_mut(&key))
            && let Some(barge_in) = &mut session.barge_in
            && barge_in.is_of(call)
            && !self.followed.values().any(|followed| *followed == call)
        {
            barge_in.doubt(reason);
        }
    }

    /// Frames and messages of a stream cannot be compared any more.
    pub(super) fn give_up_forwarding(&mut self, call: CallId, reason: SkipReason) {
        self.change_forwarding(call, |stream| stream.forwarding.give_up(reason));
    }

    /// Changes what waits on a stream, and their number with it.
    pub(super) fn change_forwarding<T>(
        &mut self,
        call: CallId,
        change: impl FnOnce(&mut Stream) -> T,
    ) -> Option<T> {
        let stream = self.streams.get_mut(&call)?;
        let before = stream.forwarding.len();
        let result = change(stream);
        let after = stream.forwarding.len();
        self.pending_frames = self
            .pending_frames
            .saturating_add(after)
            .saturating_sub(before);
        Some(result)
    }

    /// Audio was sent to a client.
    pub(super) fn send_audio(&mut self, key: SessionKey, at: KtimeNs, fields: &ClientFields) {
        let sent = Sent {
            at,
            number: fields.sequence,
            duration_ms: fields.duration_ms,
        };
        let source = match self.source(key, &sent) {
            Source::One(call) => {
                self.forward(key, call, &sent);
                Some(call)
            }
            Source::Several(calls) => {
                for call in calls {
                    self.give_up_forwarding(call, SkipReason::Ambiguous);
                }
                None
            }
            Source::None => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.stray_audio += 1;
                }
                self.narrow_streams(key, at);
                None
            }
        };
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let heard = session.utterances.handle_audio(at, sent.number, source);
        self.observe_heard(key, at, heard);
        if let Some(call) = source {
            self.progress(key, call);
        }
        self.tell_over(key);
    }

    /// A stream whose call is over and whose frames were all sent on is done.
    pub(super) fn progress(&mut self, key: SessionKey, call: CallId) {
        let done = self.streams.get(&call).is_some_and(|stream| {
            !stream.is_open()
                && stream.forwarding.len() == 0
                && stream.forwarding.broken().is_none()
        });
        if let Some(session) = self.sessions.get_mut(&key).filter(|_| done) {
            session.utterances.end_stream(call);
            self.tell_over(key);
        }
    }

    fn receive_audio(&mut self, call: CallId, at: KtimeNs, frame: &AudioFrame) {
        if let Some(stream) = self.streams.get_mut(&call) {
            if stream.frames == 0 && !stream.lost {
                stream.first_frame = Some(at);
            }
            stream.frames += 1;
            stream.peer = stream.peer.or_else(|| self.peers.other_end_of(call));
        }
        self.decide_stream(call, at);
        let full = self.pending_frames >= MAX_PENDING_FRAMES_IN_ALL;
        let Some((owner, awaited, lost)) = self.change_forwarding(call, |stream| {
            stream.last_audio = at;
            if full {
                stream.forwarding.give_up(SkipReason::Unreadable);
            }
            if stream.session().is_some() && !stream.forwards {
                return (stream.session(), stream.awaiting.take(), stream.lost);
            }
            stream.forwarding.receive(Received {
                at,
                number: frame.sequence.filter(|number| *number > 0),
                duration_ms: frame.duration_ms.filter(|ms| *ms > 0),
                held: stream.held,
            });
            (stream.session(), stream.awaiting.take(), stream.lost)
        }) else {
            return;
        };
        let Some(key) = owner else {
            return;
        };
        self.sign_audio(key, call, at);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.last_activity = at;
        if session.transport == Transport::LiveKit
            && let Some(text) = awaited
        {
            let heard = if lost {
                Heard::Unsure(SkipReason::Lost)
            } else {
                let latency_ms = Some(at.ms_since(text));
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.answered_ms = stream.answered_ms.or(latency_ms);
                }
                Heard::First(FirstAudio {
                    latency_ms,
                    input: None,
                })
            };
            self.observe_heard(key, at, heard);
        }
    }

    fn observe_heard(&mut self, key: SessionKey, at: KtimeNs, heard: Heard) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let metrics = &self.metrics.orchestrator;
        match heard {
            Heard::More => {}
            Heard::First(first) => {
                let speech = session.speech_ended.take();
                if let Some(ms) = first.latency_ms {
                    session.observe_first_audio(ms, metrics);
                }
                if let Some(input) = first.input.max(speech) {
                    metrics
                        .latency_e2e
                        .with(&[session.transport.as_str()])
                        .observe(at.ms_since(input));
                }
            }
            Heard::Unsure(reason) => {
                session.speech_ended = None;
                self.skip(Measure::FirstAudio, reason);
                self.skip(Measure::EndToEnd, reason);
            }
        }
    }

    /// The stream whose frame an audio message carries, of those known to be the session's.
    fn source(&self, key: SessionKey, sent: &Sent) -> Source {
        let Some(session) = self.sessions.get(&key) else {
            return Source::None;
        };
        let of = |condition: &dyn Fn(&Stream) -> bool| -> Vec<CallId> {
            let holds = |call: &CallId| self.streams.get(call).is_some_and(condition);
            session.streams.iter().copied().filter(holds).collect()
        };
        let holding = of(&|stream| stream.forwarding.may_hold(sent));
        let narrowed = match holding.as_slice() {
            // Records of two connections may cross: the frame comes after its message.
            [] => of(&|stream| stream.ended.is_none() && stream.forwarding.broken().is_none()),
            [_] => holding,
            _ => {
                let numbered = of(&|stream| {
                    stream.forwarding.may_hold(sent) && stream.forwarding.has_number(sent.number)
                });
                let live = of(&|stream| {
                    stream.forwarding.may_hold(sent)
                        && !matches!(stream.ended, Some((CallEnd::Reset { .. }, _)))
                });
                [numbered, live]
                    .into_iter()
                    .find(|calls| calls.len() == 1)
                    .unwrap_or(holding)
            }
        };
        match narrowed.as_slice() {
            [] => Source::None,
            [one] => Source::One(*one),
            _ => Source::Several(narrowed),
        }
    }

    fn forward(&mut self, key: SessionKey, call: CallId, sent: &Sent) {
        let dropped = self.change_forwarding(call, |stream| {
            stream.last_audio = sent.at;
            let dropped = stream.forwarding.forward(sent, stream.hold);
            stream.dropped = stream.dropped.saturating_add(dropped.free);
            dropped
        });
        if let Some(dropped) = dropped {
            self.count_held(call, dropped.held);
        }
        let before = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.source.replace(call))
            .filter(|before| *before != call);
        // The next utterance is being sent: nothing more of the one before will be.
        if let Some(before) = before
            && self
                .streams
                .get(&before)
                .is_some_and(|stream| stream.ended.is_some())
        {
            self.settle_stream(before);
        }
    }
}

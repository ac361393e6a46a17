//! What a client asks to be spoken, from its first text to the end of its audio.
//!
//! One utterance is the run of text messages up to the one that says it is the last; of a client that
//! never says so, up to the end of what was spoken of them. Its text leaves
//! on one synthesis stream or on several; its audio comes back on the session's connection, where
//! only order, numbers and the frames received tell one utterance's from the next one's.

mod over;

use std::collections::VecDeque;

use super::bounds::{MAX_STREAMS_PER_SESSION, MAX_UTTERANCES, SETTLE_NS};
use crate::flow::CallId;
use crate::metrics::SkipReason;
use crate::model::story::{CallStory, SentAudio};
use crate::record::KtimeNs;

/// One utterance.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one independent fact about the utterance"
)]
pub(super) struct Utterance {
    /// Its number in the session, from 1.
    pub(super) number: u64,
    /// Receive of the message that starts it; `None` when nobody asked for it.
    pub(super) begun: Option<KtimeNs>,
    /// The user's last input before its audio.
    input: Option<KtimeNs>,
    /// More text of it may come.
    open: bool,
    /// The client does not say whether.
    unsaid: bool,
    /// Text messages of it.
    texts: u32,
    /// Texts sent to the worker for it.
    chunks: u32,
    /// The last text was sent to the worker.
    complete: bool,
    streams: Vec<CallId>,
    /// Its first audio was sent.
    speaking: bool,
    /// Why its first audio cannot be told.
    pub(super) doubt: Option<SkipReason>,
    /// Why the rest of its audio cannot be told.
    pub(super) blurred: Option<SkipReason>,
    /// Audio sent.
    pub(super) audio: Option<SentAudio>,
    /// What its interruption took, milliseconds.
    pub(super) barge_in_ms: Option<f64>,
    /// Calls that began with a text of it.
    pub(super) calls: Vec<CallStory>,
    /// Those of them whose story is still to come.
    open_calls: Vec<CallId>,
}

impl Utterance {
    fn owes_text(&self) -> bool {
        self.texts > 0 && !self.complete && self.chunks < self.texts
    }

    fn is_of(&self, call: CallId) -> bool {
        self.streams.contains(&call)
    }

    fn add_stream(&mut self, call: CallId) {
        if !self.is_of(call) && self.streams.len() < MAX_STREAMS_PER_SESSION {
            self.streams.push(call);
        }
    }
}

/// The first audio of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FirstAudio {
    /// Milliseconds since the text that started the utterance; `None` when no text did.
    pub(super) latency_ms: Option<f64>,
    /// When the user's last text came.
    pub(super) input: Option<KtimeNs>,
}

/// What an audio message means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    /// It goes on with what was being spoken, or may do.
    More,
    /// It is the first of an utterance.
    First(FirstAudio),
    /// It is the first of an utterance, and its latency is unknown.
    Unsure(SkipReason),
}

/// Utterances of one session that are not over, oldest first.
#[derive(Debug, Default)]
pub(super) struct Utterances {
    queue: VecDeque<Utterance>,
    last_audio: Option<KtimeNs>,
    last_number: Option<i64>,
    /// Text may have gone unseen: the next message may go on with it.
    text_lost: bool,
    /// Those that are over and whose story was not told.
    over: Vec<Utterance>,
    /// So many were there.
    count: u64,
}

impl Utterances {
    /// A text message came. False when it belongs to an utterance beyond the bound.
    pub(super) fn handle_text(&mut self, at: KtimeNs, is_final: Option<bool>) -> bool {
        let lost = std::mem::take(&mut self.text_lost);
        if self.queue.back().is_none_or(|back| !back.open) {
            if self.queue.len() >= MAX_UTTERANCES {
                return false;
            }
            self.push(Utterance {
                begun: Some(at),
                open: true,
                doubt: lost.then_some(SkipReason::Lost),
                ..Utterance::default()
            });
        }
        let Some(utterance) = self.queue.back_mut() else {
            return false;
        };
        utterance.texts = utterance.texts.saturating_add(1);
        utterance.complete = false;
        if !utterance.speaking {
            utterance.input = Some(at);
        }
        utterance.unsaid = is_final.is_none();
        if is_final == Some(true) {
            utterance.open = false;
        }
        true
    }

    /// The last text was refused: it is not spoken, and begins nothing.
    pub(super) fn refuse_text(&mut self) {
        let Some(utterance) = self.queue.back_mut() else {
            return;
        };
        utterance.texts = utterance.texts.saturating_sub(1);
        if utterance.texts == 0 && utterance.streams.is_empty() && !utterance.speaking {
            self.queue.pop_back();
        }
    }

    /// Text messages may have gone unseen.
    pub(super) fn lose_text(&mut self) {
        self.text_lost = true;
    }

    /// Audio messages may have gone unseen.
    pub(super) fn lose_audio(&mut self) {
        for utterance in &mut self.queue {
            if utterance.speaking {
                utterance.blurred = Some(SkipReason::Lost);
            } else {
                utterance.doubt = Some(SkipReason::Lost);
            }
        }
        self.last_number = None;
    }

    /// Text was sent to the worker on one of the session's streams, which began with it at `begins`.
    pub(super) fn handle_chunk(
        &mut self,
        call: CallId,
        is_final: Option<bool>,
        begins: Option<KtimeNs>,
    ) {
        let next = self.queue.iter().position(|it| it.streams.is_empty());
        let current = self
            .queue
            .iter()
            .rposition(|it| it.is_of(call) && !it.complete)
            .filter(|index| {
                let spent = self
                    .queue
                    .get(*index)
                    .is_some_and(|it| !it.open && it.chunks >= it.texts);
                !(spent && next.is_some())
            });
        let last = self.queue.len().checked_sub(1).filter(|index| {
            self.queue
                .get(*index)
                .is_some_and(|it| it.open || it.owes_text())
        });
        let index = current.or(next).or(last).unwrap_or_else(|| {
            if self.queue.len() >= MAX_UTTERANCES {
                let oldest = self.queue.pop_front();
                self.finish(oldest);
            }
            self.push(Utterance::default());
            self.queue.len() - 1
        });
        if let Some(utterance) = self.queue.get_mut(index) {
            utterance.add_stream(call);
            if begins.is_some() && utterance.open_calls.len() < MAX_STREAMS_PER_SESSION {
                utterance.open_calls.push(call);
            }
            utterance.chunks = utterance.chunks.saturating_add(1);
            utterance.complete |= is_final == Some(true);
        }
    }

    /// No more text will be sent on a stream.
    pub(super) fn handle_chunks_ended(&mut self, call: CallId) {
        for utterance in self.queue.iter_mut().filter(|it| it.is_of(call)) {
            utterance.complete |= utterance.chunks >= utterance.texts;
        }
    }

    /// Whether text came that no synthesis stream was given yet.
    pub(super) fn owes_text(&self) -> bool {
        self.queue.iter().any(Utterance::owes_text)
    }

    /// Whether something is asked for or being spoken.
    pub(super) fn is_speaking(&self, at: KtimeNs) -> bool {
        let recent = self
            .last_audio
            .is_some_and(|last| at.since(last) < SETTLE_NS);
        self.queue
            .iter()
            .any(|it| !it.streams.is_empty() || (it.speaking && recent))
    }

    /// An audio message was sent. `source` is the stream whose frame it is, where that is known.
    pub(super) fn handle_audio(
        &mut self,
        at: KtimeNs,
        number: Option<i64>,
        source: Option<CallId>,
    ) -> Heard {
        let restarts = number
            .zip(self.last_number)
            .map(|(number, last)| number <= last);
        self.last_number = number;
        self.last_audio = Some(at);
        let current = self.queue.iter().rposition(|it| it.speaking);
        let waiting = self.queue.iter().position(|it| !it.speaking);
        match (current, waiting) {
            (None, Some(waiting)) => self.start(waiting, at, source),
            (None, None) => {
                self.push(Utterance {
                    speaking: true,
                    streams: source.into_iter().collect(),
                    ..Utterance::default()
                });
                Heard::First(FirstAudio {
                    latency_ms: None,
                    input: None,
                })
            }
            (Some(current), None) => self.go_on(current, at),
            (Some(current), Some(waiting)) => {
                let of = |index: usize| {
                    source
                        .is_some_and(|call| self.queue.get(index).is_some_and(|it| it.is_of(call)))
                };
                match (of(current), of(waiting), restarts) {
                    (true, false, _) => self.go_on(current, at),
                    (false, true, _) | (_, _, Some(true)) => self.start(waiting, at, source),
                    _ => {
                        if let Some(waiting) = self.queue.get_mut(waiting) {
                            waiting.doubt.get_or_insert(SkipReason::Ambiguous);
                        }
                        if let Some(current) = self.queue.get_mut(current) {
                            current.blurred.get_or_insert(SkipReason::Ambiguous);
                        }
                        Heard::More
                    }
                }
            }
        }
    }

    /// A stream is over, and all of its audio was sent on or dropped.
    pub(super) fn end_stream(&mut self, call: CallId) {
        self.remove(|it| {
            let was = it.is_of(call);
            it.streams.retain(|stream| *stream != call);
            let open = it.open && !it.unsaid;
            was && it.streams.is_empty() && !open && !it.owes_text()
        });
    }

    /// The client gave up all that it asked for: no more text of it comes.
    pub(super) fn interrupt(&mut self) {
        for utterance in &mut self.queue {
            utterance.open = false;
        }
    }

    /// The orchestrator gave up what is being spoken; what it was asked for since goes on.
    pub(super) fn interrupt_spoken(&mut self) {
        for utterance in &mut self.queue {
            utterance.open &= utterance.streams.is_empty() && !utterance.speaking;
        }
    }

    /// Time passed: gives up what was being spoken and can be told by nothing but its silence. Gives
    /// the number of utterances whose first audio went by unrecognised.
    pub(super) fn settle(&mut self, now: KtimeNs) -> u64 {
        if self
            .last_audio
            .is_none_or(|last| now.since(last) < SETTLE_NS)
        {
            return 0;
        }
        let mut missed = 0;
        self.remove(|it| {
            let passed = it.doubt == Some(SkipReason::Ambiguous) && !it.speaking;
            missed += u64::from(passed);
            let open = it.open && !it.unsaid;
            passed || (it.speaking && it.streams.is_empty() && !open)
        });
        missed
    }

    /// Number of the utterance that is heard, where one is.
    pub(super) fn spoken(&self) -> Option<u64> {
        let speaking = self.queue.iter().rfind(|it| it.speaking);
        speaking.map(|utterance| utterance.number)
    }

    /// What asked for the newest utterance may have gone unseen.
    pub(super) fn doubt_begin(&mut self, reason: SkipReason) {
        if let Some(newest) = self.queue.back_mut()
            && newest.begun.is_none()
        {
            newest.doubt.get_or_insert(reason);
        }
    }

    fn push(&mut self, utterance: Utterance) {
        self.count += 1;
        let number = self.count;
        self.queue.push_back(Utterance {
            number,
            ..utterance
        });
    }

    /// Removes those that are over.
    fn remove(&mut self, mut is_over: impl FnMut(&mut Utterance) -> bool) {
        let mut over = Vec::new();
        self.queue.retain_mut(|it| {
            let is_over = is_over(it);
            if is_over {
                over.push(std::mem::take(it));
            }
            !is_over
        });
        self.finish(over);
    }

    /// More of the utterance at `index` is heard.
    fn go_on(&mut self, index: usize, at: KtimeNs) -> Heard {
        if let Some(audio) = self.queue.get_mut(index).and_then(|it| it.audio.as_mut()) {
            audio.last = at;
            audio.frames += 1;
        }
        Heard::More
    }

    /// The utterance at `index` is heard; what was before it is over.
    fn start(&mut self, index: usize, at: KtimeNs, source: Option<CallId>) -> Heard {
        let before: Vec<_> = self.queue.drain(..index).collect();
        self.finish(before);
        let Some(utterance) = self.queue.front_mut() else {
            return Heard::More;
        };
        utterance.speaking = true;
        utterance.audio = Some(SentAudio {
            first: at,
            last: at,
            frames: 1,
            source,
        });
        match utterance.doubt {
            Some(reason) => Heard::Unsure(reason),
            None => Heard::First(FirstAudio {
                latency_ms: utterance.begun.map(|begun| at.ms_since(begun)),
                input: utterance.input,
            }),
        }
    }
}

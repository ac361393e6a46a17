//! Frames that an orchestrator received from a worker and has not sent on to its client.
//!
//! One audio message carries one frame. Where messages keep the frames' numbers, a number that is
//! skipped is a frame dropped there and then; where the orchestrator numbers on its own, messages
//! are counted against frames and what is left at the end was dropped.

use std::collections::VecDeque;

use super::bounds::MAX_PENDING_FRAMES;
use crate::metrics::SkipReason;
use crate::record::KtimeNs;

/// A frame received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// When.
    pub(super) at: KtimeNs,
    /// Its number; `None` without one.
    pub(super) number: Option<i64>,
    /// Milliseconds of audio; `None` when unknown.
    pub(super) duration_ms: Option<i64>,
    /// A PAUSE or STOP was in force.
    pub(super) held: bool,
}

/// An audio message sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When.
    pub(super) at: KtimeNs,
    /// Its number; `None` without one.
    pub(super) number: Option<i64>,
    /// Milliseconds of audio; `None` when unknown.
    pub(super) duration_ms: Option<i64>,
}

/// Frames that were not sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// A PAUSE or STOP was in force.
    pub(super) held: u64,
    /// None was.
    pub(super) free: u64,
}

/// Whose numbers messages carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Numbering {
    #[default]
    Unknown,
    /// The frames'.
    Kept,
    /// The orchestrator's own, or none.
    Own,
}

/// Frames of one stream on their way.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    queue: VecDeque<Received>,
    numbering: Numbering,
    /// Why frames and messages cannot be compared any more.
    broken: Option<SkipReason>,
    /// A message that came before the frame it could be.
    early: Option<KtimeNs>,
}

impl Forwarding {
    /// Frames waiting.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Why drops of this stream are unknown.
    pub(super) fn broken(&self) -> Option<SkipReason> {
        self.broken
    }

    /// Whether frames and messages are counted, and not compared by their numbers.
    pub(super) fn counts_only(&self) -> bool {
        self.numbering == Numbering::Own
    }

    /// Whether a message may be one of the frames that wait.
    pub(super) fn may_hold(&self, sent: &Sent) -> bool {
        self.queue.front().is_some_and(|front| front.at <= sent.at)
    }

    /// Whether a frame that waits has the message's number.
    pub(super) fn has_number(&self, number: Option<i64>) -> bool {
        number.is_some() && self.queue.iter().any(|frame| frame.number == number)
    }

    /// Frames and messages cannot be compared from here on.
    pub(super) fn give_up(&mut self, reason: SkipReason) {
        self.broken.get_or_insert(reason);
        self.queue = VecDeque::new();
    }

    /// A frame with audio was received.
    pub(super) fn receive(&mut self, frame: Received) {
        if self.broken.is_some() {
            return;
        }
        match self.early.take() {
            // Records of two connections may cross: the message was this frame's.
            Some(early) if early >= frame.at => return,
            Some(_) => return self.give_up(SkipReason::Ambiguous),
            None => {}
        }
        if self.queue.len() >= MAX_PENDING_FRAMES {
            return self.give_up(SkipReason::Unreadable);
        }
        self.queue.push_back(frame);
    }

    /// An audio message of this stream was sent. Gives the frames it skipped; `hold` is when the
    /// latest PAUSE or STOP began.
    pub(super) fn forward(&mut self, sent: &Sent, hold: Option<KtimeNs>) -> Dropped {
        if self.broken.is_some() {
            return Dropped::default();
        }
        let Some(front) = self.queue.front().filter(|front| front.at <= sent.at) else {
            if self.early.replace(sent.at).is_some() || !self.queue.is_empty() {
                self.give_up(SkipReason::Ambiguous);
            }
            return Dropped::default();
        };
        let lengths = sent.duration_ms.zip(front.duration_ms);
        if lengths.is_some_and(|(sent, received)| sent != received && received > 0) {
            self.give_up(SkipReason::Ambiguous);
            return Dropped::default();
        }
        if self.numbering == Numbering::Unknown {
            let same = sent.number.is_some() && sent.number == front.number;
            self.numbering = if same {
                Numbering::Kept
            } else {
                Numbering::Own
            };
        }
        let skipped = match self.numbering {
            Numbering::Kept => self.queue.iter().position(|it| it.number == sent.number),
            Numbering::Own | Numbering::Unknown => Some(0),
        };
        let Some(skipped) = skipped else {
            self.give_up(SkipReason::Ambiguous);
            return Dropped::default();
        };
        let dropped = classify(self.queue.drain(..skipped), hold);
        self.queue.pop_front();
        dropped
    }

    /// So many frames had been sent on before it was known that they were.
    pub(super) fn skip_sent(&mut self, count: u64) {
        for _ in 0..count {
            if self.queue.pop_front().is_none() {
                return;
            }
        }
    }

    /// No more will be sent: what waits was dropped.
    pub(super) fn finish(&mut self, hold: Option<KtimeNs>) -> Dropped {
        classify(std::mem::take(&mut self.queue).into_iter(), hold)
    }
}

fn classify(frames: impl Iterator<Item = Received>, hold: Option<KtimeNs>) -> Dropped {
    let mut dropped = Dropped::default();
    for frame in frames {
        if frame.held || hold.is_some_and(|since| since >= frame.at) {
            dropped.held += 1;
        } else {
            dropped.free += 1;
        }
    }
    dropped
}

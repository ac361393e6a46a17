//! One direction of a connection.

use super::frames::{Frames, Proof};
use crate::record::{Joined, KtimeNs, Side, WebSocketWhat};
use crate::wire::http1::Collector;

/// A direction.
pub(super) struct Half {
    from: Side,
    pub(super) phase: Phase,
    /// Its sender sent a ping after which no pong came, and none can have been lost.
    pub(super) unanswered_ping: bool,
}

/// What its next byte belongs to.
pub(super) enum Phase {
    /// A head of HTTP/1.1.
    Head(Collector),
    /// A body, this many bytes to come.
    Body(u64),
    /// The client asked for WebSocket and waits for the answer.
    Answer,
    Frames(Box<Frames>),
    /// Nothing that counts.
    Closed,
}

impl Phase {
    pub(super) fn head() -> Self {
        Self::Head(Collector::default())
    }
}

impl Half {
    pub(super) fn new(from: Side, joined: Joined) -> Self {
        let phase = match joined {
            Joined::FromStart => Phase::head(),
            Joined::Late => Phase::Frames(Box::new(Frames::searching(from, false))),
        };
        Self {
            from,
            phase,
            unanswered_ping: false,
        }
    }

    pub(super) fn from(&self) -> Side {
        self.from
    }

    /// Whether the upgrade is still to come.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.phase, Phase::Head(_) | Phase::Body(_) | Phase::Answer)
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(&self.phase, Phase::Head(collector) if collector.has_begun())
    }

    /// Whether a head, a body, a frame or a message has begun and is not complete.
    pub(super) fn is_inside(&self) -> bool {
        match &self.phase {
            Phase::Head(_) => self.is_in_head(),
            Phase::Body(left) => *left > 0,
            Phase::Frames(frames) => frames.proof != Proof::Searching && frames.parser.is_inside(),
            Phase::Answer | Phase::Closed => false,
        }
    }

    /// Whether every byte since the handshake was followed.
    pub(super) fn is_certain(&self) -> bool {
        matches!(&self.phase, Phase::Frames(frames) if frames.proof == Proof::Certain)
    }

    /// Whether frames are looked for.
    pub(super) fn is_searching(&self) -> bool {
        matches!(&self.phase, Phase::Frames(frames) if frames.proof == Proof::Searching)
    }

    /// Whether the search follows what an earlier push began with.
    pub(super) fn is_searching_on(&self) -> bool {
        matches!(&self.phase, Phase::Frames(frames)
            if frames.proof == Proof::Searching
                && !frames.parser.is_fresh())
    }

    /// Whether the search failed, or a hole ended it.
    pub(super) fn is_lost(&self) -> bool {
        matches!(&self.phase, Phase::Frames(frames) if frames.parser.is_lost())
    }

    /// Frames that speak for the framing while it is searched.
    pub(super) fn aligned(&self) -> u32 {
        match &self.phase {
            Phase::Frames(frames) => frames.aligned(),
            _ => 0,
        }
    }

    /// Takes the framing for found where it is proven (see [`Frames::is_proven`]): what was read
    /// meanwhile.
    pub(super) fn take_proven(
        &mut self,
        at_end: bool,
        beside: u32,
    ) -> Option<Vec<(KtimeNs, WebSocketWhat)>> {
        let frames = match &mut self.phase {
            Phase::Frames(frames) if frames.is_proven(at_end, beside) => frames,
            _ => return None,
        };
        frames.proof = Proof::Found;
        frames.parser.trust();
        Some(std::mem::take(&mut frames.pending))
    }

    /// Looks for frames from the next push on.
    pub(super) fn search(&mut self) {
        match &mut self.phase {
            Phase::Frames(frames) => frames.search(),
            phase => *phase = Phase::Frames(Box::new(Frames::searching(self.from, false))),
        }
    }

    /// A body of this many bytes comes next, then a head.
    pub(super) fn body(&mut self, bytes: u64) {
        self.phase = match bytes {
            0 => Phase::head(),
            _ => Phase::Body(bytes),
        };
    }
}

//! Where frames are in one direction's bytes: known from the handshake, or looked for.
//!
//! The search starts at the start of a push, because peers begin their writes with a frame. From there
//! frames are read as if the framing were known, and what they say is held back. It is proven by
//! [`CHAIN_FRAMES`] frames, or by [`ALIGNED_FRAMES`] of which the last one ends exactly where a push
//! ends. Nothing
//! that was read on the way is lost, so that messages are counted from the first one on.

use super::reader::Reader;
use crate::record::{KtimeNs, Side, WebSocketWhat};
use crate::wire::websocket::Parser;

/// Frames that prove the framing. Random bytes look like a frame of the right direction with a
/// chance of about 2^-5.5, so four times in a row with 2^-22; text never does, its bytes have reserved
/// bits set.
const CHAIN_FRAMES: u32 = 4;

/// Frames that prove it when the last one ends with a push: the length adds seven bits or more. Those
/// of both directions count together, because both prove the same connection.
const ALIGNED_FRAMES: u32 = 2;

/// How sure the framing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Every byte since the handshake was followed.
    Certain,
    /// It was found.
    Found,
    /// It is looked for.
    Searching,
}

/// The frames of one direction.
pub(super) struct Frames {
    pub(super) parser: Parser,
    pub(super) reader: Reader,
    pub(super) proof: Proof,
    /// What was read while searching: at most one event for each frame of the proof.
    pub(super) pending: Vec<(KtimeNs, WebSocketWhat)>,
    from: Side,
}

impl Frames {
    /// The next byte is the first after the handshake.
    pub(super) fn certain(from: Side, independent: bool) -> Self {
        Self {
            parser: Parser::from_start(from == Side::Client),
            reader: Reader::from_start(independent),
            proof: Proof::Certain,
            pending: Vec::new(),
            from,
        }
    }

    /// The next push may start with a frame.
    pub(super) fn searching(from: Side, independent: bool) -> Self {
        Self {
            parser: Parser::resume(from == Side::Client),
            reader: Reader::late(independent),
            proof: Proof::Searching,
            ..Self::certain(from, independent)
        }
    }

    /// The framing is lost, or was never where it was looked for: starts anew with the next push.
    pub(super) fn search(&mut self) {
        self.parser = Parser::resume(self.from == Side::Client);
        self.reader.lose();
        self.proof = Proof::Searching;
        self.pending.clear();
    }

    /// Frames that speak for the framing while it is searched, where the last one ends with the
    /// last push.
    pub(super) fn aligned(&self) -> u32 {
        if self.proof == Proof::Searching && self.parser.is_between_frames() {
            self.parser.frames()
        } else {
            0
        }
    }

    /// Whether what was read so far proves the framing; `at_end` of a push. `beside` it are this many
    /// aligned frames of the other direction.
    pub(super) fn is_proven(&self, at_end: bool, beside: u32) -> bool {
        let aligned = self.aligned();
        self.proof == Proof::Searching
            && (self.parser.frames() >= CHAIN_FRAMES
                || at_end && aligned > 0 && aligned.saturating_add(beside) >= ALIGNED_FRAMES)
    }
}

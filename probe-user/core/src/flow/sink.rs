//! Where a connection's parser puts what it finds.

use super::{Blocked, Event, Exchange, InferenceOutcome, InferenceState};
use crate::record::WebSocketEvent;
use crate::wire::hpack::Literal;
use crate::wire::resp::Registration;

/// Receives what comes out of the bytes and holes that a connection is given.
pub trait Sink {
    /// Something happened in a call.
    fn event(&mut self, event: Event<'_>);

    /// What the watched process had to send found no room.
    fn blocked(&mut self, blocked: Blocked) {
        let _ = blocked;
    }

    /// Something became of a Redis command.
    fn redis(&mut self, exchange: Exchange) {
        let _ = exchange;
    }

    /// Something became of a header table entry that hides a method.
    fn inferred(&mut self, state: InferenceState) {
        let _ = state;
    }

    /// Something became of a call whose method was inferred.
    fn inferred_call(&mut self, outcome: InferenceOutcome) {
        let _ = outcome;
    }

    /// Something happened on a WebSocket connection. A capture holds it as it is, and none of the
    /// connection's bytes.
    fn websocket(&mut self, event: WebSocketEvent) {
        let _ = event;
    }

    /// A worker was registered with Redis.
    fn registration(&mut self, registration: Registration) {
        let _ = registration;
    }

    /// Bytes `start..end` of the slice just passed carry framing, header blocks, numbers or ids and
    /// no audio, text or remark. Ranges come in order, are disjoint and do not touch. A capture
    /// that stores these and turns the rest into holes of reason `Elided` replays to the same
    /// events.
    fn keep(&mut self, start: usize, end: usize);

    /// In a capture the bytes from `start` on are to be replaced by these: they are the value of a
    /// header that is not gRPC's own (a token, a cookie), or what may be an identifier or a message
    /// in a call whose method is not known. Comes before the `keep` whose range holds them. The replacement changes no event. Values of a header block that arrives over
    /// several pushes are masked only where they lie in its last one.
    fn mask(&mut self, start: usize, replacement: &[u8]) {
        let _ = (start, replacement);
    }

    /// Something was wrong with the bytes.
    fn problem(&mut self, problem: Problem);
}

/// What can be wrong with a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Problem {
    /// The client did not start with HTTP/2's preface (RFC 9113, 3.4).
    BadPreface,
    /// A frame that no peer may send: the framing is lost.
    BadFrame,
    /// A hole took a frame header: the framing is lost.
    FramingLost,
    /// The framing was found again, or found first on a connection joined late.
    Resynchronised,
    /// A header block that cannot be decoded, is incomplete or is too long.
    BadHeaderBlock,
    /// A gRPC message prefix that makes no sense: the rest of the call's direction is lost.
    BadMessagePrefix,
    /// More calls at once than are followed: the least recently used one was given up.
    TooManyCalls,
    /// Bytes that are no RESP, or values nested too deep: the framing is lost.
    BadValue,
    /// A head of HTTP/1 that cannot be read or is too long.
    BadHead,
    /// A compressed WebSocket message that cannot be inflated: those after it cannot either.
    BadDeflate,
    /// A WebSocket message that inflates to more than is followed: those after it are not read.
    MessageTooLong,
    /// More compressed directions at once than are inflated.
    TooManyInflaters,
    /// The connection ended inside a head, a frame, a value or a message, or a call's direction
    /// inside a gRPC message.
    CutShort,
}

impl Problem {
    /// All problems, in label order.
    pub const ALL: [Self; 13] = [
        Self::BadPreface,
        Self::BadFrame,
        Self::FramingLost,
        Self::Resynchronised,
        Self::BadHeaderBlock,
        Self::BadMessagePrefix,
        Self::TooManyCalls,
        Self::BadValue,
        Self::BadHead,
        Self::BadDeflate,
        Self::MessageTooLong,
        Self::TooManyInflaters,
        Self::CutShort,
    ];

    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadPreface => "bad_preface",
            Self::BadFrame => "bad_frame",
            Self::FramingLost => "framing_lost",
            Self::Resynchronised => "resynchronised",
            Self::BadHeaderBlock => "bad_header_block",
            Self::BadMessagePrefix => "bad_message_prefix",
            Self::TooManyCalls => "too_many_calls",
            Self::BadValue => "bad_value",
            Self::BadHead => "bad_head",
            Self::BadDeflate => "bad_deflate",
            Self::MessageTooLong => "message_too_long",
            Self::TooManyInflaters => "too_many_inflaters",
            Self::CutShort => "cut_short",
        }
    }
}

/// Joins the runs that may be kept into ranges of the slice.
pub(super) struct Keeper<'a> {
    sink: &'a mut dyn Sink,
    /// The range not yet told.
    range: Option<(usize, usize)>,
    /// Whether the caller still has the slice.
    tells: bool,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, tells: bool) -> Self {
        Self {
            sink,
            range: None,
            tells,
        }
    }

    pub(super) fn sink(&mut self) -> &mut dyn Sink {
        self.sink
    }

    /// The run `start..end` may be kept.
    pub(super) fn keep(&mut self, start: usize, end: usize) {
        if start == end {
            return;
        }
        match &mut self.range {
            Some((_, last)) if *last == start => *last = end,
            _ => {
                self.flush();
                self.range = Some((start, end));
            }
        }
    }

    /// Masks a string of a header block whose last `tail` bytes end at `end` of the slice.
    pub(super) fn mask(&mut self, block: &[u8], tail: usize, end: usize, secret: Literal) {
        let before_tail = block.len().saturating_sub(tail);
        if let Some(place) = secret.start.checked_sub(before_tail)
            && let Some(start) = end.checked_sub(tail)
            && self.tells
        {
            self.sink.mask(start + place, &secret.masked(block));
        }
    }

    /// Puts other bytes in the place of those from `start` of the slice on.
    pub(super) fn replace(&mut self, start: usize, bytes: &[u8]) {
        if self.tells {
            self.sink.mask(start, bytes);
        }
    }

    /// Tells the last range.
    pub(super) fn flush(&mut self) {
        if let Some((start, end)) = self.range.take()
            && self.tells
        {
            self.sink.keep(start, end);
        }
    }
}

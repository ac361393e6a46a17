//! What a connection does with its frames: follows or finds them, and tells what they say.

use super::frames::Proof;
use super::half::Phase;
use super::{Stage, WebSocketConnection};
use crate::flow::{Problem, Sink};
use crate::record::{ConnectionEnd, KtimeNs, Side, WebSocketWhat};
use crate::wire::websocket::{Loss, Parser, Part};

/// Close code of a server whose ping had no answer (`websockets` and uvicorn: 1011, internal error).
const KEEP_ALIVE_CODE: u16 = 1011;

/// Bytes in which the framing is looked for on a connection that may not be WebSocket at all: some
/// hundred audio messages.
const MAX_SEARCH_BYTES: u64 = 1024 * 1024;

impl WebSocketConnection {
    /// A push of frames.
    pub(super) fn push(&mut self, from: Side, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) {
        if self.half(from).is_lost() {
            self.half(from).search();
        }
        let follows = self.half(from).is_searching_on();
        self.frames(from, at, Run::Bytes(bytes), sink);
        if follows && self.half(from).is_lost() {
            // What was followed from an earlier push was no frame: this push may start with one.
            self.half(from).search();
            self.frames(from, at, Run::Bytes(bytes), sink);
        }
        self.accept(from, at, true, sink);
        if self.stage == Stage::Before {
            self.searched = self.searched.saturating_add(bytes.len() as u64);
            if self.searched > MAX_SEARCH_BYTES {
                self.stage = Stage::Other;
            }
        }
    }

    /// Takes the framing for found where it is proven.
    fn accept(&mut self, from: Side, at: KtimeNs, at_end: bool, sink: &mut dyn Sink) {
        let upgraded = self.stage == Stage::Upgraded;
        let (half, other) = self.halves(from);
        // A direction of a connection that is known to be WebSocket needs no second frame.
        let beside = if upgraded { 1 } else { other.aligned() };
        let Some(mut pending) = half.take_proven(at_end, beside) else {
            return;
        };
        sink.problem(Problem::Resynchronised);
        if upgraded {
            for (at, what) in pending {
                self.tell(from, at, what, sink);
            }
            return;
        }
        let mut all: Vec<_> = pending
            .drain(..)
            .map(|(at, what)| (at, from, what))
            .collect();
        if other.is_http() {
            other.search();
        } else if let Some(pending) = other.take_proven(true, 1) {
            sink.problem(Problem::Resynchronised);
            let from = other.from();
            all.extend(pending.into_iter().map(|(at, what)| (at, from, what)));
            all.sort_by_key(|(at, _, _)| *at);
        }
        self.stage = Stage::Upgraded;
        let requested = self.handshake.requested();
        let first = all.first().map_or(at, |(at, _, _)| *at);
        self.emit(first, WebSocketWhat::Upgraded { requested }, sink);
        for (at, from, what) in all {
            self.tell(from, at, what, sink);
        }
    }

    /// Reads frames.
    pub(super) fn frames(&mut self, from: Side, at: KtimeNs, run: Run<'_>, sink: &mut dyn Sink) {
        let mut run = run;
        loop {
            let Phase::Frames(frames) = &mut self.half(from).phase else {
                return;
            };
            let Some((rest, part)) = run.step(&mut frames.parser) else {
                return;
            };
            run = rest;
            if self.is_unagreed(from, part) {
                self.lost(from, at, Loss::BadFrame, sink);
                return;
            }
            let what = self.part(from, part, sink);
            if let Some(what) = what {
                self.tell(from, at, what, sink);
            }
            if let Part::Lost(loss) = part {
                self.lost(from, at, loss, sink);
                return;
            }
            self.accept(from, at, false, sink);
        }
    }

    /// Tells what was read, or holds it back while the framing is not proven.
    fn tell(&mut self, from: Side, at: KtimeNs, what: WebSocketWhat, sink: &mut dyn Sink) {
        let closing = matches!(what, WebSocketWhat::Closing { .. });
        match &mut self.half(from).phase {
            Phase::Frames(frames) if frames.proof == Proof::Searching => {
                frames.pending.push((at, what));
                return;
            }
            _ => self.emit(at, what, sink),
        }
        if closing {
            // Nothing follows a Close frame (RFC 6455, 5.5.1).
            self.half(from).phase = Phase::Closed;
        }
    }

    /// What a part of a frame says.
    fn part(&mut self, from: Side, part: Part<'_>, sink: &mut dyn Sink) -> Option<WebSocketWhat> {
        let Self {
            profile,
            budget,
            extensions,
            client,
            server,
            ..
        } = self;
        let (half, other) = match from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        let Phase::Frames(frames) = &mut half.phase else {
            return None;
        };
        match part {
            Part::Nothing | Part::Lost(_) => {}
            Part::MessageStart { opcode, compressed } => {
                let readable = extensions.is_none_or(|it| !it.unknown);
                let reader = &mut frames.reader;
                reader.start(opcode, compressed, readable, budget, sink);
            }
            Part::Payload(payload) => frames.reader.payload(payload, profile.websocket(), sink),
            Part::PayloadHole => frames.reader.hole(),
            Part::MessageEnd => {
                let message = frames.reader.finish(profile.websocket(), sink);
                return Some(WebSocketWhat::Message { from, message });
            }
            Part::Ping => half.unanswered_ping = true,
            Part::Pong => other.unanswered_ping = false,
            Part::Close { code } => {
                return Some(WebSocketWhat::Closing {
                    from,
                    code,
                    keep_alive_timeout: code == Some(KEEP_ALIVE_CODE) && half.unanswered_ping,
                });
            }
        }
        None
    }

    /// Whether a message is compressed though nobody agreed on that (RFC 6455, 5.2).
    fn is_unagreed(&self, from: Side, part: Part<'_>) -> bool {
        let half = match from {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let compressed = matches!(part, Part::MessageStart { compressed, .. } if compressed);
        let agreed = self
            .extensions
            .is_none_or(|it| it.unknown || it.deflate.is_some());
        compressed && !agreed && half.is_certain()
    }

    /// The framing of a direction is lost.
    fn lost(&mut self, from: Side, at: KtimeNs, loss: Loss, sink: &mut dyn Sink) {
        let (half, other) = self.halves(from);
        // A pong may be among what was lost.
        other.unanswered_ping = false;
        let Phase::Frames(frames) = &mut half.phase else {
            return;
        };
        let proof = frames.proof;
        frames.pending.clear();
        if proof == Proof::Searching {
            return;
        }
        sink.problem(match loss {
            Loss::Hole => Problem::FramingLost,
            Loss::BadFrame => Problem::BadFrame,
        });
        if (proof, loss) == (Proof::Certain, Loss::BadFrame) {
            self.end(at, ConnectionEnd::ProtocolError, sink);
            return;
        }
        frames.search();
        self.emit(at, WebSocketWhat::MessagesLost { from }, sink);
    }
}

/// What frames are read from.
#[derive(Clone, Copy)]
pub(super) enum Run<'a> {
    Bytes(&'a [u8]),
    Hole(u64),
}

impl<'a> Run<'a> {
    /// What the parser makes of its beginning, and the rest.
    fn step(self, parser: &mut Parser) -> Option<(Self, Part<'a>)> {
        match self {
            Self::Bytes(bytes) => {
                let step = parser.step(bytes)?;
                let rest = bytes.get(step.used..).unwrap_or_default();
                Some((Self::Bytes(rest), step.part))
            }
            Self::Hole(length) => {
                let (used, part) = parser.step_hole(length)?;
                Some((Self::Hole(length.saturating_sub(used)), part))
            }
        }
    }
}

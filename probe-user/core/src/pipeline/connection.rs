//! One connection on its way through the stages: order, protocol, exchanges.

use super::{
    elide::Elided,
    flow_sink::FlowSink,
    parser::Parser,
    protocol::{Expected, Making, Protocol},
    stage::Stage,
    undetermined::Undetermined,
};
use crate::{
    flow::{Problem, WebSocketConnection},
    record::{
        Chunk, ConnectionEnd, Direction, Gap, Joined, KtimeNs, Opened, Piece, Record, Side, Tgid,
    },
    stream::{Assembler, Delivery},
};

/// A connection.
pub(super) struct Connection {
    opened: Opened,
    expected: Expected,
    streams: [Assembler; 2],
    protocol: Protocol,
    verdict: Option<Verdict>,
}

/// What the connection asks of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its bytes are not needed.
    Unwanted,
}

impl Connection {
    /// `expected` where its first bytes do not tell what it speaks.
    pub(super) fn new(opened: Opened, expected: Expected, with: Making<'_>) -> Self {
        let protocol = match (opened.joined, opened.side) {
            (Joined::Late, Some(side)) => Protocol::late(&opened, side, expected, with),
            _ => Protocol::Undetermined(Undetermined::default()),
        };
        Self {
            opened,
            expected,
            streams: Default::default(),
            protocol,
            verdict: None,
        }
    }

    pub(super) fn tgid(&self) -> Tgid {
        self.opened.tgid
    }

    pub(super) fn joined(&self) -> Joined {
        self.opened.joined
    }

    /// Label `protocol`.
    pub(super) fn protocol_name(&self) -> &'static str {
        self.protocol.name()
    }

    /// The same, while what it says may make it another one.
    pub(super) fn unsettled_name(&self) -> Option<&'static str> {
        match &self.protocol {
            Protocol::Undetermined(_) | Protocol::WebSocket(..) => Some(self.protocol.name()),
            Protocol::Http2(..) | Protocol::Redis(..) | Protocol::Other => None,
        }
    }

    pub(super) fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// It speaks Redis, whatever it was taken for: its streams go on from where they are.
    pub(super) fn expect_redis(&mut self) {
        self.expected = Expected::Redis;
        if let Some(side) = self.opened.side {
            self.protocol = Protocol::redis(&self.opened, side, Joined::Late);
        }
    }

    /// The end it is, where it speaks Redis.
    pub(super) fn redis_side(&self) -> Option<Side> {
        match &self.protocol {
            Protocol::Redis(side, _) => Some(*side),
            _ => None,
        }
    }

    /// Whether it speaks Redis, or may: nothing was said yet.
    pub(super) fn may_be_redis(&self) -> bool {
        matches!(
            self.protocol,
            Protocol::Redis(..) | Protocol::Undetermined(_)
        )
    }

    /// Whether its commands are told with their answers, or may be: nothing was said yet.
    pub(super) fn may_pair(&self) -> bool {
        match &self.protocol {
            Protocol::Redis(_, redis) => redis.is_paired(),
            Protocol::Undetermined(_) => true,
            _ => false,
        }
    }

    /// Whether nothing tells yet what it speaks.
    pub(super) fn is_undetermined(&self) -> bool {
        matches!(self.protocol, Protocol::Undetermined(_))
    }

    /// Whether time changes it: chunks are held behind a hole, or an answer is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        let unanswered = matches!(&self.protocol, Protocol::Redis(_, redis) if redis.is_waiting());
        unanswered || self.streams.iter().any(Assembler::is_waiting)
    }

    /// A capture tells what this connection said over WebSocket: its bytes, which the capture left
    /// out, tell nothing.
    pub(super) fn handle_told(&mut self, side: Side, with: Making<'_>) {
        let told = matches!(&self.protocol, Protocol::WebSocket(_, known) if known.is_told());
        if !told {
            let profile = with.profile.clone();
            let websocket = WebSocketConnection::told(self.opened.connection, side, profile);
            self.protocol = Protocol::WebSocket(side, Box::new(websocket));
        }
    }

    pub(super) fn handle_chunk(&mut self, chunk: Chunk<'_>, stage: &mut Stage<'_>) {
        let (direction, at) = (chunk.direction, chunk.exit);
        self.assemble(direction, at, stage, |stream, deliver| {
            stream.handle_chunk(chunk, deliver);
        });
    }

    pub(super) fn handle_gap(&mut self, gap: &Gap, stage: &mut Stage<'_>) {
        self.assemble(gap.direction, gap.at, stage, |stream, deliver| {
            stream.handle_gap(gap.offset, gap.length, gap.reason, deliver);
        });
    }

    pub(super) fn handle_time(&mut self, now: KtimeNs, stage: &mut Stage<'_>) {
        for direction in [Direction::Sent, Direction::Received] {
            self.assemble(direction, now, stage, |stream, deliver| {
                stream.handle_time(now, deliver);
            });
        }
        if let Protocol::Redis(side, redis) = &mut self.protocol {
            redis.handle_time(now, &mut FlowSink::new(*side, stage, None));
        }
    }

    pub(super) fn handle_half_closed(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        stage: &mut Stage<'_>,
    ) {
        self.assemble(direction, at, stage, |stream, deliver| {
            stream.finish(deliver);
        });
        match &mut self.protocol {
            Protocol::Http2(side, http2) => {
                http2.handle_half_closed(direction, at, &mut FlowSink::new(*side, stage, None));
            }
            Protocol::WebSocket(side, websocket) => {
                websocket.handle_half_closed(direction, at, &mut FlowSink::new(*side, stage, None));
            }
            Protocol::Redis(..) | Protocol::Undetermined(_) | Protocol::Other => {}
        }
    }

    /// Its end.
    pub(super) fn handle_closed(&mut self, at: KtimeNs, end: ConnectionEnd, stage: &mut Stage<'_>) {
        for direction in [Direction::Sent, Direction::Received] {
            self.assemble(direction, at, stage, |stream, deliver| {
                stream.finish(deliver);
            });
        }
        match &mut self.protocol {
            Protocol::Http2(side, http2) => {
                http2.handle_closed(at, &mut FlowSink::new(*side, stage, None));
            }
            Protocol::Redis(side, redis) => {
                let failed = end == ConnectionEnd::Reset;
                redis.handle_closed(failed, &mut FlowSink::new(*side, stage, None));
            }
            Protocol::WebSocket(side, websocket) => {
                websocket.handle_closed(at, end, &mut FlowSink::new(*side, stage, None));
            }
            Protocol::Undetermined(first) if first.has_begun() => {
                stage.counters.problem(Problem::CutShort);
            }
            Protocol::Undetermined(_) | Protocol::Other => {}
        }
    }

    /// Runs one step of a direction's assembler and takes what it delivers.
    fn assemble(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        stage: &mut Stage<'_>,
        step: impl FnOnce(&mut Assembler, &mut dyn FnMut(Delivery<'_>)),
    ) {
        let Self {
            opened,
            expected,
            streams,
            protocol,
            verdict,
        } = self;
        let mut course = Course {
            opened,
            expected: *expected,
            protocol,
            verdict,
        };
        step(&mut streams[direction.index()], &mut |delivery| {
            stage.count(&delivery);
            course.deliver(direction, at, delivery, stage);
        });
    }
}

/// A connection behind its assemblers.
struct Course<'a> {
    opened: &'a Opened,
    expected: Expected,
    protocol: &'a mut Protocol,
    verdict: &'a mut Option<Verdict>,
}

impl Course<'_> {
    /// Takes the next run of a direction.
    fn deliver(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        delivery: Delivery<'_>,
        stage: &mut Stage<'_>,
    ) {
        match delivery {
            Delivery::Gap {
                offset,
                length,
                reason,
            } => {
                let gap = Gap {
                    connection: self.opened.connection,
                    direction,
                    offset,
                    length,
                    reason,
                    at,
                };
                if let Some(tap) = &mut stage.tap {
                    tap.record(&Record::Gap(gap));
                }
                self.gap(gap, stage);
            }
            Delivery::Chunk(chunk) => match &mut self.protocol {
                Protocol::Undetermined(undetermined) => {
                    let (opened, with) = (self.opened, Making::of(stage));
                    if let Some(decided) = undetermined.take(chunk, opened, self.expected, with) {
                        self.decide(decided, stage);
                    }
                }
                _ => self.feed(&chunk, stage),
            },
        }
    }

    /// The protocol is told.
    fn decide(&mut self, decided: Protocol, stage: &mut Stage<'_>) {
        let before = std::mem::replace(self.protocol, decided);
        if matches!(self.protocol, Protocol::Other) {
            *self.verdict = Some(Verdict::Unwanted);
        } else if let Protocol::Undetermined(before) = before {
            for chunk in before.into_held() {
                self.feed(&chunk, stage);
            }
        }
    }

    /// Bytes of a direction are missing between two chunks.
    fn gap(&mut self, gap: Gap, stage: &mut Stage<'_>) {
        if let Protocol::Undetermined(_) = self.protocol {
            // The bytes that would have told are gone: from here it is like a late join.
            if let Some(side) = self.opened.side {
                let with = Making::of(stage);
                *self.protocol = Protocol::late(self.opened, side, self.expected, with);
            } else {
                *self.protocol = Protocol::Other;
                *self.verdict = Some(Verdict::Unwanted);
            }
        } else if let Some((side, parser)) = self.protocol.parser() {
            let Gap {
                direction,
                at,
                length,
                reason,
                ..
            } = gap;
            let mut sink = FlowSink::new(side, stage, None);
            parser.hole(direction, at, length, reason, &mut sink);
        }
    }

    /// Gives a chunk to the parser, and what may be kept of it to the tap.
    fn feed(&mut self, chunk: &Chunk<'_>, stage: &mut Stage<'_>) {
        match &mut self.protocol {
            Protocol::Http2(side, http2) => feed(*side, &mut **http2, chunk, stage),
            Protocol::Redis(side, redis) => feed(*side, &mut **redis, chunk, stage),
            Protocol::WebSocket(side, websocket) => {
                let before = websocket.is_followed();
                feed(*side, &mut **websocket, chunk, stage);
                if before && !websocket.is_followed() {
                    *self.verdict = Some(Verdict::Unwanted);
                }
            }
            Protocol::Undetermined(_) | Protocol::Other => {}
        }
    }
}

/// Gives a chunk to its connection's parser, and what may be kept of it to the tap.
fn feed(side: Side, parser: &mut impl Parser, chunk: &Chunk<'_>, stage: &mut Stage<'_>) {
    let at = chunk.at();
    parser.begin(chunk, &mut FlowSink::new(side, stage, None));
    if stage.tap.is_some() {
        return feed_and_keep(side, parser, chunk, stage);
    }
    for piece in chunk.pieces() {
        let mut sink = FlowSink::new(side, stage, None);
        match piece {
            Piece::Bytes(bytes) => parser.bytes(chunk.direction, at, bytes, &mut sink),
            Piece::Hole(length, reason) => {
                parser.hole(chunk.direction, at, u64::from(length), reason, &mut sink);
            }
        }
    }
}

/// The same where there is a tap.
#[inline(never)]
fn feed_and_keep(side: Side, parser: &mut impl Parser, chunk: &Chunk<'_>, stage: &mut Stage<'_>) {
    let at = chunk.at();
    let mut elided = Elided::new(chunk);
    for piece in chunk.pieces() {
        match piece {
            Piece::Bytes(bytes) => {
                let mut sink = FlowSink::new(side, stage, Some(&mut elided));
                parser.bytes(chunk.direction, at, bytes, &mut sink);
                elided.finish_bytes(bytes);
            }
            Piece::Hole(length, reason) => {
                let mut sink = FlowSink::new(side, stage, None);
                parser.hole(chunk.direction, at, u64::from(length), reason, &mut sink);
                elided.hole(length, reason);
            }
        }
    }
    if let Some(tap) = &mut stage.tap {
        tap.record(&Record::Chunk(elided.into_chunk(chunk)));
    }
}

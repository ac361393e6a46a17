//! One connection on its way through the stages: order, protocol, exchanges.

use std::{borrow::Cow, sync::Arc};

use super::{Stage, elide::Elided, parser::Parser};
use crate::{
    flow::{
        Detection, Event, Exchange, Http2Connection, InferenceState, Problem, RedisConnection,
        Sink, detect,
    },
    interpret::{self, Interpreter},
    profile::Profile,
    record::{
        Chunk, Direction, Gap, GapReason, Joined, KtimeNs, Opened, Piece, Process, Record, Side,
        Tgid,
    },
    stream::{Assembler, Delivery},
};

/// First bytes of a direction that are looked at to tell the protocol: HTTP/2's preface.
const DETECT_BYTES: usize = 24;

/// Bytes held while the protocol is not told. A peer that sends this much before the other's first
/// byte speaks nothing that is followed here.
const UNDETERMINED_BYTES: usize = 256 * 1024;

/// A connection.
pub(super) struct Connection {
    opened: Opened,
    /// One of its ends is a Redis server's.
    redis: bool,
    streams: [Assembler; 2],
    protocol: Protocol,
    verdict: Option<Verdict>,
}

/// What it speaks.
enum Protocol {
    /// Not told yet; what came so far.
    Undetermined(Undetermined),
    Http2(Side, Box<Http2Connection>),
    Redis(Side, Box<RedisConnection>),
    /// Nothing that is followed.
    Other,
}

#[derive(Default)]
struct Undetermined {
    first: [Vec<u8>; 2],
    held: Vec<Chunk<'static>>,
    bytes: usize,
}

/// What the connection asks of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its bytes are not needed.
    Unwanted,
}

impl Connection {
    /// `redis` where one of its ends is a Redis server's.
    pub(super) fn new(opened: Opened, redis: bool, profile: &Arc<Profile>) -> Self {
        let protocol = match (opened.joined, opened.side) {
            (Joined::Late, Some(side)) => late(&opened, side, redis, profile),
            _ => Protocol::Undetermined(Undetermined::default()),
        };
        Self {
            opened,
            redis,
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
        match &self.protocol {
            Protocol::Undetermined(_) => "undetermined",
            Protocol::Http2(..) => "http2",
            Protocol::Redis(..) => "redis",
            Protocol::Other => "other",
        }
    }

    pub(super) fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.opened
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

    /// Whether nothing tells yet what it speaks.
    pub(super) fn is_undetermined(&self) -> bool {
        matches!(self.protocol, Protocol::Undetermined(_))
    }

    /// Whether time changes it: chunks are held behind a hole, or an answer is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        let unanswered = matches!(&self.protocol, Protocol::Redis(_, redis) if redis.is_waiting());
        unanswered || self.streams.iter().any(Assembler::is_waiting)
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
        if let Protocol::Http2(side, http2) = &mut self.protocol {
            http2.handle_half_closed(direction, at, &mut FlowSink::new(*side, stage, None));
        }
    }

    /// Its end; `failed` when it was reset, refused or timed out.
    pub(super) fn handle_closed(&mut self, at: KtimeNs, failed: bool, stage: &mut Stage<'_>) {
        for direction in [Direction::Sent, Direction::Received] {
            self.assemble(direction, at, stage, |stream, deliver| {
                stream.finish(deliver);
            });
        }
        if let Protocol::Http2(side, http2) = &mut self.protocol {
            http2.handle_closed(at, &mut FlowSink::new(*side, stage, None));
        }
        if let Protocol::Redis(side, redis) = &mut self.protocol {
            redis.handle_closed(failed, &mut FlowSink::new(*side, stage, None));
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
            redis,
            streams,
            protocol,
            verdict,
        } = self;
        step(&mut streams[direction.index()], &mut |delivery| {
            stage.count(&delivery);
            deliver(
                opened, *redis, protocol, verdict, direction, at, delivery, stage,
            );
        });
    }
}

fn http2(opened: &Opened, side: Side, joined: Joined, profile: &Arc<Profile>) -> Protocol {
    let http2 = Http2Connection::new(opened.connection, side, joined, Arc::clone(profile));
    Protocol::Http2(side, Box::new(http2))
}

fn redis(opened: &Opened, side: Side, joined: Joined) -> Protocol {
    Protocol::Redis(
        side,
        Box::new(RedisConnection::new(side, joined, opened.at)),
    )
}

/// What a connection speaks whose first bytes are not known.
fn late(opened: &Opened, side: Side, is_redis: bool, profile: &Arc<Profile>) -> Protocol {
    if is_redis {
        redis(opened, side, Joined::Late)
    } else {
        http2(opened, side, Joined::Late, profile)
    }
}

/// Takes the next run of a direction.
#[expect(clippy::too_many_arguments, reason = "the facts of one run")]
fn deliver(
    opened: &Opened,
    is_redis: bool,
    protocol: &mut Protocol,
    verdict: &mut Option<Verdict>,
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
            if let Some(tap) = &mut stage.tap {
                let connection = opened.connection;
                let gap = Gap {
                    connection,
                    direction,
                    offset,
                    length,
                    reason,
                    at,
                };
                tap.record(&Record::Gap(gap));
            }
            gap(
                opened, is_redis, protocol, verdict, direction, at, length, reason, stage,
            );
        }
        Delivery::Chunk(chunk) => match protocol {
            Protocol::Http2(side, http2) => feed(*side, &mut **http2, &chunk, stage),
            Protocol::Redis(side, redis) => feed(*side, &mut **redis, &chunk, stage),
            Protocol::Undetermined(undetermined) => {
                if let Some(decided) = undetermined.take(chunk, opened, stage.profile) {
                    let held = std::mem::take(&mut undetermined.held);
                    *protocol = decided;
                    match protocol {
                        Protocol::Http2(side, http2) => {
                            for chunk in held {
                                feed(*side, &mut **http2, &chunk, stage);
                            }
                        }
                        Protocol::Redis(side, redis) => {
                            for chunk in held {
                                feed(*side, &mut **redis, &chunk, stage);
                            }
                        }
                        _ => *verdict = Some(Verdict::Unwanted),
                    }
                }
            }
            Protocol::Other => {}
        },
    }
}

/// Bytes of a direction are missing between two chunks.
#[expect(clippy::too_many_arguments, reason = "the facts of one gap")]
fn gap(
    opened: &Opened,
    is_redis: bool,
    protocol: &mut Protocol,
    verdict: &mut Option<Verdict>,
    direction: Direction,
    at: KtimeNs,
    length: u64,
    reason: GapReason,
    stage: &mut Stage<'_>,
) {
    if let Protocol::Undetermined(_) = protocol {
        // The bytes that would have told are gone: from here it is like a late join.
        *protocol = match opened.side {
            Some(side) => late(opened, side, is_redis, stage.profile),
            None => Protocol::Other,
        };
        if opened.side.is_none() {
            *verdict = Some(Verdict::Unwanted);
        }
        return;
    }
    let (side, parser): (Side, &mut dyn Parser) = match protocol {
        Protocol::Http2(side, http2) => (*side, &mut **http2),
        Protocol::Redis(side, redis) => (*side, &mut **redis),
        Protocol::Undetermined(_) | Protocol::Other => return,
    };
    let mut sink = FlowSink::new(side, stage, None);
    parser.hole(direction, at, length, reason, &mut sink);
}

/// Gives a chunk to its connection's parser, and what may be kept of it to the tap.
fn feed(side: Side, parser: &mut impl Parser, chunk: &Chunk<'_>, stage: &mut Stage<'_>) {
    let at = chunk.at();
    parser.begin(chunk, &mut FlowSink::new(side, stage, None));
    let mut elided = stage.tap.is_some().then(|| Elided::new(chunk));
    for piece in chunk.pieces() {
        match piece {
            Piece::Bytes(bytes) => {
                let mut sink = FlowSink::new(side, stage, elided.as_mut());
                parser.bytes(chunk.direction, at, bytes, &mut sink);
                if let Some(elided) = &mut elided {
                    elided.finish_bytes(bytes);
                }
            }
            Piece::Hole(length, reason) => {
                let mut sink = FlowSink::new(side, stage, None);
                parser.hole(chunk.direction, at, u64::from(length), reason, &mut sink);
                if let Some(elided) = &mut elided {
                    elided.hole(length, reason);
                }
            }
        }
    }
    if let (Some(tap), Some(elided)) = (&mut stage.tap, elided) {
        tap.record(&Record::Chunk(elided.into_chunk(chunk)));
    }
}

impl Undetermined {
    /// Holds a chunk; the protocol when it can be told.
    fn take(
        &mut self,
        chunk: Chunk<'_>,
        opened: &Opened,
        profile: &Arc<Profile>,
    ) -> Option<Protocol> {
        let direction = chunk.direction;
        let first = &mut self.first[direction.index()];
        let missing = DETECT_BYTES.saturating_sub(first.len());
        // A hole among the first bytes leaves them unreadable from there on.
        let readable = chunk
            .holes
            .first()
            .map_or(usize::MAX, |hole| hole.at as usize);
        let cut = readable < missing && !chunk.holes.is_empty();
        let take = missing.min(readable).min(chunk.bytes.len());
        first.extend(chunk.bytes.iter().take(take));
        let detection = detect(first);
        self.bytes += chunk.bytes.len();
        self.held.push(Chunk {
            bytes: Cow::Owned(chunk.bytes.into_owned()),
            holes: Cow::Owned(chunk.holes.into_owned()),
            ..chunk
        });
        let client_sends = match detection {
            Detection::Http2Client | Detection::RedisClient => direction == Direction::Sent,
            Detection::Http2Server => direction == Direction::Received,
            Detection::NeedMore if !cut && self.bytes < UNDETERMINED_BYTES => return None,
            Detection::NeedMore | Detection::Other => return Some(Protocol::Other),
        };
        let side = if client_sends {
            Side::Client
        } else {
            Side::Server
        };
        // Bytes that contradict how the connection began are neither.
        if opened.side.is_some_and(|known| known != side) {
            return Some(Protocol::Other);
        }
        if detection == Detection::RedisClient {
            return Some(redis(opened, side, Joined::FromStart));
        }
        Some(http2(opened, side, Joined::FromStart, profile))
    }
}

/// Takes what a connection's parser finds.
struct FlowSink<'a, 'b> {
    side: Side,
    process: &'a Process,
    interpreter: &'a mut Interpreter,
    events: &'a mut Vec<interpret::Event>,
    exchanges: &'a mut Vec<Exchange>,
    counters: &'a super::Counters,
    elided: Option<&'b mut Elided>,
}

impl<'a, 'b> FlowSink<'a, 'b> {
    fn new(side: Side, stage: &'a mut Stage<'_>, elided: Option<&'b mut Elided>) -> Self {
        Self {
            side,
            process: stage.process,
            interpreter: stage.interpreter,
            events: stage.events,
            exchanges: stage.exchanges,
            counters: stage.counters,
            elided,
        }
    }
}

impl Sink for FlowSink<'_, '_> {
    fn event(&mut self, event: Event<'_>) {
        self.interpreter
            .handle(self.process, self.side, &event, self.events);
    }

    fn redis(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
    }

    fn keep(&mut self, start: usize, end: usize) {
        if let Some(elided) = &mut self.elided {
            elided.keep(start, end);
        }
    }

    fn mask(&mut self, start: usize, replacement: &[u8]) {
        if let Some(elided) = &mut self.elided {
            elided.mask(start, replacement);
        }
    }

    fn inferred(&mut self, state: InferenceState) {
        self.counters.inferred(state);
    }

    fn problem(&mut self, problem: Problem) {
        self.counters.problem(problem);
    }
}

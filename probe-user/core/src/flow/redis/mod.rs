//! One Redis connection: bytes and holes of both directions in, commands with their answers out.
//!
//! Replies carry no number: the n-th reply belongs to the n-th request (pipelining). Pushes of RESP3
//! and what RESP2 tells subscribers are no replies; `SUBSCRIBE` has one for each channel; `CLIENT
//! REPLY` turns replies off. So one lost request or reply would put every later pair off by one.
//! After a loss, and on a connection joined late, nothing is paired until [`QUIET_NS`] passed without
//! a byte in either direction and the client speaks again: what was asked before is answered by then.
//!
//! A capture holds framing and listed words. Where bytes are taken up again depends on whole pushes
//! ([`fits`]), which a capture keeps, so its replay pairs the same.

mod pairing;

use super::sink::{Keeper, Problem, Sink};
use crate::record::{Chunk, Direction, GapReason, Joined, KtimeNs, Side};
use crate::wire::resp::{Command, ErrorWord, Fate, Loss, Parser, Part, fits};
use pairing::Pairing;

/// Silence in nanoseconds after which no answer is under way: Redis answers in well under a
/// millisecond, and a client that waits for a blocking command says nothing meanwhile.
pub const QUIET_NS: u64 = 1_000_000_000;

/// Bytes masked at once.
const MASK_BYTES: usize = 64;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// It was answered.
    Answered {
        /// Which.
        command: Command,
        /// When its last byte crossed the watched process's border.
        asked: KtimeNs,
        /// When the last byte of its reply did.
        answered: KtimeNs,
        /// The error it was answered with.
        error: Option<ErrorWord>,
    },
    /// It was not answered within five seconds, or before the connection closed. An answer that
    /// comes late is told as well.
    TimedOut(Command),
    /// The connection was reset before it was answered.
    Failed(Command),
    /// Whether it was answered cannot be told.
    Lost,
}

/// A connection that speaks RESP.
pub struct RedisConnection {
    side: Side,
    requests: Parser,
    replies: Parser,
    pairing: Pairing,
    /// When a byte was last seen to move.
    moved: KtimeNs,
    closed: bool,
}

impl RedisConnection {
    /// A connection of which `side` is the watched process's end, open since `at`.
    pub fn new(side: Side, joined: Joined, at: KtimeNs) -> Self {
        let (mut requests, mut replies) = (Parser::requests(), Parser::replies());
        if joined == Joined::Late {
            requests.lose();
            replies.lose();
        }
        Self {
            side,
            requests,
            replies,
            pairing: Pairing::new(joined == Joined::FromStart),
            moved: at,
            closed: false,
        }
    }

    /// Whether a command waits for its answer.
    pub fn is_waiting(&self) -> bool {
        self.pairing.is_waiting()
    }

    /// Whether the next reply is known to answer the oldest request.
    pub fn is_paired(&self) -> bool {
        self.pairing.is_paired()
    }

    /// A push comes, whose bytes and holes are given next.
    pub fn begin(&mut self, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if self.closed || self.pairing.is_over() {
            return;
        }
        let at = chunk.at();
        let from_client = self.is_from_client(chunk.direction);
        let quiet = at.since(self.moved) >= QUIET_NS;
        self.moved = self.moved.max(at);
        let parser = self.parser(from_client);
        if parser.is_lost() && fits(from_client, &mut chunk.pieces()) {
            parser.resume();
            sink.problem(Problem::Resynchronised);
        }
        if from_client && quiet && !self.pairing.is_paired() && self.requests.is_between() {
            // Nothing is under way: the next byte of the server starts a reply.
            self.replies.resume();
            self.pairing.restart();
        }
    }

    /// The next bytes of a direction.
    pub fn handle_bytes(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) {
        if self.closed || self.pairing.is_over() {
            return;
        }
        let from_client = self.is_from_client(direction);
        let mut keeper = Keeper::new(sink, true);
        let mut position = 0;
        while let Some(rest) = bytes.get(position..) {
            let Some(step) = self.parser(from_client).step(rest) else {
                break;
            };
            let end = position + step.used;
            match step.fate {
                Fate::Keep => keeper.keep(position, end),
                Fate::Drop => {}
                Fate::Mask(byte) => {
                    let mask = [byte; MASK_BYTES];
                    for start in (position..end).step_by(MASK_BYTES) {
                        let length = (end - start).min(MASK_BYTES);
                        keeper
                            .sink()
                            .mask(start, mask.get(..length).unwrap_or_default());
                    }
                    keeper.keep(position, end);
                }
            }
            position = end;
            self.part(step.part, at, keeper.sink());
            if self.pairing.is_over() {
                break;
            }
        }
        keeper.flush();
    }

    /// The next `length` bytes of a direction are missing.
    pub fn handle_hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    ) {
        if self.closed || self.pairing.is_over() {
            return;
        }
        self.moved = self.moved.max(at);
        let from_client = self.is_from_client(direction);
        let part = self.parser(from_client).hole(length, reason);
        self.part(part, at, sink);
    }

    /// Time passes.
    pub fn handle_time(&mut self, now: KtimeNs, sink: &mut dyn Sink) {
        self.pairing.advance(now, sink);
    }

    /// The connection is gone; `failed` when it was reset, refused or timed out.
    pub fn handle_closed(&mut self, failed: bool, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        for parser in [&self.requests, &self.replies] {
            if parser.is_inside() && !self.pairing.is_over() {
                sink.problem(Problem::CutShort);
            }
        }
        self.pairing.close(failed, sink);
    }

    fn is_from_client(&self, direction: Direction) -> bool {
        (self.side == Side::Client) == (direction == Direction::Sent)
    }

    fn parser(&mut self, from_client: bool) -> &mut Parser {
        if from_client {
            &mut self.requests
        } else {
            &mut self.replies
        }
    }

    fn part(&mut self, part: Part, at: KtimeNs, sink: &mut dyn Sink) {
        match part {
            Part::Nothing => {}
            Part::Request(request) => {
                if let Some(registration) = self.requests.take_registration() {
                    sink.registration(registration);
                }
                self.pairing.request(request, at, sink);
            }
            Part::Reply(reply) => self.pairing.reply(reply, at, sink),
            Part::Lost(loss) => {
                sink.problem(match loss {
                    Loss::Hole => Problem::FramingLost,
                    Loss::BadValue | Loss::TooDeep => Problem::BadValue,
                });
                self.pairing.lose(sink);
            }
        }
    }
}

#[cfg(test)]
mod tests;

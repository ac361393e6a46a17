//! gRPC's length-prefixed messages in one direction of one call (gRPC over HTTP/2, "Requests":
//! `Compressed-Flag Message-Length Message`, five octets of prefix).
//!
//! Takes the payloads of the call's DATA frames, cut anywhere, and holes in them; gives messages as
//! their last byte arrives. A hole inside a message's body keeps the framing; a hole over a prefix
//! loses the rest of this direction of the call.

use super::{Message, protobuf};
use crate::profile::{MessageIndex, Profile};

/// Octets of a message's prefix.
const PREFIX_BYTES: usize = 5;

/// Longest message in bytes that is believed. gRPC peers refuse more than 4 MiB by default; a file
/// sent in one message may be larger, a length read out of damaged bytes far larger.
const MAX_MESSAGE_BYTES: u32 = 256 * 1024 * 1024;

/// Deframer of one direction of one call.
#[derive(Debug)]
pub struct Deframer {
    state: State,
    decoder: protobuf::Decoder,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Prefix {
        octets: [u8; PREFIX_BYTES],
        have: usize,
    },
    Body {
        left: u32,
    },
    /// Where messages begin is not known any more, or never mattered.
    Lost,
}

const START: State = State::Prefix {
    octets: [0; PREFIX_BYTES],
    have: 0,
};

/// What consuming a run of bytes brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// Nothing yet.
    Nothing,
    /// A message is complete.
    Message(&'a Message),
    /// From here on messages cannot be told any more. Given once.
    Lost(LossCause),
}

/// Why messages cannot be told any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// A prefix is missing.
    Hole,
    /// A prefix makes no sense, or names an unbelievable length.
    BadPrefix,
}

/// A run of a stream that was consumed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run<'a> {
    /// Bytes consumed; 0 only where the next step consumes more.
    pub used: usize,
    /// Whether they carry structure, numbers or ids only, and never content.
    pub keep: bool,
    /// What they brought.
    pub outcome: Outcome<'a>,
}

impl Default for Deframer {
    fn default() -> Self {
        Self {
            state: START,
            decoder: protobuf::Decoder::default(),
        }
    }
}

impl Deframer {
    /// Starts another call, keeping the buffers.
    pub fn restart(&mut self) {
        self.state = START;
    }

    /// Messages cannot be told any more; whether that is news.
    pub fn lose(&mut self) -> bool {
        !matches!(std::mem::replace(&mut self.state, State::Lost), State::Lost)
    }

    /// Consumes a run of `input`, which must not be empty. Messages are read as `schema` says.
    pub fn step(
        &mut self,
        profile: &Profile,
        schema: Option<MessageIndex>,
        input: &[u8],
    ) -> Run<'_> {
        match self.state {
            State::Lost => Run {
                used: input.len(),
                keep: false,
                outcome: Outcome::Nothing,
            },
            State::Prefix { mut octets, have } => {
                let mut filled = have;
                for (place, octet) in octets.iter_mut().skip(have).zip(input) {
                    *place = *octet;
                    filled += 1;
                }
                let used = filled - have;
                let outcome = if filled < PREFIX_BYTES {
                    self.state = State::Prefix {
                        octets,
                        have: filled,
                    };
                    Outcome::Nothing
                } else {
                    self.prefix(schema, octets)
                };
                Run {
                    used,
                    keep: true,
                    outcome,
                }
            }
            State::Body { left } => {
                let body = input.get(..left as usize).unwrap_or(input);
                let run = self.decoder.step(profile, body);
                Run {
                    used: run.used,
                    keep: run.keep,
                    outcome: self.body(left, run.used as u32),
                }
            }
        }
    }

    /// Consumes a run of a hole of `length` bytes, which must not be 0; returns the bytes consumed.
    pub fn step_hole(&mut self, length: u32) -> (u32, Outcome<'_>) {
        match self.state {
            State::Lost => (length, Outcome::Nothing),
            State::Prefix { .. } => {
                self.state = State::Lost;
                (length, Outcome::Lost(LossCause::Hole))
            }
            State::Body { left } => {
                let used = length.min(left);
                self.decoder.hole(used);
                (used, self.body(left, used))
            }
        }
    }

    fn prefix(&mut self, schema: Option<MessageIndex>, octets: [u8; PREFIX_BYTES]) -> Outcome<'_> {
        let [flag, length @ ..] = octets;
        let length = u32::from_be_bytes(length);
        if flag > 1 || length > MAX_MESSAGE_BYTES {
            self.state = State::Lost;
            return Outcome::Lost(LossCause::BadPrefix);
        }
        self.decoder.start(schema, length);
        if flag == 1 {
            self.decoder.skip();
        }
        self.body(length, 0)
    }

    fn body(&mut self, left: u32, used: u32) -> Outcome<'_> {
        let left = left.saturating_sub(used);
        if left > 0 {
            self.state = State::Body { left };
            return Outcome::Nothing;
        }
        self.state = START;
        Outcome::Message(self.decoder.finish())
    }
}

//! gRPC's length-prefixed messages in one direction of one call (gRPC over HTTP/2, "Requests":
//! `Compressed-Flag Message-Length Message`, five octets of prefix).
//!
//! Takes the payloads of the call's DATA frames, cut anywhere, and holes in them; gives messages as
//! their last byte arrives. A hole inside a message's body keeps the framing; a hole over a prefix
//! loses it. It is found again at a DATA frame that holds exactly one message: its first five octets
//! then name the rest of its length, which bytes from the middle of a message do with a chance of
//! about 2^-39. That is how grpc-core sends speech.

use std::sync::Arc;

use super::protobuf::{Looks, Shape};
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
    /// Where messages begin is not known.
    Unframed {
        /// Whether that was told.
        told: bool,
        /// Length of the DATA frame that starts with the next byte, if one does.
        frame: Option<u32>,
    },
    /// No gRPC.
    Ignored,
}

const START: State = State::Prefix {
    octets: [0; PREFIX_BYTES],
    have: 0,
};

const UNFRAMED: State = State::Unframed {
    told: true,
    frame: None,
};

/// What consuming a run of bytes brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// Nothing yet.
    Nothing,
    /// A message is complete.
    Message(&'a Message),
    /// Messages cannot be told until the framing is found again. Given once per loss.
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
    /// Starts another call, keeping the buffers. `framed` tells whether the first byte to come is the
    /// direction's first.
    pub fn restart(&mut self, framed: bool) {
        self.state = if framed {
            START
        } else {
            State::Unframed {
                told: false,
                frame: None,
            }
        };
    }

    /// What comes is no gRPC: nothing more is told.
    pub fn ignore(&mut self) {
        self.state = State::Ignored;
    }

    /// Whether a message has begun and is not complete.
    pub fn is_inside(&self) -> bool {
        match self.state {
            State::Prefix { have, .. } => have > 0,
            State::Body { .. } => true,
            State::Unframed { .. } | State::Ignored => false,
        }
    }

    /// Bytes are missing, nobody knows how many; whether it is news that messages are lost.
    pub fn lose(&mut self) -> bool {
        let told = match self.state {
            State::Ignored => return false,
            State::Unframed { told, .. } => told,
            State::Prefix { .. } | State::Body { .. } => false,
        };
        self.state = UNFRAMED;
        !told
    }

    /// A DATA frame with `length` bytes of content starts.
    pub fn start_frame(&mut self, length: u32) {
        if let State::Unframed { frame, .. } = &mut self.state {
            *frame = Some(length);
        }
    }

    /// The shape of the message just given, where it was recorded.
    pub fn shape(&self) -> Option<&Shape> {
        self.decoder.shape()
    }

    /// What stands in a capture for the run just consumed, where that is not what was there.
    pub fn take_masked(&mut self) -> Option<Vec<u8>> {
        self.decoder.take_masked()
    }

    /// Consumes a run of `input`, which must not be empty. Messages are read as `schema` says; where
    /// there are `looks`, their shapes are recorded.
    #[inline]
    pub fn step(
        &mut self,
        profile: &Profile,
        (schema, looks): (Option<MessageIndex>, Option<&Arc<Looks>>),
        input: &[u8],
    ) -> Run<'_> {
        match self.state {
            State::Ignored => Run {
                used: input.len(),
                keep: false,
                outcome: Outcome::Nothing,
            },
            State::Unframed { told, frame } => {
                // Only a prefix in one piece is tried, so that its octets are known to be no content
                // when it is decided whether they may be kept.
                let prefix = input.first_chunk::<PREFIX_BYTES>().copied();
                if let (Some(prefix), Some(frame)) = (prefix, frame)
                    && fills(prefix, frame)
                {
                    return Run {
                        used: PREFIX_BYTES,
                        keep: true,
                        outcome: self.prefix((schema, looks), prefix),
                    };
                }
                self.state = UNFRAMED;
                Run {
                    used: input.len(),
                    keep: false,
                    outcome: news(told),
                }
            }
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
                    self.prefix((schema, looks), octets)
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
    #[inline]
    pub fn step_hole(&mut self, length: u32) -> (u32, Outcome<'_>) {
        match self.state {
            State::Ignored => (length, Outcome::Nothing),
            State::Unframed { told, .. } => {
                self.state = UNFRAMED;
                (length, news(told))
            }
            State::Prefix { .. } => {
                self.state = UNFRAMED;
                (length, Outcome::Lost(LossCause::Hole))
            }
            State::Body { left } => {
                let used = length.min(left);
                self.decoder.hole(used);
                (used, self.body(left, used))
            }
        }
    }

    fn prefix(
        &mut self,
        (schema, looks): (Option<MessageIndex>, Option<&Arc<Looks>>),
        octets: [u8; PREFIX_BYTES],
    ) -> Outcome<'_> {
        let [flag, length @ ..] = octets;
        let length = u32::from_be_bytes(length);
        if flag > 1 || length > MAX_MESSAGE_BYTES {
            self.state = UNFRAMED;
            return Outcome::Lost(LossCause::BadPrefix);
        }
        self.decoder.start(schema, length);
        if let Some(looks) = looks {
            self.decoder.record(Arc::clone(looks));
        }
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

/// Whether a DATA frame of this length may hold exactly the message of this prefix.
fn fills(prefix: [u8; PREFIX_BYTES], frame: u32) -> bool {
    let [flag, length @ ..] = prefix;
    let length = u64::from(u32::from_be_bytes(length));
    flag <= 1 && length + PREFIX_BYTES as u64 == u64::from(frame)
}

fn news(told: bool) -> Outcome<'static> {
    if told {
        Outcome::Nothing
    } else {
        Outcome::Lost(LossCause::Hole)
    }
}

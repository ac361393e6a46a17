//! What the frame parser gives.

use super::Opcode;

/// A piece of what the frames of one direction say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing yet.
    Nothing,
    /// A message begins.
    MessageStart {
        /// Text or binary; `Continuation` where its first frame was not seen.
        opcode: Opcode,
        /// permessage-deflate (RFC 7692, 6).
        compressed: bool,
    },
    /// Bytes of the message.
    Payload(Payload<'a>),
    /// Missing bytes of the message.
    PayloadHole,
    /// The message is complete.
    MessageEnd,
    /// A ping is complete.
    Ping,
    /// A pong is complete.
    Pong,
    /// A Close frame is complete.
    Close {
        /// Its status code.
        code: Option<u16>,
    },
    /// The framing is lost.
    Lost(Loss),
}

/// Why the framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A frame header is missing.
    Hole,
    /// A frame that no peer may send.
    BadFrame,
}

/// A run of input that was consumed, and what it brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes consumed; 0 where the part follows from what was consumed before.
    pub used: usize,
    /// What they brought.
    pub part: Part<'a>,
}

/// Bytes as they were on the wire, and how they are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    pub(super) bytes: &'a [u8],
    /// Masking key, turned so that it begins with the octet for the first byte.
    pub(super) key: Option<[u8; 4]>,
}

/// Bytes unmasked at once.
const UNMASK_BYTES: usize = 1024;

impl Payload<'_> {
    /// Gives the bytes without mask (RFC 6455, 5.3), in order.
    pub fn for_each(&self, mut take: impl FnMut(&[u8])) {
        let Some(key) = self.key else {
            return take(self.bytes);
        };
        let mut buffer = [0; UNMASK_BYTES];
        // The buffer is a multiple of the key's length, so each run starts at its beginning.
        for run in self.bytes.chunks(UNMASK_BYTES) {
            for (places, bytes) in buffer.chunks_mut(key.len()).zip(run.chunks(key.len())) {
                for ((place, byte), mask) in places.iter_mut().zip(bytes).zip(key) {
                    *place = byte ^ mask;
                }
            }
            take(buffer.get(..run.len()).unwrap_or_default());
        }
    }
}

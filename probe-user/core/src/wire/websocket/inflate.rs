//! permessage-deflate, the receiving end (RFC 7692, 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

/// Bytes one message may inflate to: the largest limit that a common server has by default
/// (uvicorn 16 MiB; aiohttp 4 MiB, websockets 1 MiB). A server refuses what is longer, with close
/// code 1009; here it is given up, and with it the window.
pub const MAX_MESSAGE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes inflated at once. They are scanned and thrown away.
const RUN_BYTES: usize = 4096;

/// What a sender leaves out at the end of each message (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Why a message cannot be inflated. What follows in its direction cannot be either, unless each
/// message is compressed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It is no DEFLATE data (RFC 1951), or goes on behind a final block.
    #[error("not DEFLATE data")]
    BadData,
    /// It is longer than [`MAX_MESSAGE_BYTES`].
    #[error("message is too long")]
    TooLong,
}

/// Inflates the messages of one direction, with the window carried from one to the next. It holds
/// about 43 KiB: the window and the code tables. What refers to before the first message reads as
/// zeros: the back end does not tell.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    /// Bytes of the current message so far.
    length: u64,
    /// A final block came: the back end has forgotten the window.
    over: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        Self {
            stream: Decompress::new(false),
            length: 0,
            over: false,
        }
    }
}

impl Inflater {
    /// Whether nothing can be inflated after this message: it had a final block.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes a run of a message's payload; gives what it inflates to, run by run.
    pub fn push(&mut self, input: &[u8], take: &mut impl FnMut(&[u8])) -> Result<(), InflateError> {
        let mut rest = input;
        let mut run = [0; RUN_BYTES];
        loop {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(rest, &mut run, FlushDecompress::None)
                .map_err(|_| InflateError::BadData)?;
            let read = self.stream.total_in() - read;
            let written = (self.stream.total_out() - written) as usize;
            rest = rest.get(read as usize..).unwrap_or_default();
            self.length += written as u64;
            if self.length > MAX_MESSAGE_BYTES {
                return Err(InflateError::TooLong);
            }
            // Behind a final block comes the empty one that completes the message, and no content:
            // it might refer to the window.
            if self.over && written > 0 {
                return Err(InflateError::BadData);
            }
            take(run.get(..written).unwrap_or_default());
            if status == Status::StreamEnd {
                // A sender may end a message with a final block (RFC 7692, 7.2.3.4).
                self.stream.reset(false);
                self.over = true;
            } else if read == 0 && written == 0 {
                // No progress with input left is none ever.
                return if rest.is_empty() {
                    Ok(())
                } else {
                    Err(InflateError::BadData)
                };
            }
            if rest.is_empty() && written < RUN_BYTES {
                return Ok(());
            }
        }
    }

    /// The message is complete.
    pub fn finish(&mut self, take: &mut impl FnMut(&[u8])) -> Result<(), InflateError> {
        self.push(&TAIL, take)?;
        self.length = 0;
        Ok(())
    }
}

//! Finding the framing again, after a gap or on a connection joined late.
//!
//! The search starts at the start of a push only, because peers begin their writes with a frame (a
//! read may begin anywhere, then the search fails and a later push is tried). From there a chain of
//! plausible frame headers is followed, over as many pushes as it takes: the framing is found when
//! the chain has [`CHAIN_FRAMES`] headers, or [`ALIGNED_FRAMES`] frames and the last one ends
//! exactly where a push ends. The second rule is what finds a stream of one frame per write whose bytes are all
//! there; of one whose content was left where it was the first one does, a write later. Frames
//! are read from the first one that starts in the push that completes the proof.

use super::header::{FrameHeader, HEADER_BYTES};

/// Headers that prove the framing. A random nine octets are plausible with a chance of about
/// 2^-13 (type, flags, reserved bit, parity), three in a row with 2^-39.
const CHAIN_FRAMES: u32 = 3;

/// Frames that prove the framing when the last one ends with the push: the length adds 24 bits.
const ALIGNED_FRAMES: u32 = 2;

/// The search in one direction.
#[derive(Debug)]
pub(super) struct Search {
    from_client: bool,
    chain: Option<Chain>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    octets: [u8; HEADER_BYTES],
    /// Octets of the next header that were read.
    have: usize,
    /// Bytes of the current payload to come.
    left: u64,
    /// Complete headers so far.
    frames: u32,
}

impl Search {
    pub(super) fn new(from_client: bool) -> Self {
        Self {
            from_client,
            chain: None,
        }
    }

    /// Follows the chain through a push; the position of the first frame to read, once found.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let (chain, start) = self
            .chain
            .and_then(|chain| self.follow(chain, bytes))
            .or_else(|| self.follow(Chain::default(), bytes))
            .unzip();
        self.chain = chain;
        let chain = chain?;
        let aligned = chain.frames >= ALIGNED_FRAMES && chain.left == 0 && chain.have == 0;
        if chain.frames >= CHAIN_FRAMES || aligned {
            start?
        } else {
            None
        }
    }

    /// Bytes are missing.
    pub(super) fn hole(&mut self, length: u64) {
        self.chain = self.chain.and_then(|mut chain| {
            chain.left = chain.left.checked_sub(length)?;
            Some(chain)
        });
    }

    /// The chain behind `bytes` and where the first header in them starts; `None` where it breaks.
    fn follow(&self, mut chain: Chain, bytes: &[u8]) -> Option<(Chain, Option<usize>)> {
        let mut position = 0;
        let mut start = None;
        while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
            if chain.left > 0 {
                let used = chain.left.min(rest.len() as u64);
                chain.left -= used;
                position += used as usize;
                continue;
            }
            if chain.have == 0 && start.is_none() {
                start = Some(position);
            }
            for (place, octet) in chain.octets.iter_mut().skip(chain.have).zip(rest) {
                *place = *octet;
                chain.have += 1;
                position += 1;
            }
            if chain.have == HEADER_BYTES {
                let header = FrameHeader::parse(&chain.octets);
                if !header.is_plausible(self.from_client) {
                    return None;
                }
                chain.have = 0;
                chain.left = u64::from(header.length);
                chain.frames = chain.frames.saturating_add(1);
            }
        }
        Some((chain, start))
    }
}

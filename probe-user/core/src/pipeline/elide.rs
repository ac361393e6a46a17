//! A chunk without its content: what may be kept of it stays, the rest becomes holes.

use crate::record::{Chunk, GapReason, Hole, Holes};

/// Puts the chunk together while its bytes are parsed. What nobody names is left out.
pub(super) struct Elided {
    bytes: Vec<u8>,
    holes: Holes,
    /// Ranges of the current piece that may be kept, in order.
    ranges: Vec<(usize, usize)>,
    /// Replacements of bytes of the current piece, by position.
    masks: Vec<(usize, Vec<u8>)>,
    /// Position in the chunk, stream bytes.
    position: u32,
}

impl Elided {
    pub(super) fn new(chunk: &Chunk<'_>) -> Self {
        // Most of an audio chunk is left out.
        let bytes = Vec::with_capacity(chunk.bytes.len().min(256));
        Self {
            bytes,
            holes: Holes::new(),
            ranges: Vec::new(),
            masks: Vec::new(),
            position: 0,
        }
    }

    /// Bytes `start..end` of the current piece may be kept.
    pub(super) fn keep(&mut self, start: usize, end: usize) {
        self.ranges.push((start, end));
    }

    /// Bytes from `start` of the current piece on must not be kept as they are: these stand for
    /// them. Told before the range that covers them.
    pub(super) fn mask(&mut self, start: usize, replacement: &[u8]) {
        self.masks.push((start, replacement.to_vec()));
    }

    /// The current piece is parsed.
    pub(super) fn finish_bytes(&mut self, piece: &[u8]) {
        let mut masked;
        let mut piece = piece;
        if !self.masks.is_empty() {
            masked = piece.to_vec();
            for (start, replacement) in std::mem::take(&mut self.masks) {
                if let Some(bytes) = masked.get_mut(start..start + replacement.len()) {
                    bytes.copy_from_slice(&replacement);
                }
            }
            piece = &masked;
        }
        let mut next = 0;
        for (start, end) in std::mem::take(&mut self.ranges) {
            if let Some(kept) = piece.get(start..end).filter(|_| start >= next) {
                self.leave_out((start - next) as u32, GapReason::Elided);
                self.bytes.extend_from_slice(kept);
                self.position += kept.len() as u32;
                next = end;
            }
        }
        self.leave_out((piece.len() - next) as u32, GapReason::Elided);
    }

    /// The chunk has a hole here.
    pub(super) fn hole(&mut self, length: u32, reason: GapReason) {
        self.leave_out(length, reason);
    }

    /// The chunk to keep.
    pub(super) fn into_chunk(self, chunk: &Chunk<'_>) -> Chunk<'static> {
        Chunk {
            bytes: self.bytes.into(),
            holes: self.holes,
            ..*chunk
        }
    }

    fn leave_out(&mut self, length: u32, reason: GapReason) {
        if length == 0 {
            return;
        }
        let at = self.position;
        self.position += length;
        match self.holes.last_mut() {
            Some(last) if last.at + last.length == at && last.reason == reason => {
                last.length += length;
            }
            _ => self.holes.push(Hole { at, length, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ConnectionId, Direction, KtimeNs};

    #[test]
    fn masked_bytes_are_replaced() {
        let chunk = Chunk {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            tid: 1,
            offset: 0,
            enter: KtimeNs(1),
            exit: KtimeNs(2),
            length: 8,
            bytes: b"k=secret"[..].into(),
            holes: vec![].into(),
        };
        let mut elided = Elided::new(&chunk);
        elided.mask(2, b"******");
        elided.keep(0, 8);
        elided.finish_bytes(&chunk.bytes);
        assert_eq!(&*elided.into_chunk(&chunk).bytes, b"k=******");
    }

    #[test]
    fn only_named_ranges_are_kept_and_lengths_stay() {
        let chunk = Chunk {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            tid: 1,
            offset: 7,
            enter: KtimeNs(1),
            exit: KtimeNs(2),
            length: 15,
            bytes: b"0123456789"[..].into(),
            holes: vec![Hole {
                at: 10,
                length: 5,
                reason: GapReason::CaptureLimit,
            }]
            .into(),
        };
        let mut elided = Elided::new(&chunk);
        elided.keep(1, 3);
        elided.keep(5, 6);
        elided.finish_bytes(&chunk.bytes);
        elided.hole(5, GapReason::CaptureLimit);
        let kept = elided.into_chunk(&chunk);
        assert_eq!(&*kept.bytes, b"125");
        let hole = |at, length, reason| Hole { at, length, reason };
        assert_eq!(
            kept.holes.as_ref(),
            [
                hole(0, 1, GapReason::Elided),
                hole(3, 2, GapReason::Elided),
                hole(6, 4, GapReason::Elided),
                hole(10, 5, GapReason::CaptureLimit),
            ]
        );
        assert_eq!((kept.length, kept.offset), (15, 7));
        let total: u32 = kept.holes.iter().map(|hole| hole.length).sum();
        assert_eq!(total + kept.bytes.len() as u32, kept.length);
    }
}

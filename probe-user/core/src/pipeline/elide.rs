//! A chunk without its content: what may be kept of it stays, the rest becomes holes.

use crate::record::{Chunk, GapReason, Hole};

/// Puts the chunk together while its bytes are parsed. What nobody names is left out.
pub(super) struct Elided {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    /// Ranges of the current piece that may be kept, in order.
    ranges: Vec<(usize, usize)>,
    /// Position in the chunk, stream bytes.
    position: u32,
}

impl Elided {
    pub(super) fn new(chunk: &Chunk<'_>) -> Self {
        // Most of an audio chunk is left out.
        let bytes = Vec::with_capacity(chunk.bytes.len().min(256));
        Self { bytes, holes: Vec::new(), ranges: Vec::new(), position: 0 }
    }

    /// Bytes `start..end` of the current piece may be kept.
    pub(super) fn keep(&mut self, start: usize, end: usize) {
        self.ranges.push((start, end));
    }

    /// The current piece is parsed.
    pub(super) fn finish_bytes(&mut self, piece: &[u8]) {
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
        Chunk { bytes: self.bytes.into(), holes: self.holes.into(), ..*chunk }
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
            holes: vec![Hole { at: 10, length: 5, reason: GapReason::CaptureLimit }].into(),
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

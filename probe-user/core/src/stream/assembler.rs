//! One direction of one connection, put back in order.
//!
//! The kernel side gives each chunk its position in the stream, so a chunk that overtook another on
//! its way (another CPU, another thread) is recognised and held until the earlier one arrives. A
//! position that stays empty was lost: after [`REORDER_WAIT_NS`] of kernel time, or when too much
//! is held, the hole becomes a [`Delivery::Gap`].

use std::collections::BTreeMap;

use crate::record::{Chunk, GapReason, KtimeNs};

/// How long a hole may stay before it counts as lost, in nanoseconds of kernel time. Records are
/// written within microseconds of each other; only a virtual CPU that is taken away for long can
/// delay one more, and 100 ms covers what hypervisors do in practice.
pub(super) const REORDER_WAIT_NS: u64 = 100_000_000;

/// Bytes held for one direction while waiting for a hole: a second of ten audio streams.
pub(super) const HELD_BYTES: u64 = 1024 * 1024;

/// What comes out, in stream order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// The next bytes.
    Chunk(Chunk<'a>),
    /// The next bytes are missing.
    Gap {
        /// Position of the first missing byte.
        offset: u64,
        /// Missing bytes.
        length: u64,
        /// Why.
        reason: GapReason,
    },
}

/// Restores the order of one direction of one connection.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Position of the next byte to deliver.
    next: u64,
    /// Chunks beyond a hole, by position.
    held: BTreeMap<u64, Chunk<'static>>,
    /// Stream bytes in `held`.
    held_bytes: u64,
    /// Kernel time at which the oldest held chunk came.
    waiting_since: Option<KtimeNs>,
    /// Chunks that came after their position was given up or taken.
    stale: u64,
}

impl Assembler {
    /// Takes a chunk; gives what can be delivered.
    pub fn handle_chunk(
        &mut self,
        chunk: Chunk<'_>,
        deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized),
    ) {
        if chunk.offset < self.next {
            self.stale += 1;
            return;
        }
        if chunk.offset == self.next {
            self.next = self.next.saturating_add(u64::from(chunk.length));
            deliver(Delivery::Chunk(chunk));
            if !self.held.is_empty() {
                self.deliver_held(deliver);
            }
            return;
        }
        let now = chunk.exit;
        self.waiting_since.get_or_insert(now);
        self.held_bytes += u64::from(chunk.length);
        if let Some(replaced) = self.held.insert(chunk.offset, owned(chunk)) {
            self.stale += 1;
            self.held_bytes = self.held_bytes.saturating_sub(u64::from(replaced.length));
        }
        while self.held_bytes > HELD_BYTES {
            self.give_up_hole(GapReason::Evicted, deliver);
        }
        self.handle_time(now, deliver);
    }

    /// Time passed: gives up a hole that has been waited for long enough.
    pub fn handle_time(&mut self, now: KtimeNs, deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized)) {
        while let Some(since) = self.waiting_since
            && now.since(since) >= REORDER_WAIT_NS
        {
            self.give_up_hole(GapReason::Lost, deliver);
        }
    }

    /// Bytes from `offset` on are known to be missing (from a capture). What comes before them was
    /// not kept: it told nothing.
    pub fn handle_gap(
        &mut self,
        offset: u64,
        length: u64,
        reason: GapReason,
        deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized),
    ) {
        let offset = offset.max(self.next);
        self.next = offset.saturating_add(length);
        deliver(Delivery::Gap {
            offset,
            length,
            reason,
        });
        self.deliver_held(deliver);
    }

    /// Nothing more will come: what is held is delivered.
    pub fn finish(&mut self, deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized)) {
        while !self.held.is_empty() {
            self.give_up_hole(GapReason::Lost, deliver);
        }
    }

    /// Whether something is held.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Chunks that were dropped because their position had been given up or taken.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    fn give_up_hole(
        &mut self,
        reason: GapReason,
        deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized),
    ) {
        let Some(&offset) = self.held.keys().next() else {
            self.waiting_since = None;
            self.held_bytes = 0;
            return;
        };
        if offset > self.next {
            deliver(Delivery::Gap {
                offset: self.next,
                length: offset - self.next,
                reason,
            });
            self.next = offset;
        }
        self.deliver_held(deliver);
    }

    /// Delivers the held chunks that follow without a hole.
    fn deliver_held(&mut self, deliver: &mut (impl FnMut(Delivery<'_>) + ?Sized)) {
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > self.next {
                break;
            }
            let chunk = entry.remove();
            self.held_bytes = self.held_bytes.saturating_sub(u64::from(chunk.length));
            if chunk.offset < self.next {
                self.stale += 1;
                continue;
            }
            self.next = self.next.saturating_add(u64::from(chunk.length));
            deliver(Delivery::Chunk(chunk));
        }
        self.waiting_since = self.held.values().map(|chunk| chunk.exit).min();
    }
}

fn owned(chunk: Chunk<'_>) -> Chunk<'static> {
    Chunk {
        bytes: chunk.bytes.into_owned().into(),
        holes: chunk.holes,
        ..chunk
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{ConnectionId, Direction};

    fn chunk(offset: u64, bytes: &[u8], exit: u64) -> Chunk<'static> {
        Chunk {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            tid: 1,
            offset,
            enter: KtimeNs(exit),
            exit: KtimeNs(exit),
            length: bytes.len() as u32,
            bytes: bytes.to_vec().into(),
            holes: vec![].into(),
        }
    }

    /// What came out: bytes as they are, a missing byte as `?`.
    #[derive(Default)]
    struct Out(Vec<u8>);

    impl Out {
        fn take(&mut self) -> impl FnMut(Delivery<'_>) {
            |delivery| match delivery {
                Delivery::Chunk(chunk) => self.0.extend(chunk.bytes.iter()),
                Delivery::Gap { length, .. } => {
                    self.0.extend(std::iter::repeat_n(b'?', length as usize));
                }
            }
        }
    }

    #[test]
    fn chunk_that_overtook_another_waits_for_it() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_chunk(chunk(3, b"def", 10), &mut out.take());
        assert!(out.0.is_empty() && assembler.is_waiting());
        assembler.handle_chunk(chunk(0, b"abc", 11), &mut out.take());
        assert_eq!(out.0, b"abcdef");
        assert!(!assembler.is_waiting());
    }

    #[test]
    fn lost_chunk_becomes_a_gap_after_the_wait() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_chunk(chunk(0, b"abc", 10), &mut out.take());
        assembler.handle_chunk(chunk(5, b"fgh", 20), &mut out.take());
        assembler.handle_time(KtimeNs(20 + REORDER_WAIT_NS - 1), &mut out.take());
        assert_eq!(out.0, b"abc");
        assembler.handle_time(KtimeNs(20 + REORDER_WAIT_NS), &mut out.take());
        assert_eq!(out.0, b"abc??fgh");
    }

    #[test]
    fn second_hole_waits_its_own_time() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_chunk(chunk(1, b"b", 0), &mut out.take());
        assembler.handle_chunk(chunk(3, b"d", 50), &mut out.take());
        assembler.handle_time(KtimeNs(REORDER_WAIT_NS), &mut out.take());
        assert_eq!(out.0, b"?b");
        assembler.handle_chunk(chunk(2, b"c", 60), &mut out.take());
        assert_eq!(out.0, b"?bcd");
    }

    #[test]
    fn held_bytes_stay_bounded() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        let piece = vec![b'x'; 64 * 1024];
        for index in 0..40 {
            let offset = 1 + index * piece.len() as u64;
            assembler.handle_chunk(chunk(offset, &piece, 1), &mut out.take());
        }
        assert!(assembler.held_bytes <= HELD_BYTES);
        assert_eq!(
            out.0.len(),
            1 + 40 * piece.len(),
            "given up, and everything after it delivered"
        );
    }

    #[test]
    fn end_delivers_what_is_held() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_chunk(chunk(1, b"b", 0), &mut out.take());
        assembler.finish(&mut out.take());
        assert_eq!(out.0, b"?b");
    }

    #[test]
    fn gap_of_a_capture_stands_where_it_says() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_gap(3, 2, GapReason::Lost, &mut out.take());
        assembler.handle_chunk(chunk(5, b"fgh", 10), &mut out.take());
        assert_eq!(out.0, b"??fgh");
        assert!(!assembler.is_waiting());
    }

    #[test]
    fn position_at_the_end_of_numbers_is_no_panic() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.handle_chunk(chunk(u64::MAX - 1, b"abc", 10), &mut |_| ());
        assembler.handle_time(KtimeNs(10 + REORDER_WAIT_NS), &mut |_| ());
        assembler.handle_chunk(chunk(0, b"x", 11), &mut out.take());
        assert!(out.0.is_empty() && !assembler.is_waiting());
    }

    proptest! {
        #[test]
        fn any_order_gives_the_stream(order in Just((0_u64..12).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut assembler, mut out) = (Assembler::default(), Out::default());
            for index in order {
                assembler.handle_chunk(chunk(index * 2, &[index as u8, 100], 5), &mut out.take());
            }
            let expected: Vec<u8> = (0..12).flat_map(|index| [index, 100]).collect();
            prop_assert_eq!(out.0, expected);
        }

        #[test]
        fn lost_chunks_are_gaps_in_place(
            order in Just((0_u64..12).collect::<Vec<_>>()).prop_shuffle(),
            lost in proptest::collection::hash_set(0_u64..12, 0..6),
        ) {
            let (mut assembler, mut out) = (Assembler::default(), Out::default());
            for index in order.into_iter().filter(|index| !lost.contains(index)) {
                assembler.handle_chunk(chunk(index * 2, &[index as u8, 100], 5), &mut out.take());
            }
            assembler.finish(&mut out.take());
            let mut expected: Vec<u8> = Vec::new();
            let last = (0..12).filter(|index| !lost.contains(index)).max().unwrap_or(0);
            for index in 0..=last {
                expected.extend(if lost.contains(&index) { [b'?'; 2] } else { [index as u8, 100] });
            }
            prop_assert_eq!(out.0, expected);
        }
    }
}

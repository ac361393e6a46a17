//! Chunks as a file has them: parts of fixed size, then the captured bytes.
//!
//! A chunk that goes on where the one before it in the file ended does not repeat what that one says.

use std::borrow::Cow;

use probe_core::record::{Chunk, ConnectionId, Direction, GapReason, Hole, Holes, KtimeNs};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What of a chunk the next one may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    connection: ConnectionId,
    direction: Direction,
    tid: u32,
    offset: u64,
    enter: KtimeNs,
}

/// Where a chunk is that goes on nowhere; it is followed by [`Extent`].
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Start {
    connection: U64,
    tid: U32,
    /// See [`Direction::index`].
    direction: u8,
    offset: U64,
    enter: U64,
}

/// Where a chunk is that goes on; it is followed by [`Extent`].
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Next {
    /// Nanoseconds since the call before was entered.
    entered_after: U32,
}

/// Begins what all chunks have; [`HoleBytes`] and the captured bytes follow.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Extent {
    /// Nanoseconds that the call took.
    took: U64,
    length: U32,
    holes: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HoleBytes {
    at: U32,
    length: U32,
    /// Position in [`GapReason::ALL`].
    reason: u8,
}

/// Writes or reads the chunks of one file.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Where the next one would go on.
    next: Option<Place>,
}

impl Chunks {
    /// Whether a chunk goes on where the one before it ended.
    pub(super) fn goes_on(&self, chunk: &Chunk<'_>) -> bool {
        self.entered_after(chunk).is_some()
    }

    fn entered_after(&self, chunk: &Chunk<'_>) -> Option<u32> {
        let next = self.next?;
        let place = Place {
            enter: next.enter,
            ..Place::of(chunk)
        };
        let after = chunk.enter.0.checked_sub(next.enter.0)?;
        u32::try_from(after).ok().filter(|_| place == next)
    }

    /// Appends a chunk.
    pub(super) fn write(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        if let Some(after) = self.entered_after(chunk) {
            let next = Next {
                entered_after: after.into(),
            };
            out.extend_from_slice(next.as_bytes());
        } else {
            let start = Start {
                connection: chunk.connection.0.into(),
                tid: chunk.tid.into(),
                direction: chunk.direction.index() as u8,
                offset: chunk.offset.into(),
                enter: chunk.enter.0.into(),
            };
            out.extend_from_slice(start.as_bytes());
        }
        let extent = Extent {
            took: chunk.exit.0.wrapping_sub(chunk.enter.0).into(),
            length: chunk.length.into(),
            // A chunk has no more holes than bytes, and those are at most 8 KiB.
            holes: (chunk.holes.len() as u32).into(),
        };
        out.extend_from_slice(extent.as_bytes());
        for hole in &chunk.holes {
            let reason = GapReason::ALL.iter().position(|one| *one == hole.reason);
            let hole = HoleBytes {
                at: hole.at.into(),
                length: hole.length.into(),
                reason: reason.unwrap_or_default() as u8,
            };
            out.extend_from_slice(hole.as_bytes());
        }
        out.extend_from_slice(&chunk.bytes);
        self.next = Some(Place::of(chunk).after(chunk.length));
    }

    /// Reads a chunk that begins anew; `None` where it makes no sense.
    pub(super) fn read<'a>(&mut self, value: &'a [u8]) -> Option<Chunk<'a>> {
        let (start, rest) = Start::ref_from_prefix(value).ok()?;
        let direction = match start.direction {
            probe_abi::direction::SENT => Direction::Sent,
            probe_abi::direction::RECEIVED => Direction::Received,
            _ => return None,
        };
        let place = Place {
            connection: ConnectionId(start.connection.get()),
            direction,
            tid: start.tid.get(),
            offset: start.offset.get(),
            enter: KtimeNs(start.enter.get()),
        };
        self.read_at(place, rest)
    }

    /// Reads a chunk that goes on; `None` where it makes no sense.
    #[inline]
    pub(super) fn read_next<'a>(&mut self, value: &'a [u8]) -> Option<Chunk<'a>> {
        let (next, rest) = Next::ref_from_prefix(value).ok()?;
        let place = self.next?;
        let enter = place.enter.plus(next.entered_after.get().into());
        self.read_at(Place { enter, ..place }, rest)
    }

    /// Reads the rest of a chunk, whose bytes stay where they are.
    #[inline]
    fn read_at<'a>(&mut self, place: Place, rest: &'a [u8]) -> Option<Chunk<'a>> {
        let (extent, rest) = Extent::ref_from_prefix(rest).ok()?;
        let count = extent.holes.get() as usize;
        let (found, bytes) = <[HoleBytes]>::ref_from_prefix_with_elems(rest, count).ok()?;
        let mut holes = Holes::new();
        for hole in found {
            holes.push(Hole {
                at: hole.at.get(),
                length: hole.length.get(),
                reason: *GapReason::ALL.get(usize::from(hole.reason))?,
            });
        }
        let length = extent.length.get();
        self.next = Some(place.after(length));
        Some(Chunk {
            connection: place.connection,
            direction: place.direction,
            tid: place.tid,
            offset: place.offset,
            enter: place.enter,
            exit: KtimeNs(place.enter.0.wrapping_add(extent.took.get())),
            length,
            bytes: Cow::Borrowed(bytes),
            holes,
        })
    }
}

impl Place {
    fn of(chunk: &Chunk<'_>) -> Self {
        Self {
            connection: chunk.connection,
            direction: chunk.direction,
            tid: chunk.tid,
            offset: chunk.offset,
            enter: chunk.enter,
        }
    }

    /// Where the bytes that follow these would be.
    fn after(self, length: u32) -> Self {
        let offset = self.offset.wrapping_add(length.into());
        Self { offset, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holes() -> impl Strategy<Value = Holes> {
        let hole = (any::<u32>(), any::<u32>(), 0..GapReason::ALL.len());
        let hole = hole.prop_map(|(at, length, reason)| Hole {
            at,
            length,
            reason: GapReason::ALL[reason],
        });
        proptest::collection::vec(hole, 0..4).prop_map(Holes::from_vec)
    }

    /// A chunk whose offset and entry count from those of the one before.
    fn chunk() -> impl Strategy<Value = Chunk<'static>> {
        let direction = prop_oneof![Just(Direction::Sent), Just(Direction::Received)];
        let enter = prop_oneof![0..9_u64, any::<u64>()];
        let place = (0..2_u64, direction, 0..2_u32, 0..2_u64, enter);
        let rest = (any::<u32>(), any::<u64>(), any::<Vec<u8>>(), holes());
        (place, rest).prop_map(|(place, (length, exit, bytes, holes))| Chunk {
            connection: ConnectionId(place.0),
            direction: place.1,
            tid: place.2,
            offset: place.3,
            enter: KtimeNs(place.4),
            exit: KtimeNs(exit),
            length,
            bytes: bytes.into(),
            holes,
        })
    }

    fn write(chunks: &mut Chunks, chunk: &Chunk<'_>) -> (bool, Vec<u8>) {
        let goes_on = chunks.goes_on(chunk);
        let mut bytes = Vec::new();
        chunks.write(chunk, &mut bytes);
        (goes_on, bytes)
    }

    proptest! {
        #[test]
        fn chunks_come_back_as_written(chunks in proptest::collection::vec(chunk(), 1..9)) {
            let (mut writer, mut reader) = (Chunks::default(), Chunks::default());
            let (mut offset, mut enter) = (u64::MAX - 9, 5);
            for mut chunk in chunks {
                chunk.offset = chunk.offset.wrapping_add(offset);
                chunk.enter.0 = chunk.enter.0.wrapping_add(enter);
                offset = chunk.offset.wrapping_add(chunk.length.into());
                enter = chunk.enter.0;
                let (goes_on, bytes) = write(&mut writer, &chunk);
                let read = if goes_on { reader.read_next(&bytes) } else { reader.read(&bytes) };
                prop_assert_eq!(read, Some(chunk));
            }
        }

        #[test]
        fn any_bytes_are_a_chunk_or_none(first in any::<Vec<u8>>(), second in any::<Vec<u8>>()) {
            let mut reader = Chunks::default();
            reader.read(&first);
            reader.read_next(&second);
        }
    }

    fn simple(offset: u64, enter: u64) -> Chunk<'static> {
        let hole = Hole {
            at: 1,
            length: 2,
            reason: GapReason::Lost,
        };
        Chunk {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            tid: 1,
            offset,
            enter: KtimeNs(enter),
            exit: KtimeNs(enter + 1),
            length: 4,
            bytes: vec![7, 8].into(),
            holes: [hole].into_iter().collect(),
        }
    }

    #[test]
    fn chunk_goes_on_where_the_one_before_ended_and_not_long_before() {
        let mut writer = Chunks::default();
        assert!(!write(&mut writer, &simple(0, 10)).0);
        assert!(write(&mut writer, &simple(4, 10)).0);
        let long = 10 + u64::from(u32::MAX);
        assert!(write(&mut writer, &simple(8, long)).0);
        assert!(!write(&mut writer, &simple(12, long + (1 << 32))).0);
        assert!(!write(&mut writer, &simple(16, 10)).0, "before that one");
        assert!(!write(&mut writer, &simple(21, 10)).0, "after a gap");
    }

    #[test]
    fn chunk_that_is_cut_or_makes_no_sense_is_none() {
        let whole = write(&mut Chunks::default(), &simple(0, 10)).1;
        let read = |value: &[u8]| Chunks::default().read(value).is_some();
        assert!(read(&whole));
        // Without its last bytes it is a shorter one.
        for end in 0..whole.len() - 2 {
            assert!(!read(&whole[..end]));
        }
        let direction = size_of::<U64>() + size_of::<U32>();
        let holes = size_of::<Start>() + size_of::<U64>() + size_of::<U32>();
        let reason = size_of::<Start>() + size_of::<Extent>() + 2 * size_of::<U32>();
        for (place, octet) in [(holes + 3, 0xff), (direction, 2), (reason, 7)] {
            let mut damaged = whole.clone();
            damaged[place] = octet;
            assert!(!read(&damaged));
        }
        assert_eq!(Chunks::default().read_next(&whole), None, "after no chunk");
    }
}

//! A connection whose protocol is not told yet.

use std::borrow::Cow;

use super::protocol::{Expected, Making, Protocol};
use crate::{
    flow::{Detection, detect},
    record::{Chunk, Direction, GapReason, Joined, Opened, Side},
};

/// First bytes of a direction that are looked at to tell the protocol: HTTP/2's preface.
const DETECT_BYTES: usize = 24;

/// Bytes held while the protocol is not told. A peer that sends this much before the other's first
/// byte speaks nothing that is followed here.
const UNDETERMINED_BYTES: usize = 256 * 1024;

/// What came so far.
#[derive(Default)]
pub(super) struct Undetermined {
    first: [Vec<u8>; 2],
    held: Vec<Chunk<'static>>,
    bytes: usize,
}

impl Undetermined {
    /// Holds a chunk; the protocol when it can be told.
    pub(super) fn take(
        &mut self,
        chunk: Chunk<'_>,
        opened: &Opened,
        expected: Expected,
        with: Making<'_>,
    ) -> Option<Protocol> {
        let direction = chunk.direction;
        let first = &mut self.first[direction.index()];
        let missing = DETECT_BYTES.saturating_sub(first.len());
        // A hole among the first bytes leaves them unreadable from there on.
        let readable = chunk
            .holes
            .first()
            .map_or(usize::MAX, |hole| hole.at as usize);
        let cut = readable < missing && !chunk.holes.is_empty();
        let first_hole = chunk.holes.first().map(|hole| hole.reason);
        let missed = cut && first_hole != Some(GapReason::Elided);
        let take = missing.min(readable).min(chunk.bytes.len());
        first.extend(chunk.bytes.iter().take(take));
        let detection = detect(first);
        self.bytes += chunk.bytes.len();
        self.held.push(Chunk {
            bytes: Cow::Owned(chunk.bytes.into_owned()),
            ..chunk
        });
        let client_sends = match detection {
            // Redis has a `GET` of its own, and takes requests without lengths.
            Detection::Http1Client if expected == Expected::Redis => return Some(Protocol::Other),
            Detection::Http2Client | Detection::RedisClient | Detection::Http1Client => {
                direction == Direction::Sent
            }
            Detection::Http2Server => direction == Direction::Received,
            Detection::NeedMore if !cut && self.bytes < UNDETERMINED_BYTES => return None,
            // The bytes that would have told were not captured: from here it is like a late join.
            Detection::NeedMore if missed => {
                let side = opened.side;
                return Some(side.map_or(Protocol::Other, |side| {
                    Protocol::late(opened, side, expected, with)
                }));
            }
            Detection::NeedMore | Detection::Other => return Some(Protocol::Other),
        };
        let side = if client_sends {
            Side::Client
        } else {
            Side::Server
        };
        // Bytes that contradict how the connection began are neither.
        if opened.side.is_some_and(|known| known != side) {
            return Some(Protocol::Other);
        }
        Some(match detection {
            Detection::RedisClient => Protocol::redis(opened, side, Joined::FromStart),
            Detection::Http1Client => Protocol::websocket(opened, side, Joined::FromStart, with),
            _ => Protocol::http2(opened, side, Joined::FromStart, with),
        })
    }

    /// Whether anything came.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// What came so far.
    pub(super) fn into_held(self) -> Vec<Chunk<'static>> {
        self.held
    }
}

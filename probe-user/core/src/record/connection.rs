//! Facts about connections and the bytes that move on them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{KtimeNs, Tgid};

/// One connection of one watched process. A loopback connection between two watched processes
/// has two ids, one for each end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// Which way bytes move, as the watched process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// The watched process wrote them.
    Sent,
    /// The watched process read them.
    Received,
}

impl Direction {
    /// 0 for sent, 1 for received, as in the kernel contract.
    pub fn index(self) -> usize {
        match self {
            Self::Sent => usize::from(probe_abi::direction::SENT),
            Self::Received => usize::from(probe_abi::direction::RECEIVED),
        }
    }
}

/// Which end of the connection the watched process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// It connected.
    Client,
    /// It accepted.
    Server,
}

/// From where on a connection's bytes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joined {
    /// From its first byte.
    FromStart,
    /// It is older than the probe's view of it: offset 0 is somewhere in the middle.
    Late,
}

/// A socket address, IPv4-mapped IPv6 addresses written as IPv4.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Address {
    /// TCP.
    Inet(std::net::SocketAddr),
    /// Unix socket: its path, or empty when unnamed.
    Unix(String),
}

/// A connection began, or was found already open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Its id.
    pub connection: ConnectionId,
    /// Process it belongs to.
    pub tgid: Tgid,
    /// When `connect` or `accept` was entered; when it was found, for a late join.
    pub at: KtimeNs,
    /// Which end the process is; `None` when nothing tells.
    pub side: Option<Side>,
    /// From where on its bytes are known.
    pub joined: Joined,
    /// This end; `None` when unknown.
    pub local: Option<Address>,
    /// The other end; `None` when unknown.
    pub peer: Option<Address>,
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GapReason {
    /// Left out on purpose: content that must not leave the watched process (audio, text), or
    /// that nobody needs. Its length is exact.
    Elided,
    /// More than one capture holds.
    CaptureLimit,
    /// User memory could not be read.
    ReadFault,
    /// The record never arrived (the ring was full).
    Lost,
    /// Given up to keep memory bounded.
    Evicted,
    /// Content that nobody reads (audio, text), left in the watched process by the kernel side. Its
    /// length is exact.
    Unread,
    /// Not captured because the ring was filling up.
    Shed,
}

impl GapReason {
    /// All reasons, in label order.
    pub const ALL: [Self; 7] = [
        Self::Elided,
        Self::CaptureLimit,
        Self::ReadFault,
        Self::Lost,
        Self::Evicted,
        Self::Unread,
        Self::Shed,
    ];

    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elided => "elided",
            Self::CaptureLimit => "capture_limit",
            Self::ReadFault => "read_fault",
            Self::Lost => "lost",
            Self::Evicted => "evicted",
            Self::Unread => "unread",
            Self::Shed => "shed",
        }
    }
}

/// Bytes of a chunk that are not in [`Chunk::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Position in the chunk, in stream bytes from its start. Holes are in order and disjoint.
    pub at: u32,
    /// Missing bytes.
    pub length: u32,
    /// Why.
    pub reason: GapReason,
}

/// Holes of a chunk. A send has at most two as the kernel side captures it, which are no allocation.
pub type Holes = SmallVec<[Hole; 2]>;

/// Bytes that one call moved (or a fragment of them).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// Connection.
    pub connection: ConnectionId,
    /// Direction.
    pub direction: Direction,
    /// Thread that made the call.
    pub tid: u32,
    /// Position of the first byte in the stream.
    pub offset: u64,
    /// When the call was entered.
    pub enter: KtimeNs,
    /// When the call returned.
    pub exit: KtimeNs,
    /// Stream bytes this chunk stands for: captured ones and holes together.
    pub length: u32,
    /// The captured bytes, holes left out.
    #[serde(borrow)]
    pub bytes: Cow<'a, [u8]>,
    /// What is missing.
    pub holes: Holes,
}

impl Chunk<'_> {
    /// When the bytes crossed the process's border: entry of a send, return of a receive.
    pub fn at(&self) -> KtimeNs {
        match self.direction {
            Direction::Sent => self.enter,
            Direction::Received => self.exit,
        }
    }

    /// The stream as captured bytes and holes, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut position = 0_usize;
        let mut rest: &[u8] = &self.bytes;
        let mut holes = self.holes.as_slice();
        std::iter::from_fn(move || {
            let take = match holes {
                [hole, after @ ..] if hole.at as usize <= position || rest.is_empty() => {
                    holes = after;
                    position += hole.length as usize;
                    return Some(Piece::Hole(hole.length, hole.reason));
                }
                [hole, ..] => hole.at as usize - position,
                [] if rest.is_empty() => return None,
                [] => rest.len(),
            };
            let (piece, after) = rest.split_at(take.min(rest.len()));
            rest = after;
            position += piece.len();
            Some(Piece::Bytes(piece))
        })
    }
}

/// A run of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Captured.
    Bytes(&'a [u8]),
    /// Missing.
    Hole(u32, GapReason),
}

/// Bytes known to be missing between chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Connection.
    pub connection: ConnectionId,
    /// Direction.
    pub direction: Direction,
    /// Position of the first missing byte.
    pub offset: u64,
    /// Missing bytes.
    pub length: u64,
    /// Why.
    pub reason: GapReason,
    /// When it was decided that they are missing.
    pub at: KtimeNs,
}

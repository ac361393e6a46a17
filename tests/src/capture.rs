//! The records of a capture, as `voxprobe replay --events` prints them.

use std::collections::BTreeMap;

use probe_core::record::{
    Address, ConnectionId, Direction, Gap, GapReason, Hole, KtimeNs, Opened, Sched, Side,
};
use serde::Deserialize;

/// The records that tests ask about, in the order of the capture.
#[derive(Debug, Default)]
pub struct Capture {
    /// Connections that began or were found.
    pub opened: Vec<Opened>,
    /// Bytes moved.
    pub chunks: Vec<Chunk>,
    /// Bytes known to be missing.
    pub gaps: Vec<Gap>,
    /// Where threads were.
    pub sched: Vec<Sched>,
    /// When each connection was closed.
    pub closed: BTreeMap<ConnectionId, Vec<KtimeNs>>,
}

/// Bytes that one call moved, or a fragment of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
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
    /// Stream bytes it stands for.
    pub length: u32,
    /// Those that were kept.
    pub bytes: Vec<u8>,
    /// Those that were not.
    pub holes: Vec<Hole>,
}

#[derive(Deserialize)]
struct Closed {
    connection: ConnectionId,
    at: KtimeNs,
}

impl Capture {
    /// Reads one JSON object a line.
    pub fn parse(text: &str) -> Self {
        let mut capture = Self::default();
        for line in text.lines() {
            let record: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            for (kind, value) in record {
                capture.take(&kind, value);
            }
        }
        capture
    }

    fn take(&mut self, kind: &str, value: serde_json::Value) {
        match kind {
            "Chunk" => self.chunks.push(read(value)),
            "Opened" => self.opened.push(read(value)),
            "Gap" => self.gaps.push(read(value)),
            "Sched" => self.sched.push(read(value)),
            "Closed" => {
                let Closed { connection, at } = read(value);
                self.closed.entry(connection).or_default().push(at);
            }
            _ => {}
        }
    }

    /// The server's end of the connection whose client has this address. A connection that was
    /// accepted by a call older than the probe has no known peer; there is at most one of these.
    pub fn accepted_from(&self, peer: &Address) -> Option<&Opened> {
        let of_peer = |known: Option<&Address>| {
            let mut servers = self.opened.iter();
            servers
                .find(|opened| opened.side == Some(Side::Server) && opened.peer.as_ref() == known)
        };
        of_peer(Some(peer)).or_else(|| of_peer(None))
    }

    /// One direction of a connection.
    pub fn stream(&self, connection: ConnectionId, direction: Direction) -> Stream<'_> {
        let of_stream =
            |chunk: &&Chunk| chunk.connection == connection && chunk.direction == direction;
        Stream {
            chunks: self.chunks.iter().filter(of_stream).collect(),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a record of the capture")
}

/// One direction of a connection, in the order in which it was captured.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    /// Its chunks.
    pub chunks: Vec<&'a Chunk>,
}

impl Stream<'_> {
    /// Bytes it stands for, from its first to its last chunk.
    pub fn length(&self) -> u64 {
        self.chunks
            .iter()
            .map(|chunk| u64::from(chunk.length))
            .sum()
    }

    /// Where a chunk does not begin where the one before it ends; the first begins at 0.
    pub fn discontinuity(&self) -> Option<u64> {
        let mut next = 0;
        for chunk in &self.chunks {
            if chunk.offset != next {
                return Some(next);
            }
            next += u64::from(chunk.length);
        }
        None
    }

    /// The bytes from offset 0 on, zero where they were not kept.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for chunk in &self.chunks {
            let end = bytes.len() + chunk.length as usize;
            let mut kept = chunk.bytes.iter();
            let mut holes = chunk.holes.iter().peekable();
            let mut at = 0;
            while at < chunk.length {
                if let Some(hole) = holes.next_if(|hole| hole.at == at) {
                    bytes.resize(bytes.len() + hole.length as usize, 0);
                    at += hole.length;
                } else {
                    bytes.extend(kept.next());
                    at += 1;
                }
            }
            assert_eq!(bytes.len(), end, "a chunk holds what it says: {chunk:?}");
        }
        bytes
    }

    /// Bytes left out for a reason.
    pub fn left_out(&self, reason: GapReason) -> u64 {
        let holes = self.chunks.iter().flat_map(|chunk| &chunk.holes);
        let lengths = holes.filter(|hole| hole.reason == reason);
        lengths.map(|hole| u64::from(hole.length)).sum()
    }

    /// When the byte at a position crossed the process's border: entry of a send, return of a
    /// receive, in monotonic nanoseconds.
    pub fn time_of(&self, position: u64) -> Option<u64> {
        let index = self
            .chunks
            .partition_point(|chunk| chunk.offset <= position);
        let chunk = self.chunks.get(index.checked_sub(1)?)?;
        Some(match chunk.direction {
            Direction::Sent => chunk.enter.0,
            Direction::Received => chunk.exit.0,
        })
    }
}

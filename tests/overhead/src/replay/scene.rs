//! What processes do with their sockets, as the kernel side tells it.

use std::net::{Ipv4Addr, SocketAddr};

use probe_core::record::{
    Address, Chunk, ConnectionId, Direction, Joined, KtimeNs, Opened, Process, Record, Role, Side,
    Tgid,
};

use super::FRAME_NS;

/// How long a call takes, nanoseconds: from its entry to its return.
const CALL_NS: u64 = 5_000;
/// Between two ticks of the agent.
const TICK_NS: u64 = 100_000_000;

/// Records as they come, and the clock they go by.
pub(super) struct Scene {
    at: u64,
    /// When the present frame of all streams began.
    frame: u64,
    ticked: u64,
    connections: u64,
    records: Vec<Record<'static>>,
}

/// One end of a connection.
pub(super) struct Connection {
    id: ConnectionId,
    tid: u32,
    /// Bytes moved, by direction.
    moved: [u64; 2],
}

impl Scene {
    pub(super) fn new() -> Self {
        Self {
            at: TICK_NS,
            frame: TICK_NS,
            ticked: TICK_NS,
            connections: 0,
            records: Vec::new(),
        }
    }

    /// A process is watched from now on.
    pub(super) fn process(&mut self, tgid: u32, role: Role, name: &str) {
        self.records.push(Record::Process(Process {
            tgid: Tgid(tgid),
            at: KtimeNs(self.at),
            role,
            name: name.to_owned(),
            adapter: "bench".to_owned(),
        }));
    }

    /// A process accepts a connection on `port`, or makes one to it.
    pub(super) fn open(&mut self, tgid: u32, side: Side, port: u16) -> Connection {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        let service = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // As many as there are ports of clients.
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 32_768 + self.connections as u16));
        let (local, peer) = match side {
            Side::Server => (service, client),
            Side::Client => (client, service),
        };
        self.records.push(Record::Opened(Opened {
            connection: id,
            tgid: Tgid(tgid),
            at: KtimeNs(self.at),
            side: Some(side),
            joined: Joined::FromStart,
            local: Some(Address::Inet(local)),
            peer: Some(Address::Inet(peer)),
        }));
        Connection {
            id,
            tid: tgid,
            moved: [0; 2],
        }
    }

    /// One call sends these bytes.
    pub(super) fn send(&mut self, connection: &mut Connection, bytes: &[u8]) {
        self.chunk(connection, Direction::Sent, bytes);
    }

    /// One call receives these bytes.
    pub(super) fn receive(&mut self, connection: &mut Connection, bytes: &[u8]) {
        self.chunk(connection, Direction::Received, bytes);
    }

    /// The next frame of all streams begins.
    pub(super) fn next_frame(&mut self) {
        self.frame += FRAME_NS;
        self.pass_to(self.frame);
    }

    /// The turn of one of `count` streams in the present frame.
    pub(super) fn turn(&mut self, index: usize, count: usize) {
        self.pass_to(self.frame + FRAME_NS * index as u64 / count as u64);
    }

    fn pass_to(&mut self, at: u64) {
        self.at = self.at.max(at);
        if self.at - self.ticked >= TICK_NS {
            self.ticked = self.at;
            self.records.push(Record::Tick {
                at: KtimeNs(self.at),
            });
        }
    }

    /// The records since this was last asked.
    pub(super) fn take(&mut self) -> Vec<Record<'static>> {
        std::mem::take(&mut self.records)
    }

    fn chunk(&mut self, connection: &mut Connection, direction: Direction, bytes: &[u8]) {
        let moved = &mut connection.moved[direction.index()];
        self.records.push(Record::Chunk(Chunk {
            connection: connection.id,
            direction,
            tid: connection.tid,
            offset: *moved,
            enter: KtimeNs(self.at),
            exit: KtimeNs(self.at + CALL_NS),
            length: bytes.len() as u32,
            bytes: bytes.to_vec().into(),
            holes: Vec::new().into(),
        }));
        *moved += bytes.len() as u64;
        self.at += CALL_NS;
    }
}

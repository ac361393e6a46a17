//! Who is at the other end of an orchestrator's connections.
//!
//! An address is a worker's where a watched worker accepted a connection on that port, or where the
//! voice system's own gRPC was spoken before. The process behind it is known where both ends of a
//! connection are watched: the server's peer is the client's own address.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use super::bounds::{MAX_ADDRESSES, MAX_SERVED};
use crate::flow::CallId;
use crate::interpret::Id;
use crate::record::{Address, ConnectionId, Opened, Side, Tgid};

/// The server's port and the client's own address. A server's own address is the one it listens on,
/// often a wildcard, so only its port tells.
type Ends = (u16, SocketAddr);

/// A watched end of a connection.
#[derive(Clone, Copy, Debug)]
struct End {
    tgid: Tgid,
    side: Side,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    /// The peer ended it.
    lost: bool,
}

impl End {
    fn ends(&self) -> Option<Ends> {
        let (local, peer) = self.local.zip(self.peer)?;
        Some(match self.side {
            Side::Server => (local.port(), peer),
            Side::Client => (peer.port(), local),
        })
    }
}

/// Addresses and connections of watched workers and orchestrators.
#[derive(Debug, Default)]
pub(super) struct Peers {
    workers: HashMap<Tgid, Id>,
    connections: HashMap<ConnectionId, End>,
    /// Workers' ends by their addresses.
    servers: HashMap<Ends, BTreeSet<ConnectionId>>,
    ports: BTreeSet<u16>,
    spoken: BTreeSet<SocketAddr>,
    /// Models that a session was started with, at the address of the worker that did.
    served: BTreeSet<(SocketAddr, Id)>,
}

impl Peers {
    /// A watched worker's label.
    pub(super) fn name_worker(&mut self, tgid: Tgid, name: Option<Id>) {
        match name {
            Some(name) => self.workers.insert(tgid, name),
            None => self.workers.remove(&tgid),
        };
    }

    /// A worker has another name.
    pub(super) fn rename_worker(&mut self, from: &str, to: &Id) {
        for name in self.workers.values_mut() {
            if name.as_str() == from {
                name.clone_from(to);
            }
        }
    }

    /// A process ended.
    pub(super) fn forget_process(&mut self, tgid: Tgid) {
        self.workers.remove(&tgid);
    }

    /// A connection of a worker or an orchestrator began. The pipeline bounds their number.
    pub(super) fn open(&mut self, opened: &Opened) {
        let Some(side) = opened.side else {
            return;
        };
        let end = End {
            tgid: opened.tgid,
            side,
            local: inet(opened.local.as_ref()),
            peer: inet(opened.peer.as_ref()),
            lost: false,
        };
        self.close(opened.connection);
        if side == Side::Server && self.workers.contains_key(&opened.tgid) {
            if let Some(ends) = end.ends() {
                self.servers
                    .entry(ends)
                    .or_default()
                    .insert(opened.connection);
            }
            if let Some(local) = end.local
                && self.ports.len() < MAX_ADDRESSES
            {
                self.ports.insert(local.port());
            }
        }
        self.connections.insert(opened.connection, end);
    }

    /// A connection ended.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        let Some(end) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(ends) = end.ends()
            && let Some(servers) = self.servers.get_mut(&ends)
        {
            servers.remove(&connection);
            if servers.is_empty() {
                self.servers.remove(&ends);
            }
        }
    }

    /// The peer ended a connection, or it was reset.
    pub(super) fn lose(&mut self, connection: ConnectionId) {
        if let Some(end) = self.connections.get_mut(&connection) {
            end.lost = true;
        }
    }

    /// Whether the peer ended a connection, or it was reset.
    pub(super) fn is_lost(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|end| end.lost)
    }

    /// Peer's address of a connection.
    pub(super) fn peer(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.connections.get(&connection)?.peer
    }

    /// The voice system's gRPC is spoken on an orchestrator's connection.
    pub(super) fn spoke(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.connections.get(&connection).and_then(|end| end.peer)
            && self.spoken.len() < MAX_ADDRESSES
        {
            self.spoken.insert(peer);
        }
    }

    /// The worker at the other end of a connection started a session with `model`.
    pub(super) fn serve(&mut self, connection: ConnectionId, model: &Id) {
        if let Some(peer) = self.peer(connection)
            && self.served.len() < MAX_SERVED
        {
            self.served.insert((peer, model.clone()));
        }
    }

    /// Whether it has started a session with `model` before.
    pub(super) fn has_served(&self, connection: ConnectionId, model: &Id) -> bool {
        self.peer(connection)
            .is_some_and(|peer| self.served.contains(&(peer, model.clone())))
    }

    /// Whether a worker is known at an address.
    pub(super) fn is_worker(&self, address: SocketAddr) -> bool {
        self.spoken.contains(&address) || self.ports.contains(&address.port())
    }

    /// The worker's end of an orchestrator's connection.
    pub(super) fn other_end(&self, connection: ConnectionId) -> Option<ConnectionId> {
        let ends = self.connections.get(&connection)?.ends()?;
        let mut servers = self.servers.get(&ends)?.iter();
        // The same addresses twice are two network namespaces: nothing tells which.
        servers.next().copied().filter(|_| servers.next().is_none())
    }

    /// A call at the worker's end.
    pub(super) fn other_end_of(&self, call: CallId) -> Option<CallId> {
        let connection = self.other_end(call.connection)?;
        Some(CallId { connection, ..call })
    }

    /// Label `worker` of the process at the other end of an orchestrator's connection.
    pub(super) fn worker_of(&self, connection: ConnectionId) -> Option<&Id> {
        let end = self.connections.get(&self.other_end(connection)?)?;
        self.workers.get(&end.tgid)
    }
}

fn inet(address: Option<&Address>) -> Option<SocketAddr> {
    match address {
        Some(Address::Inet(address)) => Some(*address),
        _ => None,
    }
}

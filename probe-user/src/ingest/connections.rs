//! Connections: announced by the kernel side, given up.

use probe_abi::{FdEntry, FdKey};
use probe_core::record::{
    Address, ConnectionId, Joined, KtimeNs, Opened, Record, Role, Side, Tgid, kernel::Descriptor,
};

use super::{Tracker, descriptors::Gone};
use crate::{
    attach::{FdKeyValue, FdValue},
    discover::{SocketTable, own_address, socket_inode},
};

/// `BPF_NOEXIST`: the kernel side's own entry must not be overwritten.
const NO_EXIST: u64 = 1;

/// Listening sockets remembered. A process has a few, and each restart brings new ones.
const MAX_LISTENERS: usize = 4096;

fn key(descriptor: Descriptor) -> FdKeyValue {
    FdKeyValue(FdKey {
        files: descriptor.files,
        fd: descriptor.fd,
    })
}

/// A connection began.
pub(super) fn tell_opened(fd: i32, opened: Opened, out: &mut impl FnMut(Record<'_>)) {
    let Opened {
        tgid,
        side,
        joined,
        peer,
        ..
    } = &opened;
    tracing::debug!(pid = tgid.0, fd, ?side, ?peer, ?joined, "connection opened");
    out(Record::Opened(opened));
}

impl Tracker {
    /// The kernel side saw a connection begin.
    #[expect(clippy::too_many_arguments, reason = "the facts of one record")]
    pub(super) fn opened(
        &mut self,
        connection: ConnectionId,
        tgid: Tgid,
        at: KtimeNs,
        side: Side,
        descriptor: Descriptor,
        local: Option<Address>,
        peer: Option<Address>,
        out: &mut impl FnMut(Record<'_>),
    ) {
        if let Some(replaced) = self.descriptors.add(descriptor, connection) {
            self.replaced(replaced, descriptor.files, at, out);
        }
        // The kernel side knows what a client connects to. Its own address matters only where the
        // other end may be watched too, so that nothing is asked of its socket otherwise.
        let local = match side {
            Side::Client if self.may_watch_peer_of(tgid) => own_address(tgid.0, descriptor.fd)
                .filter(|_| self.is_attached(descriptor, connection)),
            Side::Client => None,
            Side::Server => local,
        };
        if side == Side::Server {
            self.settle_name(tgid, out);
        }
        let (side, joined) = (Some(side), Joined::FromStart);
        let opened = Opened {
            connection,
            tgid,
            at,
            side,
            joined,
            local,
            peer,
        };
        tell_opened(descriptor.fd, opened, out);
    }

    /// A connection whose opening was lost shows itself by its bytes.
    pub(super) fn recovered(
        &mut self,
        connection: ConnectionId,
        offset: u64,
        tgid: Tgid,
        descriptor: Descriptor,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        if let Some(replaced) = self.descriptors.add(descriptor, connection) {
            self.replaced(replaced, descriptor.files, at, out);
        }
        let (joined, table) = if offset == 0 {
            (Joined::FromStart, None)
        } else {
            (Joined::Late, SocketTable::read(tgid.0))
        };
        // Its first bytes, which tell the side, are gone: then the addresses tell it.
        let (side, local, peer) = table.map_or((None, None, None), |table| {
            let mut sockets = table.sockets.into_iter();
            let socket = sockets.find(|socket| socket.fd == descriptor.fd && !socket.listening);
            socket.map_or((None, None, None), |socket| {
                (socket.side, Some(socket.local), socket.peer)
            })
        });
        out(Record::Opened(Opened {
            connection,
            tgid,
            at,
            side,
            joined,
            local,
            peer,
        }));
    }

    /// A connection lost its last descriptor.
    pub(super) fn closed(
        &mut self,
        connection: ConnectionId,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        self.sockets.remove(connection);
        self.attached.maps.connections.remove(connection.0);
        out(Record::Closed {
            connection,
            at,
            errno: None,
        });
    }

    /// Nobody needs this connection's bytes: the kernel side stops copying them. Its descriptors
    /// stay known, so that its end is told and nobody finds it anew.
    pub fn ignore(&mut self, connection: ConnectionId) {
        self.attached.maps.connections.remove(connection.0);
    }

    /// Takes a descriptor from the kernel side, unless it has it for another connection by now.
    pub(super) fn detach(&mut self, gone: Gone) {
        let fds = &mut self.attached.maps.fds;
        let key = key(gone.descriptor);
        if fds
            .get(&key, 0)
            .is_ok_and(|entry| entry.0.connection == gone.connection.0)
        {
            let _absent = fds.remove(&key);
        }
    }

    /// Whether the other end of a client's connection may be watched: Redis connections are counted at
    /// one end only, and an orchestrator's calls are joined with their worker's.
    fn may_watch_peer_of(&self, client: Tgid) -> bool {
        let role = self.processes.get(&client).map(|process| process.role);
        self.processes.values().any(|process| match process.role {
            Role::Redis => true,
            Role::Worker => role == Some(Role::Orchestrator),
            Role::Orchestrator => false,
        })
    }

    /// Whether the descriptor is still this connection's, and not closed or used again.
    pub(super) fn is_attached(&self, descriptor: Descriptor, connection: ConnectionId) -> bool {
        self.attached_to(descriptor) == Some(connection)
    }

    /// The connection that the kernel side has for a descriptor.
    pub(super) fn attached_to(&self, descriptor: Descriptor) -> Option<ConnectionId> {
        let entry = self.attached.maps.fds.get(&key(descriptor), 0);
        entry.ok().map(|entry| ConnectionId(entry.0.connection))
    }

    /// Gives a descriptor to the kernel side; false when it already has one there.
    pub(super) fn attach(&mut self, descriptor: Descriptor, connection: ConnectionId) -> bool {
        let entry = FdValue(FdEntry {
            connection: connection.0,
        });
        self.attached
            .maps
            .fds
            .insert(key(descriptor), entry, NO_EXIST)
            .is_ok()
    }

    /// Address of a listening socket of a process.
    pub(super) fn listening_address(&mut self, tgid: Tgid, fd: i32) -> Option<Address> {
        let inode = socket_inode(tgid.0, fd)?;
        if let Some(address) = self.listeners.get(&inode) {
            return Some(address.clone());
        }
        let socket = SocketTable::read(tgid.0)?
            .sockets
            .into_iter()
            .find(|socket| socket.inode == inode)?;
        self.remember_listener(inode, socket.local.clone());
        Some(socket.local)
    }

    pub(super) fn remember_listener(&mut self, inode: u64, address: Address) {
        // Those still in use are looked up again.
        if self.listeners.len() >= MAX_LISTENERS {
            self.listeners.clear();
        }
        self.listeners.insert(inode, address);
    }
}

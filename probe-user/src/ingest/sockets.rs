//! Connections that the kernel side tells by their sockets: they begin with their first byte, have ends
//! that the socket itself tells, and end with the socket.

use std::collections::{HashMap, HashSet};

use probe_core::record::{
    Address, ConnectionId, KtimeNs, Opened, Record, Side, Tgid,
    kernel::{Descriptor, NewConnection},
};

use super::{Tracker, connections::tell_opened, descriptors::Gone};
use crate::{
    attach::Tier,
    discover::{Asked, SocketTable, ask_socket},
};

/// Which socket each connection is, where sockets are hooked.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// By connection: the number of the socket's inode.
    inodes: HashMap<ConnectionId, u64>,
    /// Connections whose end nobody tells.
    untold: HashSet<ConnectionId>,
}

impl Sockets {
    pub(super) fn add(&mut self, connection: ConnectionId, inode: u64, end_is_told: bool) {
        self.inodes.insert(connection, inode);
        if !end_is_told {
            self.untold.insert(connection);
        }
    }

    /// The kernel side knows the socket, and tells its end.
    fn tell(&mut self, connection: ConnectionId) {
        self.untold.remove(&connection);
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) {
        self.inodes.remove(&connection);
        self.untold.remove(&connection);
    }

    /// Of a connection whose end is told: the number of its socket's inode.
    fn told(&self, connection: ConnectionId) -> Option<u64> {
        let inode = self.inodes.get(&connection).copied();
        inode.filter(|_| !self.untold.contains(&connection))
    }

    /// The connection of a socket.
    pub(super) fn connection(&self, inode: u64) -> Option<ConnectionId> {
        let mut all = self.inodes.iter();
        all.find_map(|(connection, its)| (*its == inode).then_some(*connection))
    }
}

/// The number that a socket without a descriptor is known by, as the kernel side has it.
fn number(inode: u64) -> i32 {
    inode as i32 | i32::MIN
}

impl Tracker {
    /// A connection lost its last descriptor to another one. Its socket may live: a call that is in it, or
    /// another descriptor that nobody told of.
    pub(super) fn replaced(
        &mut self,
        connection: ConnectionId,
        files: u32,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        match self.sockets.told(connection) {
            Some(inode) => {
                let fd = number(inode);
                self.descriptors.add(Descriptor { files, fd }, connection);
            }
            None => self.closed(connection, at, out),
        }
    }

    /// Whether the end of a connection with these addresses is told.
    pub(super) fn tells_end(&self, ends: [&Option<Address>; 2]) -> bool {
        let is_unix = ends.iter().any(|end| matches!(end, Some(Address::Unix(_))));
        self.attached.tier != Tier::Sockets || !is_unix
    }

    /// Whether a descriptor that `/proc` does not show any more says nothing of its connection.
    pub(super) fn outlives_descriptors(&self, connection: ConnectionId) -> bool {
        self.sockets.told(connection).is_some()
    }

    /// Ends may have been lost: sockets that no process has any more are gone.
    pub(super) fn look_for_lost_ends(&mut self, tgid: Tgid) {
        if self.sockets.inodes.is_empty() {
            return;
        }
        let Some(&files) = self.files.get(&tgid) else {
            return;
        };
        let at = super::now();
        let Some(table) = SocketTable::read(tgid.0) else {
            return;
        };
        let here: HashSet<u64> = table.sockets.iter().map(|socket| socket.inode).collect();
        for (descriptor, connection) in self.descriptors.of_table(files) {
            let inode = self.sockets.told(connection);
            if inode.is_some_and(|inode| !here.contains(&inode)) {
                let gone = Gone {
                    descriptor,
                    connection,
                };
                self.detach(gone);
                self.vanished.push((gone, at));
            }
        }
    }

    /// The kernel side saw a connection begin.
    pub(super) fn announced(&mut self, new: NewConnection, out: &mut impl FnMut(Record<'_>)) {
        match new.side {
            Some(side) if !self.attached.tier.is_of_sockets() => {
                let listener = new.listener;
                let local = listener.and_then(|fd| self.listening_address(new.tgid, fd));
                let NewConnection {
                    connection,
                    tgid,
                    at,
                    descriptor,
                    peer,
                    ..
                } = new;
                self.opened(connection, tgid, at, side, descriptor, local, peer, out);
            }
            _ => self.socket_opened(new, out),
        }
    }

    /// A socket moved its first byte.
    fn socket_opened(&mut self, new: NewConnection, out: &mut impl FnMut(Record<'_>)) {
        let NewConnection {
            connection,
            tgid,
            at,
            side,
            joined,
            descriptor,
            peer,
            inode,
            ..
        } = new;
        // Two threads were the first on it, and the bytes of one came before this; or it was found before.
        let is_known = self.descriptors.knows(connection);
        if let Some(replaced) = self.descriptors.add(descriptor, connection) {
            self.replaced(replaced, descriptor.files, at, out);
        }
        if is_known {
            self.sockets.tell(connection);
            return;
        }
        let asked = ask_socket(tgid.0, descriptor.fd, inode);
        let nameless = Asked::Stream {
            local: None,
            peer: None,
        };
        // Of pairs, event loops wake themselves.
        if side.is_none() && (asked == Asked::Other || asked == nameless) {
            self.ignore(connection);
            return;
        }
        let (local, asked) = match asked {
            Asked::Stream { local, peer } => (local, peer),
            Asked::Other | Asked::Gone => (None, None),
        };
        let peer = peer.or(asked);
        let side = side.or_else(|| match (&local, &peer) {
            (Some(Address::Unix(_)), None) => Some(Side::Server),
            (None, Some(Address::Unix(_))) => Some(Side::Client),
            (Some(Address::Inet(_)), _) => listed_side(tgid, descriptor),
            _ => None,
        });
        if side == Some(Side::Server) {
            self.settle_name(tgid, out);
        }
        if let Some(inode) = inode {
            let end_is_told = self.tells_end([&local, &peer]);
            self.sockets.add(connection, inode, end_is_told);
        }
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

    /// A socket is gone.
    pub(super) fn socket_closed(
        &mut self,
        connection: ConnectionId,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let descriptors = self.descriptors.of_connection(connection);
        if descriptors.is_empty() {
            // Its opening was lost: nobody else takes it out.
            self.attached.maps.connections.remove(connection.0);
            return;
        }
        if descriptors.iter().any(|it| self.closes_by_ending(*it)) {
            self.closing.push((connection, at));
            return;
        }
        for descriptor in descriptors {
            self.detach(Gone {
                descriptor,
                connection,
            });
            if let Some(connection) = self.descriptors.remove(descriptor) {
                self.closed(connection, at, out);
            }
        }
    }

    /// Closes the sockets whose processes seemed to end and live on; those of processes that ended are
    /// gone with them.
    pub(super) fn close_held_back(&mut self, out: &mut impl FnMut(Record<'_>)) {
        for (connection, at) in std::mem::take(&mut self.closing) {
            self.socket_closed(connection, at, out);
        }
    }

    /// Whether a socket may be closed only because its process ends: the kernel tells both, and a process
    /// that crashes has closed nothing.
    pub(super) fn closes_by_ending(&self, descriptor: Descriptor) -> bool {
        let mut ending = self.ending.keys();
        self.attached.tier.is_of_sockets()
            && ending.any(|tgid| self.files.get(tgid) == Some(&descriptor.files))
    }

    /// Sockets that end without a word: those that `/proc` no longer shows are closed.
    pub(super) fn look_for_closed_sockets(&mut self) {
        if self.sockets.untold.is_empty() {
            return;
        }
        for tgid in self.processes.keys().copied().collect::<Vec<_>>() {
            if !self.ending.contains_key(&tgid) {
                self.compare_descriptors(tgid);
            }
        }
    }
}

/// Which end a socket is, by who listens on its port.
fn listed_side(tgid: Tgid, descriptor: Descriptor) -> Option<Side> {
    let table = SocketTable::read(tgid.0)?;
    let mut sockets = table.sockets.into_iter();
    sockets.find(|socket| socket.fd == descriptor.fd)?.side
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: ConnectionId = ConnectionId(1);
    const UNTOLD: ConnectionId = ConnectionId(2);

    #[test]
    fn connection_whose_end_is_told_outlives_its_descriptors() {
        let mut sockets = Sockets::default();
        sockets.add(TOLD, 70, true);
        sockets.add(UNTOLD, 80, false);
        assert_eq!(sockets.told(TOLD), Some(70));
        assert_eq!(sockets.told(UNTOLD), None);
        sockets.add(ConnectionId(3), 90, false);
        sockets.tell(ConnectionId(3));
        assert_eq!(sockets.told(ConnectionId(3)), Some(90));
        assert_eq!(sockets.connection(80), Some(UNTOLD));
        sockets.remove(UNTOLD);
        assert_eq!(sockets.connection(80), None);
        assert!(sockets.untold.is_empty());
    }

    #[test]
    fn number_of_a_socket_without_a_descriptor_is_no_descriptor() {
        for inode in [1, 70, u64::from(u32::MAX), 1 << 40] {
            assert!(number(inode) < 0, "{inode}");
        }
        assert_ne!(number(70), number(71));
    }
}

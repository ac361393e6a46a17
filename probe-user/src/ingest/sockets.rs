//! Connections that the kernel side tells by their sockets: they begin with their first byte, have ends
//! that the socket itself tells, and end with the socket.

use probe_core::record::{
    Address, ConnectionId, KtimeNs, Opened, Record, Side, Tgid,
    kernel::{Descriptor, NewConnection},
};

use super::{Tracker, connections::tell_opened, descriptors::Gone};
use crate::{
    attach::Tier,
    discover::{Asked, SocketTable, ask_socket},
};

impl Tracker {
    /// The kernel side saw a connection begin.
    pub(super) fn announced(&mut self, new: NewConnection, out: &mut impl FnMut(Record<'_>)) {
        match new.side {
            Some(side) if self.attached.tier != Tier::Sockets => {
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
            ..
        } = new;
        if let Some(replaced) = self.descriptors.add(descriptor, connection) {
            self.closed(replaced, at, out);
        }
        let (local, asked) = match ask_socket(tgid.0, descriptor.fd) {
            // Its number may be another socket's by now.
            _ if !self.is_attached(descriptor, connection) => (None, None),
            Asked::Gone => (None, None),
            // Of pairs, event loops wake themselves.
            Asked::Other
            | Asked::Stream {
                local: None,
                peer: None,
            } => {
                self.ignore(connection);
                return;
            }
            Asked::Stream { local, peer } => (local, peer),
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
            let _absent = self.attached.maps.connections.remove(&connection.0);
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
        self.attached.tier == Tier::Sockets
            && ending.any(|tgid| self.files.get(tgid) == Some(&descriptor.files))
    }

    /// Unix sockets end without a word: those that `/proc` no longer shows are closed.
    pub(super) fn look_for_closed_sockets(&mut self) {
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

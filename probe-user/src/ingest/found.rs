//! Connections that no record announced: older than the probe's view of their process, or on descriptors
//! that it came by in a way that no record describes. `/proc` shows them.

use std::collections::BTreeMap;

use probe_core::record::{ConnectionId, Joined, KtimeNs, Opened, Record, Tgid, kernel::Descriptor};

use super::{Tracker, descriptors::Gone, now};
use crate::discover::{Socket, SocketTable, socket_inode};

impl Tracker {
    /// Looks for connections of a process on descriptors that nobody told of.
    pub(super) fn find_connections(&mut self, tgid: Tgid, out: &mut impl FnMut(Record<'_>)) {
        let Some(&files) = self.files.get(&tgid) else {
            return;
        };
        let Some(table) = SocketTable::read(tgid.0) else {
            return;
        };
        let mut connections: BTreeMap<u64, Vec<Socket>> = BTreeMap::new();
        for socket in table.sockets {
            if socket.listening {
                self.remember_listener(socket.inode, socket.local);
            } else {
                connections.entry(socket.inode).or_default().push(socket);
            }
        }
        for sockets in connections.into_values() {
            let descriptors: Vec<_> = sockets
                .iter()
                .map(|socket| Descriptor {
                    files,
                    fd: socket.fd,
                })
                .collect();
            let news = descriptors
                .iter()
                .filter(|descriptor| !self.is_told(**descriptor));
            if news.count() == 0 {
                continue;
            }
            // Another descriptor of a socket that is known by itself.
            let inode = sockets.first().map_or(0, |socket| socket.inode);
            if let Some(connection) = self.sockets.connection(inode) {
                for &descriptor in &descriptors {
                    self.attach(descriptor, connection);
                    self.descriptors.add(descriptor, connection);
                }
                continue;
            }
            // What moved on the descriptor that nobody told of went unseen: from here on it is a
            // connection joined late, by whichever descriptor.
            for descriptor in &descriptors {
                self.let_go(*descriptor, now(), out);
            }
            if let Some(socket) = sockets.into_iter().next() {
                self.found(tgid, &descriptors, socket, out);
            }
        }
    }

    /// Whether the kernel side has a connection for a descriptor that lives.
    fn is_told(&mut self, descriptor: Descriptor) -> bool {
        if self.descriptors.connection(descriptor).is_some() {
            return true;
        }
        let Some(connection) = self.attached_to(descriptor) else {
            return false;
        };
        let lives = self.attached.maps.connections.lives(connection.0);
        if !lives {
            // It was closed when a record of one of its descriptors was lost.
            self.detach(Gone {
                descriptor,
                connection,
            });
        } else if self.descriptors.knows(connection) {
            // The record of this descriptor is on its way, or lost.
            self.descriptors.add(descriptor, connection);
        }
        lives
    }

    /// Takes a descriptor away from its connection, if it has one.
    pub(super) fn let_go(
        &mut self,
        descriptor: Descriptor,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let Some(connection) = self.descriptors.connection(descriptor) else {
            return;
        };
        self.detach(Gone {
            descriptor,
            connection,
        });
        if let Some(connection) = self.descriptors.remove(descriptor) {
            self.closed(connection, at, out);
        }
    }

    /// One socket found in `/proc`, by its descriptors.
    fn found(
        &mut self,
        tgid: Tgid,
        descriptors: &[Descriptor],
        socket: Socket,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let maps = &mut self.attached.maps;
        let Some(connection) = maps.connections.begin(socket.inode).map(ConnectionId) else {
            return;
        };
        // Full is not possible: the least recently used goes.
        let _full = maps.found.insert(socket.inode, connection.0, 0);
        for &descriptor in descriptors {
            // The kernel side may be faster: then its record is on the way.
            if !self.attach(descriptor, connection) {
                continue;
            }
            if socket_inode(tgid.0, descriptor.fd) == Some(socket.inode) {
                self.descriptors.add(descriptor, connection);
            } else {
                self.detach(Gone {
                    descriptor,
                    connection,
                });
            }
        }
        if !self.descriptors.knows(connection) {
            let _absent = self.attached.maps.found.remove(&socket.inode);
            self.attached.maps.connections.remove(connection.0);
            return;
        }
        let Socket {
            fd,
            inode,
            local,
            peer,
            side,
            ..
        } = socket;
        tracing::debug!(pid = tgid.0, fd, ?side, "connection found");
        if self.attached.tier.is_of_sockets() {
            // The kernel side knows its socket only once it moves a byte.
            self.sockets.add(connection, inode, false);
        }
        out(Record::Opened(Opened {
            connection,
            tgid,
            at: now(),
            side,
            joined: Joined::Late,
            local: Some(local),
            peer,
        }));
    }

    /// Compares the known descriptors of a process with `/proc` and with the kernel side's; those that
    /// are gone are closed once every record written until now is read.
    pub(super) fn compare_descriptors(&mut self, tgid: Tgid) {
        let Some(&files) = self.files.get(&tgid) else {
            return;
        };
        let at = now();
        for (descriptor, connection) in self.descriptors.of_table(files) {
            // Below zero are sockets that no call named.
            let stands = descriptor.fd < 0
                || self.outlives_descriptors(connection)
                || (self.is_attached(descriptor, connection)
                    && socket_inode(tgid.0, descriptor.fd).is_some());
            if !stands {
                let gone = Gone {
                    descriptor,
                    connection,
                };
                self.detach(gone);
                self.vanished.push((gone, at));
            }
        }
    }
}

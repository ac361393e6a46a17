//! Which descriptors each connection has: a mirror of the kernel side's map.
//!
//! A connection ends with its last descriptor, whichever process or thread closes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use probe_core::record::{ConnectionId, kernel::Descriptor};

/// Descriptors by connection and connections by descriptor.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    by_descriptor: BTreeMap<Descriptor, ConnectionId>,
    by_connection: HashMap<ConnectionId, BTreeSet<Descriptor>>,
}

/// A descriptor and the connection it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) descriptor: Descriptor,
    pub(super) connection: ConnectionId,
}

impl Descriptors {
    /// Gives a connection a descriptor; returns the connection that had it and lost its last one.
    pub(super) fn add(
        &mut self,
        descriptor: Descriptor,
        connection: ConnectionId,
    ) -> Option<ConnectionId> {
        let replaced = match self.by_descriptor.insert(descriptor, connection) {
            Some(previous) if previous != connection => self.forget(descriptor, previous),
            _ => None,
        };
        self.by_connection
            .entry(connection)
            .or_default()
            .insert(descriptor);
        replaced
    }

    /// Takes a descriptor away; returns the connection if it was its last.
    pub(super) fn remove(&mut self, descriptor: Descriptor) -> Option<ConnectionId> {
        let connection = self.by_descriptor.remove(&descriptor)?;
        self.forget(descriptor, connection)
    }

    /// Whether the connection has a descriptor.
    pub(super) fn knows(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    /// Connection of a descriptor.
    pub(super) fn connection(&self, descriptor: Descriptor) -> Option<ConnectionId> {
        self.by_descriptor.get(&descriptor).copied()
    }

    /// Every descriptor of a connection.
    pub(super) fn of_connection(&self, connection: ConnectionId) -> Vec<Descriptor> {
        let descriptors = self.by_connection.get(&connection);
        descriptors.into_iter().flatten().copied().collect()
    }

    /// Every descriptor of a table with its connection.
    pub(super) fn of_table(&self, files: u32) -> Vec<(Descriptor, ConnectionId)> {
        let first = Descriptor {
            files,
            fd: i32::MIN,
        };
        let last = Descriptor {
            files,
            fd: i32::MAX,
        };
        self.by_descriptor
            .range(first..=last)
            .map(|(d, c)| (*d, *c))
            .collect()
    }

    fn forget(&mut self, descriptor: Descriptor, connection: ConnectionId) -> Option<ConnectionId> {
        let descriptors = self.by_connection.get_mut(&connection)?;
        descriptors.remove(&descriptor);
        if descriptors.is_empty() {
            self.by_connection.remove(&connection);
            return Some(connection);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn fd(files: u32, fd: i32) -> Descriptor {
        Descriptor { files, fd }
    }

    #[test]
    fn connection_ends_with_its_last_descriptor() {
        let mut descriptors = Descriptors::default();
        assert_eq!(descriptors.add(fd(1, 5), A), None);
        assert_eq!(descriptors.add(fd(2, 5), A), None);
        assert_eq!(descriptors.remove(fd(1, 5)), None);
        assert!(descriptors.knows(A));
        assert_eq!(descriptors.remove(fd(2, 5)), Some(A));
        assert_eq!(descriptors.remove(fd(2, 5)), None);
        assert!(!descriptors.knows(A));
    }

    #[test]
    fn reused_descriptor_ends_the_connection_that_had_it() {
        let mut descriptors = Descriptors::default();
        descriptors.add(fd(1, 5), A);
        assert_eq!(descriptors.add(fd(1, 5), B), Some(A));
        assert_eq!(descriptors.connection(fd(1, 5)), Some(B));
        assert_eq!(descriptors.of_table(1), [(fd(1, 5), B)]);
    }
}

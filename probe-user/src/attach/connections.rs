//! The kernel side's connections: what it keeps of each, and which places are free.

use aya::{
    Ebpf,
    maps::{Array, MapData, Queue},
};
use probe_abi::{Connection, MAX_CONNECTIONS, USER_CONNECTION, connection_id, map, place};

use super::{AttachError, ConnectionValue, take};

/// What the kernel side keeps of each connection.
#[allow(missing_debug_implementations, reason = "aya's queue has none")]
pub struct Connections {
    states: Array<MapData, ConnectionValue>,
    free: Queue<MapData, u32>,
    /// How many the agent began.
    begun: u64,
}

impl Connections {
    /// Gives out every place. Before programs are attached: on a kernel that preempts itself one may be skipped where
    /// a map is changed.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, AttachError> {
        let failed = |error| AttachError::map(&error);
        let mut connections = Self {
            states: Array::try_from(take(ebpf, map::CONNECTIONS)?).map_err(failed)?,
            free: Queue::try_from(take(ebpf, map::FREE_PLACES)?).map_err(failed)?,
            begun: 0,
        };
        for place in 0..MAX_CONNECTIONS {
            connections.free.push(place, 0).map_err(failed)?;
        }
        Ok(connections)
    }

    /// Whether it is there, and nobody has given it up.
    pub fn lives(&self, connection: u64) -> bool {
        let state = self.states.get(&place(connection), 0);
        connection != 0 && state.is_ok_and(|state| state.0.id == connection)
    }

    /// Begins one, of a socket that the agent found. `None` where no place is free.
    pub fn begin(&mut self, inode: u64) -> Option<u64> {
        let place = self.free.pop(0).ok()?;
        self.begun += 1;
        let id = USER_CONNECTION | connection_id(self.begun, place);
        let state = ConnectionValue(Connection {
            id,
            inode,
            ..Connection::default()
        });
        // There is a value for every place.
        self.states.set(place, state, 0).ok()?;
        Some(id)
    }

    /// Nobody needs it any more: its place is free. Nothing happens where it has none.
    pub fn remove(&mut self, connection: u64) {
        if !self.lives(connection) {
            return;
        }
        let place = place(connection);
        let gone = ConnectionValue(Connection::default());
        // A value for every place, and room for every place among the free ones.
        let freed = self
            .states
            .set(place, gone, 0)
            .map(|()| self.free.push(place, 0));
        if let Err(error) | Ok(Err(error)) = freed {
            tracing::debug!(%error, "a connection's place is not free again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_tells_its_place_and_differs_from_every_other_one() {
        // The highest number is that of the last CPU and count: 47 bits.
        let numbers = [1, 2, (1 << 47) - 1];
        let places = [0, 1, MAX_CONNECTIONS - 1];
        let mut ids = std::collections::BTreeSet::new();
        for number in numbers {
            for at in places {
                for id in [
                    connection_id(number, at),
                    USER_CONNECTION | connection_id(number, at),
                ] {
                    assert_eq!(place(id), at, "{id:#x}");
                    assert_ne!(id, 0, "none has this id");
                    assert!(ids.insert(id), "{id:#x} twice");
                }
            }
        }
    }
}

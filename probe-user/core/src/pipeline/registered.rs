//! Workers that were seen to register with Redis, on their way to whoever names processes.
//!
//! The core itself does not act on them: it is told of a new name by a record, so that a replay, in
//! which a capture's elided bytes register nobody, names them the same.

use std::collections::VecDeque;

use crate::{
    record::{Address, Opened, Side, Tgid},
    wire::resp::Registration,
};

/// Registrations that wait to be polled. They are polled after each batch of records, and a worker
/// registers every few seconds.
const MAX_WAITING: usize = 1024;

/// A worker registered itself, or was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What it calls itself.
    pub name: String,
    /// Where it says it listens, e.g. `grpc://localhost:7001`.
    pub address: Option<String>,
    /// The watched process that said so; `None` where it was heard at the server.
    pub by: Option<Tgid>,
    /// Who said so, where it was heard at the server.
    pub peer: Option<Address>,
}

/// Registrations that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Registered>);

impl Waiting {
    /// Adds what was heard on a connection; the oldest goes where there are too many.
    pub(super) fn add(&mut self, heard: Registration, on: &Opened) {
        if self.0.len() >= MAX_WAITING {
            self.0.pop_front();
        }
        let is_client = on.side == Some(Side::Client);
        self.0.push_back(Registered {
            name: heard.name,
            address: heard.address,
            by: is_client.then_some(on.tgid),
            peer: on.peer.clone().filter(|_| !is_client),
        });
    }

    pub(super) fn poll(&mut self) -> Option<Registered> {
        self.0.pop_front()
    }
}

//! What TCP knows of the connections that workers send on: segments sent again, and for how long the
//! receiver's window was full or bytes were not acknowledged.
//!
//! Asked with each tick while scheduling is followed, one question a connection. A record is made only
//! where something was not as it should be, so that a healthy connection has none.

mod diag;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
};

use probe_core::record::{
    ConnectionId, KtimeNs, Process, Record, Role, TcpReading, Tgid, kernel::Descriptor,
};

use super::descriptors::Descriptors;
use crate::discover::own_ends;
use diag::{Diag, Figures};

/// Connections asked about: each costs some microseconds ten times a second.
const MAX_CONNECTIONS: usize = 512;

/// Network namespaces: a container has one.
const MAX_NAMESPACES: usize = 128;

/// Workers' connections, each with its last figures, and where to ask.
#[derive(Debug, Default)]
pub(super) struct TcpReadings {
    connections: HashMap<ConnectionId, Asked>,
    /// By inode of the namespace; `None` where it cannot be entered.
    namespaces: BTreeMap<u64, Option<Diag>>,
}

/// A connection.
#[derive(Debug)]
struct Asked {
    /// `None` for one that is not TCP.
    ends: Option<(SocketAddr, SocketAddr)>,
    namespace: u64,
    last: Option<Figures>,
    at: KtimeNs,
}

impl TcpReadings {
    /// Asks about each worker's connections; tells those whose figures grew.
    pub(super) fn read(
        &mut self,
        processes: &BTreeMap<Tgid, Process>,
        files: &HashMap<Tgid, u32>,
        descriptors: &Descriptors,
        now: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let mut open = HashSet::new();
        let workers = processes
            .values()
            .filter(|process| process.role == Role::Worker);
        for process in workers {
            let Some(table) = files.get(&process.tgid) else {
                continue;
            };
            for (descriptor, connection) in descriptors.of_table(*table) {
                open.insert(connection);
                self.ask(process.tgid, descriptor, connection, now, out);
            }
        }
        self.connections.retain(|id, _| open.contains(id));
    }

    fn ask(
        &mut self,
        tgid: Tgid,
        descriptor: Descriptor,
        connection: ConnectionId,
        now: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        if !self.connections.contains_key(&connection) {
            if self.connections.len() >= MAX_CONNECTIONS {
                return;
            }
            let namespace = self.enter(tgid);
            let asked = Asked {
                ends: namespace.and_then(|_| own_ends(tgid.0, descriptor.fd)),
                namespace: namespace.unwrap_or_default(),
                last: None,
                at: now,
            };
            self.connections.insert(connection, asked);
        }
        let Some(asked) = self.connections.get_mut(&connection) else {
            return;
        };
        let diag = self.namespaces.get_mut(&asked.namespace);
        let (Some((local, peer)), Some(Some(diag))) = (asked.ends, diag) else {
            return;
        };
        let Some(figures) = diag.ask(local, peer) else {
            return;
        };
        if let Some(last) = asked.last {
            let grown = |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1000);
            let reading = TcpReading {
                connection,
                at: now,
                before: asked.at,
                resent: u64::from(figures.resent.wrapping_sub(last.resent)),
                window_full_ns: grown(figures.window_full_us, last.window_full_us),
                unacknowledged_ns: grown(figures.busy_us, last.busy_us),
            };
            let was_busy = reading.unacknowledged_ns.saturating_mul(2) >= now.since(asked.at);
            if reading.resent > 0 || reading.window_full_ns > 0 || was_busy {
                out(Record::Tcp(reading));
            }
        }
        asked.last = Some(figures);
        asked.at = now;
    }

    /// The network namespace of a process, with a way to ask in it.
    fn enter(&mut self, tgid: Tgid) -> Option<u64> {
        let path = format!("/proc/{}/ns/net", tgid.0);
        let inode = std::fs::metadata(&path).ok()?.ino();
        if self.namespaces.len() < MAX_NAMESPACES || self.namespaces.contains_key(&inode) {
            self.namespaces.entry(inode).or_insert_with(|| {
                Diag::open(&path)
                    .inspect_err(|error| {
                        tracing::info!(pid = tgid.0, %error, "TCP tells nothing of this process");
                    })
                    .ok()
            });
        }
        Some(inode)
    }
}

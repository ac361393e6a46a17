//! One orchestrator process: its sessions, and the names under which workers know them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use super::session::SessionKey;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::record::{ConnectionId, KtimeNs};

/// A watched orchestrator.
#[derive(Debug, Default)]
pub(super) struct Orchestrator {
    /// It accepted a `WebSocket` connection.
    pub(super) serves_websocket: bool,
    pub(super) starts: Starts,
    pub(super) sessions: BTreeSet<SessionKey>,
    /// Worker sessions that it asked for, or that its streams name.
    pub(super) names: HashMap<Id, Name>,
    /// Names among whose candidates it is not known who asked.
    pub(super) open_names: BTreeSet<Id>,
    /// Streams of which it is not known whose they are.
    pub(super) open_streams: BTreeSet<CallId>,
    /// Sessions by the id that their clients were told.
    pub(super) told: HashMap<Id, BTreeSet<SessionKey>>,
    /// Names in line to be forgotten once nobody uses them, oldest first.
    pub(super) orphans: VecDeque<Id>,
    /// Failed calls that no session could be told for.
    pub(super) failures: VecDeque<KtimeNs>,
    /// Workers that cannot be reached.
    pub(super) outages: BTreeMap<SocketAddr, Outage>,
}

/// What makes an orchestrator ask a worker for a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Starts {
    /// Every session so far had a message by then, which came right after the upgrade.
    #[default]
    Unknown,
    /// The upgrade: it asked for a session that had no message yet.
    Upgrade,
    /// A message: it did not ask for long until one came.
    Message,
}

/// A worker session, by the id that the worker was given.
#[derive(Debug, Default)]
pub(super) struct Name {
    /// Sessions that use it.
    pub(super) owners: Vec<SessionKey>,
    /// Some of these asked for it.
    pub(super) candidates: Vec<SessionKey>,
    /// How many of them did.
    pub(super) asks: usize,
    /// Model that was asked for.
    pub(super) model: Option<Id>,
    /// It is in line to be forgotten once nobody uses it.
    pub(super) orphaned: bool,
    /// Connection on which it was asked for last.
    pub(super) connection: Option<ConnectionId>,
}

/// A worker that refuses connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    /// First refusal that was not told of yet.
    pub(super) since: KtimeNs,
    /// It was counted, or a call or message told of it.
    pub(super) told: bool,
}

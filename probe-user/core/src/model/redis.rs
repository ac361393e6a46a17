//! Redis: what its clients and its server saw becomes metrics, each connection at one of its ends.
//!
//! A connection between two watched processes is seen twice. The client's end counts; the server's
//! only where no watched process is the client. Addresses tell: the server's peer is the client's own
//! address. A client that is gone before it could be asked for its address stands for one connection
//! that the server accepted about when it connected; a server's end that is gone as well is on a port on which that
//! server was seen. Unix sockets have none on the client's side: there the server's ends of a path do not
//! count while a watched process has a connection to that path.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use prometheus::Gauge;

use crate::flow::Exchange;
use crate::metrics::{
    Histogram, Measure, Metrics, ProbeMetrics, RedisMetrics, SkipReason, UNKNOWN,
};
use crate::record::{Address, ConnectionId, KtimeNs, Opened, Side, Tgid};
use crate::wire::resp::Command;

/// Where Redis listens unless told otherwise.
const DEFAULT_PORT: u16 = 6379;

/// Ports on which Redis was seen. A host has a few.
const MAX_PORTS: usize = 64;

/// Connections of watched clients whose own address is unknown and whose server's end was not found
/// yet. They are a few milliseconds old, unless the server is not watched.
const MAX_NAMELESS: usize = 4096;

/// Nanoseconds between `connect` and the `accept` of the same connection, at most: servers accept
/// as soon as they are done with what they are at.
const ACCEPT_NS: u64 = 1_000_000_000;

/// Label `error_type` where the reply did not come.
const TIMEOUT: &str = "timeout";
/// Label `error_type` where the connection was refused or reset.
const CONNECTION_ERROR: &str = "connection_error";

/// What is known of Redis connections.
#[derive(Debug)]
pub struct RedisModel {
    metrics: RedisMetrics,
    probe: ProbeMetrics,
    active: Gauge,
    /// Series looked up so far.
    latencies: BTreeMap<Command, Histogram>,
    /// Connections whose client is a watched process, by what their server's ends say about them.
    clients: HashMap<Address, BTreeSet<ConnectionId>>,
    /// Those of them whose address is unknown: port they connected to, and when. Oldest first.
    nameless: VecDeque<(u16, KtimeNs)>,
    /// Whether a server's connection counts, once it was asked.
    decided: HashMap<ConnectionId, bool>,
    /// Where Redis was seen, and the server if it is watched.
    ports: BTreeMap<u16, Option<Tgid>>,
}

impl RedisModel {
    /// A model that observes into `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            active: metrics.redis.connections_active.with(&[]),
            metrics: metrics.redis.clone(),
            probe: metrics.probe.clone(),
            latencies: BTreeMap::new(),
            clients: HashMap::new(),
            nameless: VecDeque::new(),
            decided: HashMap::new(),
            ports: BTreeMap::from([(DEFAULT_PORT, None)]),
        }
    }

    /// A connection began or was found.
    pub fn handle_opened(&mut self, opened: &Opened) {
        if let Some(key) = client_key(opened) {
            let ends = self.clients.entry(key.clone()).or_default();
            ends.insert(opened.connection);
        } else if let (Some(Side::Client), Some(Address::Inet(peer))) = (opened.side, &opened.peer)
        {
            if self.nameless.len() >= MAX_NAMELESS {
                self.nameless.pop_front();
            }
            self.nameless.push_back((peer.port(), opened.at));
        }
    }

    /// A connection speaks Redis: others to the same port do as well.
    pub fn handle_told(&mut self, opened: &Opened) {
        let (address, server) = match opened.side {
            Some(Side::Client) => (&opened.peer, None),
            Some(Side::Server) => (&opened.local, Some(opened.tgid)),
            None => return,
        };
        let Some(Address::Inet(address)) = address else {
            return;
        };
        let port = address.port();
        if self.ports.len() < MAX_PORTS || self.ports.contains_key(&port) {
            let known = self.ports.entry(port).or_default();
            *known = server.or(*known);
        }
    }

    /// A connection ended.
    pub fn handle_closed(&mut self, opened: &Opened) {
        self.decided.remove(&opened.connection);
        if let Some(key) = client_key(opened)
            && let Some(ends) = self.clients.get_mut(key)
        {
            ends.remove(&opened.connection);
            if ends.is_empty() {
                self.clients.remove(key);
            }
        }
    }

    /// Whether a client's connection that says nothing yet goes to a Redis server.
    pub fn is_to_redis(&self, opened: &Opened) -> bool {
        matches!((opened.side, &opened.peer), (Some(Side::Client), Some(Address::Inet(address)))
            if self.ports.contains_key(&address.port()))
    }

    /// Connections of watched clients that may be the other end of a server's connection.
    pub fn clients_of(&self, opened: &Opened) -> impl Iterator<Item = ConnectionId> + '_ {
        let key = match (&opened.peer, &opened.local) {
            (Some(peer @ Address::Inet(_)), _) => Some(peer),
            (_, Some(local @ Address::Unix(_))) => Some(local),
            _ => None,
        };
        let ends = key.and_then(|key| self.clients.get(key));
        ends.into_iter().flatten().copied()
    }

    /// The first command of a server's connection: its client has connected by now.
    pub fn decide(&mut self, server: &Opened) {
        if self.decided.contains_key(&server.connection) {
            return;
        }
        let is_known = self.clients_of(server).next().is_some();
        let counts = is_known || !self.claim(server);
        self.decided.insert(server.connection, counts);
    }

    /// Whether a server's connection was found to be a watched client's.
    pub fn is_claimed(&self, server: &Opened) -> bool {
        self.decided.get(&server.connection) == Some(&false)
    }

    /// Takes a watched client's connection for the other end.
    fn claim(&mut self, server: &Opened) -> bool {
        let is_its = |port: u16| match &server.local {
            Some(Address::Inet(local)) => local.port() == port,
            Some(Address::Unix(_)) => false,
            None => self.ports.get(&port) == Some(&Some(server.tgid)),
        };
        let distance = |at: KtimeNs| at.since(server.at).max(server.at.since(at));
        let nearest = self
            .nameless
            .iter()
            .enumerate()
            .filter(|(_, (port, at))| is_its(*port) && distance(*at) <= ACCEPT_NS)
            .min_by_key(|(_, (_, at))| distance(*at))
            .map(|(index, _)| index);
        nearest.is_some_and(|index| self.nameless.remove(index).is_some())
    }

    /// Something became of a command on a connection that counts.
    pub fn handle(&mut self, exchange: Exchange) {
        match exchange {
            Exchange::Answered {
                command,
                asked,
                answered,
                error,
            } => {
                let family = &self.metrics.command_latency;
                self.latencies
                    .entry(command)
                    .or_insert_with(|| family.with(&[command.as_str()]))
                    .observe(answered.ms_since(asked));
                if let Some(error) = error {
                    self.error(command.as_str(), error.as_str());
                }
            }
            Exchange::TimedOut(command) => self.error(command.as_str(), TIMEOUT),
            Exchange::Failed(command) => self.error(command.as_str(), CONNECTION_ERROR),
            Exchange::Lost => self.probe.skip(Measure::RedisCommand, SkipReason::Lost),
        }
    }

    /// A connection to a Redis server failed before a command was sent.
    pub fn handle_refused(&self) {
        self.error(UNKNOWN, CONNECTION_ERROR);
    }

    /// Connections that count.
    pub fn set_active(&self, connections: usize) {
        self.active.set(connections as f64);
    }

    fn error(&self, command: &str, error: &str) {
        self.metrics.command_errors.with(&[command, error]).inc();
    }
}

/// How the server's end would name a watched client's connection.
fn client_key(opened: &Opened) -> Option<&Address> {
    match (opened.side, &opened.local, &opened.peer) {
        (Some(Side::Client), Some(local @ Address::Inet(_)), _) => Some(local),
        (Some(Side::Client), _, Some(peer @ Address::Unix(_))) => Some(peer),
        _ => None,
    }
}

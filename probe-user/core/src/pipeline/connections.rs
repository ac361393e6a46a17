//! Connections of watched processes, from their opening to their end, and what came of each step.

use super::{
    MAX_CONNECTIONS, Pipeline, Tap,
    connection::{Connection, Verdict},
    protocol::{Expected, Making},
    reborrow,
    stage::Stage,
};
use crate::{
    interpret::{ClientEvent, client_event},
    record::{
        Address, Chunk, ConnectionEnd, ConnectionId, Gap, Joined, KtimeNs, Opened, Record, Role,
        Side, Tgid, WebSocketEvent,
    },
};

impl Pipeline {
    pub(super) fn handle_opened(&mut self, opened: &Opened) {
        let Some(process) = self.processes.get(&opened.tgid) else {
            return;
        };
        if self.connections.len() >= MAX_CONNECTIONS {
            self.counters.refused();
            self.unwanted.push_back(opened.connection);
            return;
        }
        // Of a Redis server only its clients' connections are followed.
        let redis = match process.role {
            Role::Redis => opened.side == Some(Side::Server),
            Role::Worker | Role::Orchestrator => self.redis.is_to_redis(opened),
        };
        // Only voice roles speak gRPC; a late join elsewhere has nothing to find.
        let worth_a_search = redis || matches!(process.role, Role::Worker | Role::Orchestrator);
        if opened.joined == Joined::Late && !(worth_a_search && opened.side.is_some()) {
            self.unwanted.push_back(opened.connection);
            return;
        }
        let id = opened.connection;
        let expected = match process.role {
            _ if redis => Expected::Redis,
            Role::Orchestrator if opened.side == Some(Side::Server) => Expected::WebSocket,
            Role::Orchestrator | Role::Worker | Role::Redis => Expected::Http2,
        };
        let making = Making {
            profile: &self.profile,
            inflaters: &self.inflaters,
        };
        let connection = Connection::new(opened.clone(), expected, making);
        self.counters.connection_opened(&connection);
        let speaks_redis = connection.redis_side().is_some();
        // A client that was there before a server's first connection is found by the server's port.
        if speaks_redis || (redis && process.role == Role::Redis) {
            self.redis.handle_told(opened);
        }
        self.redis_changed |= speaks_redis;
        if redis && process.role == Role::Redis {
            self.expect_redis_of_clients(opened);
        }
        if let Some(replaced) = self.connections.insert(id, connection) {
            self.redis.handle_closed(replaced.opened());
            self.counters.connection_closed(&replaced);
        }
        self.redis.handle_opened(opened);
        self.orchestrator.handle_opened(opened);
    }

    /// A Redis server accepted a connection: a watched client's end of it that was found before is
    /// Redis as well, whatever it was taken for.
    fn expect_redis_of_clients(&mut self, server: &Opened) {
        let ends: Vec<_> = self.redis.clients_of(server).collect();
        for id in ends {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            if connection.joined() == Joined::Late && !connection.may_be_redis() {
                let protocol = connection.protocol_name();
                connection.expect_redis();
                self.counters.connection_changed(connection, protocol);
            }
        }
    }

    pub(super) fn handle_chunk(&mut self, chunk: Chunk<'_>, tap: Option<&mut dyn Tap>) {
        let id = chunk.connection;
        self.diagnosis.handle_chunk(&chunk);
        self.on_connection(id, tap, |connection, stage| {
            connection.handle_chunk(chunk, stage);
        });
    }

    pub(super) fn handle_gap(&mut self, gap: &Gap) {
        self.on_connection(gap.connection, None, |connection, stage| {
            connection.handle_gap(gap, stage);
        });
    }

    pub(super) fn handle_closed(
        &mut self,
        id: ConnectionId,
        at: KtimeNs,
        end: ConnectionEnd,
        tap: Option<&mut dyn Tap>,
    ) {
        if end == ConnectionEnd::Reset {
            self.orchestrator.handle_connection_lost(id);
        }
        self.on_connection(id, tap, |connection, stage| {
            connection.handle_closed(at, end, stage);
        });
        if let Some(connection) = self.connections.remove(&id) {
            let opened = connection.opened();
            let failed = end == ConnectionEnd::Reset;
            if failed && connection.is_undetermined() && self.redis.is_to_redis(opened) {
                self.redis.handle_refused();
            }
            if failed
                && connection.is_undetermined()
                && let (Some(Side::Client), Some(Address::Inet(peer))) = (opened.side, &opened.peer)
            {
                self.orchestrator
                    .handle_connect_failed(opened.tgid, *peer, at);
            }
            self.redis_changed |= connection.redis_side().is_some();
            self.redis.handle_closed(opened);
            self.counters.connection_closed(&connection);
        }
        self.model.handle_connection_closed(id, at);
        self.diagnosis.handle_closed(id);
        self.orchestrator.handle_connection_closed(id, at);
    }

    /// Connections by a condition, in the order of their ids: every replay takes the same one.
    pub(super) fn select(&self, condition: impl Fn(&Connection) -> bool) -> Vec<ConnectionId> {
        let mut ids: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| condition(connection))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Runs one step of one connection and carries out what came of it.
    pub(super) fn on_connection(
        &mut self,
        id: ConnectionId,
        mut tap: Option<&mut dyn Tap>,
        step: impl FnOnce(&mut Connection, &mut Stage<'_>),
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(process) = self.processes.get(&connection.tgid()) else {
            return;
        };
        let before = connection.unsettled_name();
        let mut stage = Stage {
            profile: &self.profile,
            process,
            interpreter: &mut self.interpreter,
            counters: &self.counters,
            events: &mut self.events,
            blocked: &mut self.blocked,
            exchanges: &mut self.exchanges,
            websocket: &mut self.websocket,
            registrations: &mut self.registrations,
            named: self.named.as_mut(),
            inflaters: &self.inflaters,
            tap: reborrow(&mut tap),
        };
        step(connection, &mut stage);
        if let Some(before) = before
            && connection.protocol_name() != before
        {
            self.counters.connection_changed(connection, before);
            if connection.redis_side().is_some() {
                self.redis.handle_told(connection.opened());
                self.redis_changed = true;
            }
        }
        if !self.registrations.is_empty() {
            for registration in self.registrations.drain(..) {
                self.registered.add(registration, connection.opened());
            }
        }
        if connection.take_verdict() == Some(Verdict::Unwanted) {
            self.unwanted.push_back(id);
        }
        if !self.blocked.is_empty() {
            for blocked in self.blocked.drain(..) {
                self.diagnosis.handle_blocked(blocked);
            }
        }
        for event in &self.events {
            self.model.handle(event);
            if self.diagnosis.is_on() {
                self.diagnosis.handle_event(event);
                if let Some(frame) = self.model.sent_frame(event) {
                    self.diagnosis.handle_frame(&frame);
                }
            }
            self.orchestrator.handle(event);
        }
        self.events.clear();
        while let Some(late) = self.model.poll_late() {
            self.diagnosis.handle_late(late);
        }
        if !self.websocket.is_empty() {
            let tgid = process.tgid;
            let mut events = std::mem::take(&mut self.websocket);
            for event in events.drain(..) {
                let record = Record::WebSocket(event);
                if let Some(tap) = &mut tap {
                    tap.record(&record);
                }
                if let Record::WebSocket(event) = record {
                    self.handle_websocket(tgid, event);
                }
            }
            self.websocket = events;
        }
        if !self.exchanges.is_empty() {
            let connection = self.connections.get(&id);
            if let Some(connection) = connection
                && connection.redis_side() == Some(Side::Server)
            {
                self.redis.decide(connection.opened());
            }
            let counted = connection.is_some_and(|connection| self.times(connection));
            for exchange in self.exchanges.drain(..).filter(|_| counted) {
                self.redis.handle(exchange);
            }
        }
    }

    /// A capture tells what a WebSocket connection said.
    pub(super) fn handle_told(&mut self, event: WebSocketEvent) {
        let Some(connection) = self.connections.get_mut(&event.connection) else {
            return;
        };
        let protocol = connection.protocol_name();
        let making = Making {
            profile: &self.profile,
            inflaters: &self.inflaters,
        };
        connection.handle_told(event.side, making);
        if connection.protocol_name() != protocol {
            self.counters.connection_changed(connection, protocol);
        }
        let tgid = connection.tgid();
        self.handle_websocket(tgid, event);
    }

    fn handle_websocket(&mut self, process: Tgid, event: WebSocketEvent) {
        let event = client_event(process, self.profile.websocket(), event);
        self.handle_client(&event);
    }

    /// What an orchestrator and a client said to each other.
    fn handle_client(&mut self, event: &ClientEvent) {
        #[cfg(test)]
        self.told.push(event.clone());
        self.orchestrator.handle_client(event);
    }

    /// Whether a Redis connection counts at this end: the server's does only where no watched
    /// process is the client.
    pub(super) fn counts(&self, connection: &Connection) -> bool {
        self.is_seen_best_at(connection, Connection::may_be_redis)
    }

    /// Whether the commands of a Redis connection count at this end: the server's do while those of
    /// a watched client's end cannot be told.
    fn times(&self, connection: &Connection) -> bool {
        self.is_seen_best_at(connection, Connection::may_pair)
    }

    /// Whether this is the client's end, or no client's end will `do`.
    fn is_seen_best_at(&self, connection: &Connection, will_do: fn(&Connection) -> bool) -> bool {
        let is_better = |id| self.connections.get(&id).is_some_and(will_do);
        match connection.redis_side() {
            Some(Side::Client) => true,
            Some(Side::Server) => {
                let opened = connection.opened();
                !self.redis.is_claimed(opened) && !self.redis.clients_of(opened).any(is_better)
            }
            None => false,
        }
    }
}

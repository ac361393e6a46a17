//! One connection that is, or becomes, WebSocket: bytes and holes of both directions in, messages and
//! the connection's end out.
//!
//! It begins with HTTP/1.1, whose requests and responses are followed until one switches protocols, or
//! somewhere in the middle of its frames, which are looked for (see [`frames`]). Events come at once,
//! only those of a search when it succeeds.
//!
//! A capture holds the events and none of the bytes; its replay gives the events to whoever takes
//! them, and this connection, [told](WebSocketConnection::told), says nothing by itself.

mod budget;
mod frames;
mod framing;
mod half;
mod handshake;
mod reader;

use std::sync::Arc;

use super::sink::{Problem, Sink};
use crate::profile::Profile;
use crate::record::{
    ConnectionEnd, ConnectionId, Direction, Joined, KtimeNs, Side, WebSocketEvent, WebSocketWhat,
};
use crate::wire::websocket::{Deflate, Extensions};
pub use budget::InflaterBudget;
use frames::Frames;
use framing::Run;
use half::{Half, Phase};
use handshake::{Handshake, Next};

/// A connection that may be WebSocket.
pub struct WebSocketConnection {
    connection: ConnectionId,
    /// The watched process's end.
    side: Side,
    profile: Arc<Profile>,
    budget: InflaterBudget,
    stage: Stage,
    handshake: Handshake,
    /// What was agreed on; `None` where the handshake was not seen.
    extensions: Option<Extensions>,
    client: Half,
    server: Half,
    /// Bytes without proof of frames.
    searched: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not upgraded, or not known to be.
    Before,
    Upgraded,
    /// Its events come from a capture.
    Told,
    /// It ended.
    Ended,
    /// It is nothing that is followed.
    Other,
}

impl WebSocketConnection {
    /// A connection of which `side` is the watched process's end.
    pub fn new(
        connection: ConnectionId,
        side: Side,
        joined: Joined,
        profile: Arc<Profile>,
        budget: InflaterBudget,
    ) -> Self {
        Self {
            connection,
            side,
            profile,
            budget,
            stage: Stage::Before,
            handshake: Handshake::default(),
            extensions: None,
            client: Half::new(Side::Client, joined),
            server: Half::new(Side::Server, joined),
            searched: 0,
        }
    }

    /// A connection whose events come from a capture.
    pub fn told(connection: ConnectionId, side: Side, profile: Arc<Profile>) -> Self {
        let budget = InflaterBudget::default();
        Self {
            stage: Stage::Told,
            ..Self::new(connection, side, Joined::Late, profile, budget)
        }
    }

    /// Whether its bytes are of use.
    pub fn is_followed(&self) -> bool {
        matches!(self.stage, Stage::Before | Stage::Upgraded | Stage::Told)
    }

    /// Whether its events come from a capture.
    pub fn is_told(&self) -> bool {
        self.stage == Stage::Told
    }

    /// What it speaks now (label `protocol`).
    pub fn protocol_name(&self) -> &'static str {
        match self.stage {
            Stage::Before if self.client.is_http() || self.server.is_http() => "http1",
            Stage::Before => "undetermined",
            Stage::Upgraded | Stage::Told | Stage::Ended => "websocket",
            Stage::Other => "other",
        }
    }

    /// The next bytes of a direction, as one call moved them.
    pub fn handle_bytes(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) {
        let from = self.from(direction);
        self.start_again(from, bytes);
        let mut rest = bytes;
        while matches!(self.stage, Stage::Before | Stage::Upgraded) && !rest.is_empty() {
            let used = match &mut self.half(from).phase {
                Phase::Head(_) => self.head(from, at, rest, sink),
                Phase::Body(left) => {
                    let used = usize::try_from(*left).map_or(rest.len(), |it| it.min(rest.len()));
                    *left -= used as u64;
                    if *left == 0 {
                        self.half(from).phase = Phase::head();
                    }
                    used
                }
                Phase::Answer => {
                    if self.server.is_http() {
                        // A client says nothing before the answer (RFC 6455, 4.1).
                        self.stage = Stage::Other;
                    } else {
                        self.half(from).search();
                    }
                    0
                }
                Phase::Frames(_) => {
                    self.push(from, at, rest, sink);
                    return;
                }
                Phase::Closed => return,
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// The next `length` bytes of a direction are missing.
    pub fn handle_hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        sink: &mut dyn Sink,
    ) {
        if !matches!(self.stage, Stage::Before | Stage::Upgraded) || length == 0 {
            return;
        }
        let from = self.from(direction);
        match &mut self.half(from).phase {
            Phase::Frames(_) => self.frames(from, at, Run::Hole(length), sink),
            Phase::Body(left) if length < *left => *left -= length,
            Phase::Head(_) | Phase::Body(_) | Phase::Answer => {
                sink.problem(Problem::FramingLost);
                self.half(from).search();
            }
            Phase::Closed => {}
        }
    }

    /// The sender of a direction will send nothing more.
    pub fn handle_half_closed(&mut self, direction: Direction, at: KtimeNs, sink: &mut dyn Sink) {
        let end = match direction {
            Direction::Received => ConnectionEnd::PeerClosed,
            Direction::Sent => ConnectionEnd::LocallyClosed,
        };
        self.handle_closed(at, end, sink);
    }

    /// The connection is gone. What ends it first counts.
    pub fn handle_closed(&mut self, at: KtimeNs, end: ConnectionEnd, sink: &mut dyn Sink) {
        if matches!(self.stage, Stage::Before | Stage::Upgraded) {
            for half in [&self.client, &self.server] {
                if half.is_inside() {
                    sink.problem(Problem::CutShort);
                }
            }
        }
        self.end(at, end, sink);
    }

    fn end(&mut self, at: KtimeNs, end: ConnectionEnd, sink: &mut dyn Sink) {
        match self.stage {
            Stage::Upgraded => {
                self.stage = Stage::Ended;
                self.emit(at, WebSocketWhat::Ended(end), sink);
                self.client.phase = Phase::Closed;
                self.server.phase = Phase::Closed;
            }
            Stage::Before => self.stage = Stage::Other,
            Stage::Told | Stage::Ended | Stage::Other => {}
        }
    }

    fn from(&self, direction: Direction) -> Side {
        match (self.side, direction) {
            (Side::Client, Direction::Sent) | (Side::Server, Direction::Received) => Side::Client,
            (Side::Client, Direction::Received) | (Side::Server, Direction::Sent) => Side::Server,
        }
    }

    fn half(&mut self, from: Side) -> &mut Half {
        match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// A half and the other one.
    fn halves(&mut self, from: Side) -> (&mut Half, &mut Half) {
        match from {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        }
    }

    fn emit(&self, at: KtimeNs, what: WebSocketWhat, sink: &mut dyn Sink) {
        sink.websocket(WebSocketEvent {
            connection: self.connection,
            side: self.side,
            at,
            what,
        });
    }

    /// A request where frames were looked for: the connection is still HTTP.
    fn start_again(&mut self, from: Side, bytes: &[u8]) {
        let searching = self.stage == Stage::Before && self.half(from).is_searching();
        if searching && from == Side::Client && bytes.starts_with(b"GET ") {
            self.handshake = Handshake::default();
            self.client.phase = Phase::head();
            self.server.phase = Phase::head();
        }
    }

    /// Bytes of a head; how many were used.
    fn head(&mut self, from: Side, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) -> usize {
        let lost_requests = self.client.is_searching();
        let (half, handshake) = match from {
            Side::Client => (&mut self.client, &mut self.handshake),
            Side::Server => (&mut self.server, &mut self.handshake),
        };
        let Phase::Head(collector) = &mut half.phase else {
            return 0;
        };
        let next = match from {
            Side::Client => collector
                .request(bytes)
                .map(|(used, head)| (used, head.map(|head| handshake.request(at, head)))),
            Side::Server => collector.response(bytes).map(|(used, head)| {
                let next = head.map(|head| handshake.response(head, lost_requests));
                (used, next)
            }),
        };
        let Ok((used, next)) = next else {
            sink.problem(Problem::BadHead);
            self.stage = Stage::Other;
            return 0;
        };
        match next {
            None => {}
            Some(Next::Head(body)) => half.body(body),
            Some(Next::Answer) => half.phase = Phase::Answer,
            Some(Next::Refused(body)) => {
                half.body(body);
                if matches!(self.client.phase, Phase::Answer) {
                    self.client.phase = Phase::head();
                }
            }
            Some(Next::Other) => {
                // A server that answers before the request's head is complete refuses it.
                if from == Side::Server && self.client.is_in_head() {
                    sink.problem(Problem::BadHead);
                }
                self.stage = Stage::Other;
            }
            Some(Next::Frames {
                requested,
                extensions,
                trace,
            }) => {
                self.extensions = Some(extensions);
                let Deflate {
                    server_no_context_takeover: server,
                    client_no_context_takeover: client,
                } = extensions.deflate.unwrap_or_default();
                self.server.phase = Phase::Frames(Box::new(Frames::certain(Side::Server, server)));
                let frames = match self.client.phase {
                    Phase::Answer => Frames::certain(Side::Client, client),
                    _ => Frames::searching(Side::Client, client),
                };
                self.client.phase = Phase::Frames(Box::new(frames));
                self.stage = Stage::Upgraded;
                self.emit(at, WebSocketWhat::Upgraded { requested }, sink);
                if let Some(context) = trace {
                    self.emit(at, WebSocketWhat::Traced(context), sink);
                }
            }
        }
        used
    }
}

#[cfg(test)]
mod tests;

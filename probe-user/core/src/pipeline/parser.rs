//! What the parsers of all protocols have in common.

use crate::{
    flow::{Http2Connection, RedisConnection, Sink, WebSocketConnection},
    record::{Chunk, Direction, GapReason, KtimeNs},
};

/// A connection whose protocol is known.
pub(super) trait Parser {
    /// A chunk comes, whose bytes and holes follow.
    fn begin(&mut self, _chunk: &Chunk<'_>, _sink: &mut dyn Sink) {}

    fn bytes(&mut self, direction: Direction, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink);

    fn hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    );
}

impl Parser for Http2Connection {
    fn bytes(&mut self, direction: Direction, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) {
        self.handle_bytes(direction, at, bytes, sink);
    }

    fn hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    ) {
        self.handle_hole(direction, at, length, reason, sink);
    }
}

impl Parser for RedisConnection {
    fn begin(&mut self, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        Self::begin(self, chunk, sink);
    }

    fn bytes(&mut self, direction: Direction, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) {
        self.handle_bytes(direction, at, bytes, sink);
    }

    fn hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    ) {
        self.handle_hole(direction, at, length, reason, sink);
    }
}

impl Parser for WebSocketConnection {
    fn bytes(&mut self, direction: Direction, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) {
        self.handle_bytes(direction, at, bytes, sink);
    }

    fn hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        _reason: GapReason,
        sink: &mut dyn Sink,
    ) {
        self.handle_hole(direction, at, length, sink);
    }
}

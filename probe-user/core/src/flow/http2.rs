//! One HTTP/2 connection: bytes and holes of both directions in, events of its calls out.
//!
//! Give it what the connection moved, in order within each direction, one push per write or read.
//! Events come at once. Losing the framing of a direction makes its header table and the messages
//! of its calls unknown until the framing is found again (see [`crate::wire::http2`]).
//!
//! Captures hold only what [`Sink::keep`] named, as pieces between holes of reason `Elided`. In them
//! bytes follow only where the recording parser had the framing, so a direction with such holes
//! needs no search: the bytes that come after one start a frame, and so do bytes that one directly
//! follows.

use std::sync::Arc;

use super::Origin;
use super::calls::Calls;
use super::headers::{self, Headers};
use super::sink::{Keeper, Problem, Sink};
use super::windows::{Blocked, Limit, MIN_BLOCKED_NS, Windows};
use crate::profile::Profile;
use crate::record::{ConnectionId, Direction, GapReason, Joined, KtimeNs, Side};
use crate::wire::hpack;
use crate::wire::http2::{Framer, Loss, PREFACE, Part};

/// Longest push in bytes held back while the framing is searched for, to see whether an elided hole
/// follows it. The pieces of a capture are far shorter.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// A connection that speaks HTTP/2.
pub struct Http2Connection {
    side: Side,
    calls: Calls,
    /// The client's direction, then the server's.
    client: Half,
    server: Half,
    windows: Windows,
    /// When the watched process last sent a part of a frame and not its end. It sends nothing else
    /// before that end, so that what comes between was the socket's.
    interrupted: Option<KtimeNs>,
    closed: bool,
}

/// One direction.
struct Half {
    origin: Origin,
    framer: Framer,
    table: hpack::Decoder,
    /// Values in the last header block that are not for a capture.
    secrets: Vec<hpack::Literal>,
    /// The bytes are those of a capture that left content out.
    elided: bool,
    /// The last push, if it brought no framing, and its time.
    held: Vec<u8>,
    held_at: KtimeNs,
}

impl Half {
    fn new(origin: Origin, joined: Joined) -> Self {
        let from_client = origin == Origin::Client;
        let mut table = hpack::Decoder::new(headers::is_wanted);
        let framer = match joined {
            Joined::FromStart => Framer::from_start(from_client),
            Joined::Late => {
                table.forget();
                Framer::late(from_client)
            }
        };
        Self {
            origin,
            framer,
            table,
            secrets: Vec::new(),
            elided: false,
            held: Vec::new(),
            held_at: KtimeNs::default(),
        }
    }

    /// Looks for the framing at the start of a push; where frames can be read from.
    fn find(&mut self, at: KtimeNs, bytes: &[u8], sink: &mut dyn Sink) -> Option<usize> {
        self.held.clear();
        let at_preface = self.origin == Origin::Client && bytes.starts_with(PREFACE);
        let found = if self.elided || at_preface {
            Some(0)
        } else {
            self.framer.search(bytes)
        };
        match found {
            Some(_) => {
                if at_preface {
                    self.table.restart();
                }
                self.framer.resume(at_preface);
                sink.problem(Problem::Resynchronised);
            }
            None if bytes.len() <= MAX_HELD_BYTES => {
                self.held.extend_from_slice(bytes);
                self.held_at = at;
            }
            None => {}
        }
        found
    }
}

impl Http2Connection {
    /// A connection of which `side` is the watched process's end.
    pub fn new(
        connection: ConnectionId,
        side: Side,
        joined: Joined,
        profile: Arc<Profile>,
    ) -> Self {
        let own = match side {
            Side::Client => Origin::Client,
            Side::Server => Origin::Server,
        };
        Self {
            side,
            calls: Calls::new(connection, profile, joined == Joined::Late),
            client: Half::new(Origin::Client, joined),
            server: Half::new(Origin::Server, joined),
            windows: Windows::new(connection, own, joined),
            interrupted: None,
            closed: false,
        }
    }

    /// Calls that are open.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// The next bytes of a direction.
    pub fn handle_bytes(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) {
        if self.closed || bytes.is_empty() {
            return;
        }
        self.calls.advance(at, sink);
        let origin = self.origin(direction);
        self.resumed(direction, at, sink);
        let mut start = 0;
        if self.half(origin).framer.is_lost() {
            match self.half(origin).find(at, bytes, sink) {
                Some(found) => start = found,
                None => return,
            }
            self.windows.forget();
        }
        let mut keeper = Keeper::new(sink, true);
        self.frames(origin, at, bytes, start, &mut keeper);
        self.paused(direction, at);
    }

    /// The next `length` bytes of a direction are missing.
    pub fn handle_hole(
        &mut self,
        direction: Direction,
        at: KtimeNs,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    ) {
        if self.closed || length == 0 {
            return;
        }
        self.calls.advance(at, sink);
        let origin = self.origin(direction);
        self.resumed(direction, at, sink);
        let half = self.half(origin);
        half.elided |= reason == GapReason::Elided;
        if half.framer.is_lost() && !self.find_before_hole(origin, length, reason, sink) {
            return;
        }
        self.hole(origin, at, length, sink);
        self.paused(direction, at);
    }

    /// While the framing is lost: whether what was held back before a hole starts a frame, which it does
    /// where that is one of a capture. It is read then.
    #[cold]
    fn find_before_hole(
        &mut self,
        origin: Origin,
        length: u64,
        reason: GapReason,
        sink: &mut dyn Sink,
    ) -> bool {
        let half = self.half(origin);
        let held = std::mem::take(&mut half.held);
        if reason != GapReason::Elided || held.is_empty() {
            half.framer.search_hole(length);
            return false;
        }
        let held_at = half.held_at;
        half.find(held_at, &held, sink);
        self.windows.forget();
        let mut keeper = Keeper::new(sink, false);
        self.frames(origin, held_at, &held, 0, &mut keeper);
        true
    }

    /// A direction goes on.
    fn resumed(&mut self, direction: Direction, at: KtimeNs, sink: &mut dyn Sink) {
        if direction == Direction::Sent
            && let Some(since) = self.interrupted.take()
            && at.since(since) >= MIN_BLOCKED_NS
        {
            sink.blocked(Blocked {
                connection: self.calls.connection(),
                stream: None,
                from: since,
                until: at,
                by: Limit::Socket,
            });
        }
    }

    /// A push of a direction is over.
    fn paused(&mut self, direction: Direction, at: KtimeNs) {
        if direction == Direction::Sent {
            let origin = self.origin(direction);
            self.interrupted = self.half(origin).framer.is_inside().then_some(at);
        }
    }

    /// The sender of a direction will send nothing more.
    pub fn handle_half_closed(&mut self, direction: Direction, at: KtimeNs, sink: &mut dyn Sink) {
        // Without the server's direction no call can end any more.
        if !self.closed && self.origin(direction) == Origin::Server {
            self.handle_closed(at, sink);
        }
    }

    /// The connection is gone.
    pub fn handle_closed(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        for half in [&self.client, &self.server] {
            if half.framer.is_inside() {
                sink.problem(Problem::CutShort);
            }
        }
        self.calls.close(at, sink);
    }

    fn origin(&self, direction: Direction) -> Origin {
        match (self.side, direction) {
            (Side::Client, Direction::Sent) | (Side::Server, Direction::Received) => Origin::Client,
            (Side::Client, Direction::Received) | (Side::Server, Direction::Sent) => Origin::Server,
        }
    }

    fn half(&mut self, origin: Origin) -> &mut Half {
        match origin {
            Origin::Client => &mut self.client,
            Origin::Server => &mut self.server,
        }
    }

    /// Reads frames from `start` on.
    fn frames(
        &mut self,
        origin: Origin,
        at: KtimeNs,
        bytes: &[u8],
        start: usize,
        keeper: &mut Keeper<'_>,
    ) {
        let mut position = start;
        while let Some(rest) = bytes.get(position..) {
            let (half, peer) = match origin {
                Origin::Client => (&mut self.client, &mut self.server),
                Origin::Server => (&mut self.server, &mut self.client),
            };
            let Half {
                framer,
                table,
                secrets,
                ..
            } = half;
            let Some(step) = framer.step(rest) else {
                break;
            };
            if step.keep {
                keeper.keep(position, position + step.used);
            }
            match step.part {
                Part::Nothing => {}
                Part::Data { stream, bytes } => {
                    let bytes = (bytes, position);
                    self.calls.data(origin, stream, bytes, at, keeper);
                }
                // As below, of nearly all frames.
                Part::DataStart {
                    stream,
                    length,
                    charge,
                } => {
                    let sink = keeper.sink();
                    self.windows.data(origin, stream, charge, at, sink);
                    self.calls.data_start(origin, stream, length, at, sink);
                }
                found => {
                    let mut tables = Tables {
                        own: table,
                        peer: &mut peer.table,
                        secrets,
                    };
                    let (calls, windows) = (&mut self.calls, &mut self.windows);
                    other(
                        calls,
                        windows,
                        &mut tables,
                        origin,
                        found,
                        at,
                        keeper.sink(),
                    );
                    if let Part::Headers { block, tail, .. } = found {
                        for secret in secrets.drain(..) {
                            keeper.mask(block, tail, position + step.used, secret);
                        }
                    }
                }
            }
            position += step.used;
        }
        keeper.flush();
    }

    fn hole(&mut self, origin: Origin, at: KtimeNs, length: u64, sink: &mut dyn Sink) {
        let mut left = length;
        loop {
            let (half, peer) = match origin {
                Origin::Client => (&mut self.client, &mut self.server),
                Origin::Server => (&mut self.server, &mut self.client),
            };
            let Half {
                framer,
                table,
                secrets,
                ..
            } = half;
            let Some((used, found)) = framer.step_hole(left) else {
                return;
            };
            left = left.saturating_sub(used);
            match found {
                Part::Nothing => continue,
                Part::DataHole { stream, length } => {
                    self.calls.data_hole(origin, stream, length, at, sink);
                    continue;
                }
                _ => {}
            }
            let mut tables = Tables {
                own: table,
                peer: &mut peer.table,
                secrets,
            };
            let (calls, windows) = (&mut self.calls, &mut self.windows);
            other(calls, windows, &mut tables, origin, found, at, sink);
        }
    }
}

/// The header tables of both directions.
struct Tables<'a> {
    /// Of the direction being read.
    own: &'a mut hpack::Decoder,
    /// Of the other one: settings of this direction bound it.
    peer: &'a mut hpack::Decoder,
    secrets: &'a mut Vec<hpack::Literal>,
}

/// Acts on what frames say of themselves. Few do but DATA, whose way this keeps clear.
#[inline(never)]
fn other(
    calls: &mut Calls,
    windows: &mut Windows,
    tables: &mut Tables<'_>,
    origin: Origin,
    part: Part<'_>,
    at: KtimeNs,
    sink: &mut dyn Sink,
) {
    windows.handle(origin, &part, at, sink);
    match part {
        // Bytes of a stream, and those that are missing, do not come here.
        Part::Nothing
        | Part::Data { .. }
        | Part::DataHole { .. }
        | Part::InitialWindow(_)
        | Part::WindowUpdate { .. } => {}
        Part::Headers {
            stream,
            end_stream,
            block,
            tail: _,
        } => {
            let mut headers = Headers::UNREADABLE;
            let profile = calls.profile();
            let secrets = &mut *tables.secrets;
            secrets.clear();
            let result = tables.own.decode(block, |field| {
                headers.field(profile, field);
                if !headers::is_public(field.name)
                    && let Some(literal) = field.literal
                {
                    secrets.push(literal);
                }
            });
            if result.is_err() {
                return part_headers_lost(calls, tables, origin, (stream, end_stream), at, sink);
            }
            if let Some(stream) = stream {
                calls.headers(origin, stream, end_stream, &headers, at, sink);
            }
        }
        Part::HeadersLost { stream, end_stream } => {
            part_headers_lost(calls, tables, origin, (stream, end_stream), at, sink);
        }
        Part::DataStart { stream, length, .. } => {
            calls.data_start(origin, stream, length, at, sink);
        }
        Part::DataLost { stream, .. } => calls.data_lost(origin, stream, at, sink),
        Part::EndStream { stream } => calls.end_stream(origin, stream, at, sink),
        Part::Reset { stream, code } => calls.reset(origin, stream, code, at, sink),
        Part::TableSize(bytes) => tables.peer.allow_table_size(bytes),
        Part::SettingsLost => tables.peer.allow_table_size(u32::MAX),
        Part::GoAway { last_stream } => {
            if origin == Origin::Server {
                calls.go_away(last_stream, at, sink);
            }
        }
        Part::Lost(loss) => {
            sink.problem(match loss {
                Loss::Hole => Problem::FramingLost,
                Loss::BadPreface => Problem::BadPreface,
                Loss::BadFrame => Problem::BadFrame,
            });
            tables.own.forget();
            calls.frames_lost(origin, at, sink);
        }
    }
}

fn part_headers_lost(
    calls: &mut Calls,
    tables: &mut Tables<'_>,
    origin: Origin,
    (stream, end_stream): (Option<u32>, bool),
    at: KtimeNs,
    sink: &mut dyn Sink,
) {
    sink.problem(Problem::BadHeaderBlock);
    tables.own.forget();
    calls.headers_lost(origin);
    if let Some(stream) = stream {
        calls.headers(origin, stream, end_stream, &Headers::UNREADABLE, at, sink);
    }
}

//! Flow control towards the peer (RFC 9113, 5.2 and 6.9): when the watched process had no window for
//! what it then sent.
//!
//! A window that is not known to the byte is unknown, and blocks nothing: of a connection joined late,
//! or after frames of either side were lost, only streams that begin later are followed, once the
//! peer has said how large their windows are.

use std::collections::VecDeque;

use super::Origin;
use super::sink::Sink;
use super::streams::Streams;
use crate::record::{ConnectionId, Joined, KtimeNs};
use crate::wire::http2::Part;

/// Bytes of a window before any SETTINGS or `WINDOW_UPDATE` (RFC 9113, 6.9.2).
const DEFAULT_BYTES: i64 = 65_535;

/// A window of this many bytes is enough for any frame: the default `SETTINGS_MAX_FRAME_SIZE`
/// (RFC 9113, 6.5.2). Larger ones are all the same here.
const ENOUGH_BYTES: i64 = 16_384;

/// Changes of a window that are remembered, below [`ENOUGH_BYTES`]: one that is small all the time has
/// two with each frame.
const MAX_CHANGES: usize = 256;

/// Streams followed at once on one connection: as many as calls.
const MAX_STREAMS: usize = 512;

/// Shortest time for which sending counts as blocked, nanoseconds. What ends it for less does not end
/// it: another stream took the room at once.
pub(crate) const MIN_BLOCKED_NS: u64 = 1_000_000;

/// What sending waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Room in the socket.
    Socket,
    /// The HTTP/2 window of the stream.
    StreamWindow,
    /// The HTTP/2 window of the connection.
    ConnectionWindow,
}

/// The watched process could not send what it sent at `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Connection.
    pub connection: ConnectionId,
    /// HTTP/2 stream that waited; `None` where all of the connection did.
    pub stream: Option<u32>,
    /// Since when there was no room.
    pub from: KtimeNs,
    /// When there was.
    pub until: KtimeNs,
    /// Room in what.
    pub by: Limit,
}

/// The windows of one connection towards its peer.
pub(super) struct Windows {
    id: ConnectionId,
    /// Whose DATA uses them.
    own: Origin,
    connection: Window,
    /// Of a stream that begins, bytes; `None` for unknown.
    initial: Option<i64>,
    streams: Streams<Box<Stream>>,
    /// The last stream that was opened: numbers only grow (RFC 9113, 5.1.1).
    last: u32,
}

struct Stream {
    window: Window,
    /// When it last sent, or began.
    sent: KtimeNs,
}

impl Windows {
    /// Windows of a connection whose `own` side is watched.
    pub(super) fn new(id: ConnectionId, own: Origin, joined: Joined) -> Self {
        let known = (joined == Joined::FromStart).then_some(DEFAULT_BYTES);
        Self {
            id,
            own,
            connection: known.map_or_else(Window::default, |bytes| Window::new(bytes, KtimeNs(0))),
            initial: known,
            streams: Streams::default(),
            last: 0,
        }
    }

    /// Takes what a frame of `origin` says; tells what was blocked until it.
    pub(super) fn handle(
        &mut self,
        origin: Origin,
        part: &Part<'_>,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        let is_own = origin == self.own;
        match *part {
            Part::Headers {
                stream: Some(stream),
                end_stream,
                ..
            }
            | Part::HeadersLost {
                stream: Some(stream),
                end_stream,
            } => {
                if origin == Origin::Client {
                    self.begin(stream, at);
                }
                if is_own && end_stream {
                    self.streams.remove(stream);
                }
            }
            Part::EndStream { stream } if is_own => drop(self.streams.remove(stream)),
            Part::Reset { stream, .. } => drop(self.streams.remove(stream)),
            Part::DataStart { stream, charge, .. } | Part::DataLost { stream, charge } => {
                self.data(origin, stream, charge, at, sink);
            }
            Part::WindowUpdate { stream, bytes } if !is_own => {
                let bytes = bytes.map(i64::from);
                if stream == 0 {
                    self.connection.add(bytes, at);
                } else if let Some(stream) = self.streams.get_mut(stream) {
                    stream.window.add(bytes, at);
                }
            }
            Part::InitialWindow(bytes) if !is_own => self.resize(i64::from(bytes), at),
            Part::SettingsLost if !is_own => {
                self.initial = None;
                self.forget_streams();
            }
            Part::Lost(_) => {
                self.forget();
                if !is_own {
                    self.initial = None;
                }
            }
            _ => {}
        }
    }

    /// A DATA frame of `origin` takes so many bytes (RFC 9113, 6.9.1).
    #[inline]
    pub(super) fn data(
        &mut self,
        origin: Origin,
        stream: u32,
        charge: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        if origin == self.own && charge > 0 {
            self.send(stream, i64::from(charge), at, sink);
        }
    }

    /// Frames are missing: no window that was followed is known any more.
    pub(super) fn forget(&mut self) {
        self.connection = Window::default();
        self.forget_streams();
    }

    fn forget_streams(&mut self) {
        for (_, stream) in self.streams.iter_mut() {
            stream.window = Window::default();
        }
    }

    fn begin(&mut self, stream: u32, at: KtimeNs) {
        if stream <= self.last {
            return;
        }
        self.last = stream;
        if self.streams.len() >= MAX_STREAMS
            && let Some(oldest) = self.streams.first()
        {
            self.streams.remove(oldest);
        }
        let window = self.initial.map(|bytes| Window::new(bytes, at));
        let window = window.unwrap_or_default();
        self.streams
            .insert(stream, Box::new(Stream { window, sent: at }));
    }

    /// DATA of the watched side.
    fn send(&mut self, stream: u32, bytes: i64, at: KtimeNs, sink: &mut dyn Sink) {
        if let Some(found) = self.streams.get_mut(stream) {
            // As a rule both are large before and after.
            if self.connection.is_large(bytes) && found.window.is_large(bytes) {
                self.connection.shrink(bytes);
                found.window.shrink(bytes);
                found.sent = at;
                return;
            }
            let mut tell = |(from, until), by| {
                sink.blocked(Blocked {
                    connection: self.id,
                    stream: Some(stream),
                    from,
                    until,
                    by,
                });
            };
            for stretch in self.connection.short(bytes, found.sent, at) {
                tell(stretch, Limit::ConnectionWindow);
            }
            for stretch in found.window.short(bytes, found.sent, at) {
                tell(stretch, Limit::StreamWindow);
            }
            found.window.add(Some(-bytes), at);
            found.window.settle();
            found.sent = at;
        }
        self.connection.add(Some(-bytes), at);
    }

    /// The peer changed what streams begin with: open ones change by as much (RFC 9113, 6.9.2).
    fn resize(&mut self, bytes: i64, at: KtimeNs) {
        let Some(before) = self.initial.replace(bytes) else {
            return;
        };
        for (_, stream) in self.streams.iter_mut() {
            stream.window.add(Some(bytes - before), at);
        }
    }
}

/// One window; unknown by default.
#[derive(Default)]
struct Window {
    /// Bytes that may be sent, negative after a smaller setting; `None` for unknown.
    bytes: Option<i64>,
    /// Its size from each time on, at most [`ENOUGH_BYTES`]; before the first it was that.
    changes: VecDeque<(KtimeNs, i64)>,
}

impl Window {
    fn new(bytes: i64, at: KtimeNs) -> Self {
        let mut window = Self {
            bytes: Some(0),
            changes: VecDeque::new(),
        };
        window.add(Some(bytes), at);
        window
    }

    /// It changes; `None` by an unknown number of bytes.
    fn add(&mut self, bytes: Option<i64>, at: KtimeNs) {
        let sum = self.bytes.zip(bytes);
        let Some(sum) = sum.map(|(before, change)| before.saturating_add(change)) else {
            *self = Self::default();
            return;
        };
        self.bytes = Some(sum);
        let size = sum.min(ENOUGH_BYTES);
        let last = self.changes.back().copied();
        let (last_at, last_size) = last.unwrap_or((at, ENOUGH_BYTES));
        if size == last_size {
            return;
        }
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        // Records of the two directions may overlap by a call's time.
        self.changes.push_back((at.max(last_at), size));
    }

    /// Whether it is and was large enough for anything, or is unknown, and is still so with so many bytes less.
    fn is_large(&self, bytes: i64) -> bool {
        let is_large = |size: i64| size >= ENOUGH_BYTES;
        self.bytes
            .is_none_or(|before| is_large(before.saturating_sub(bytes)))
            && self.changes.len() <= 1
            && self.changes.back().is_none_or(|(_, size)| is_large(*size))
    }

    /// One that [`Self::is_large`] changes by so many bytes, which changes nothing else.
    fn shrink(&mut self, bytes: i64) {
        self.bytes = self.bytes.map(|before| before.saturating_sub(bytes));
    }

    /// Only its present size matters from now on.
    fn settle(&mut self) {
        while self.changes.len() > 1 {
            self.changes.pop_front();
        }
    }

    /// The stretches of a time in which it was too small for a frame.
    fn short(&self, bytes: i64, from: KtimeNs, until: KtimeNs) -> Vec<(KtimeNs, KtimeNs)> {
        let needed = bytes.min(ENOUGH_BYTES);
        if self.changes.iter().all(|(_, size)| *size >= needed) {
            return Vec::new();
        }
        // Of what was before, only the last counts.
        let before = self.changes.partition_point(|(at, _)| *at <= from);
        let first = before.saturating_sub(1);
        let ends = self.changes.iter().skip(first + 1).map(|(at, _)| *at);
        let sizes = self.changes.iter().skip(first).zip(ends.chain([until]));
        let mut stretches: Vec<(KtimeNs, KtimeNs)> = Vec::new();
        for ((start, size), end) in sizes {
            let (start, end) = ((*start).max(from), end.min(until));
            if *size >= needed || start >= end {
                continue;
            }
            match stretches.last_mut() {
                Some(last) if start.since(last.1) < MIN_BLOCKED_NS => last.1 = end,
                _ => stretches.push((start, end)),
            }
        }
        stretches.retain(|(start, end)| end.since(*start) >= MIN_BLOCKED_NS);
        stretches
    }
}

#[cfg(test)]
mod tests;

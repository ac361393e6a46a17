//! Flow control towards the client (RFC 9113 section 5.2): how much may be written.

use std::collections::HashMap;

/// A window's size before any SETTINGS or `WINDOW_UPDATE`, in bytes (RFC 9113 section 6.9.2).
const DEFAULT_WINDOW_BYTES: i64 = 65_535;

/// The windows of one connection and its open streams, in bytes.
pub(crate) struct Windows {
    connection: i64,
    initial: i64,
    streams: HashMap<u32, i64>,
    closed: bool,
}

impl Windows {
    /// The windows of a new connection.
    pub(crate) fn new() -> Self {
        Self {
            connection: DEFAULT_WINDOW_BYTES,
            initial: DEFAULT_WINDOW_BYTES,
            streams: HashMap::new(),
            closed: false,
        }
    }

    /// The client opened a stream.
    pub(crate) fn open(&mut self, stream: u32) {
        self.streams.insert(stream, self.initial);
    }

    /// A stream ended or was reset.
    pub(crate) fn close(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }

    /// The connection is gone.
    pub(crate) fn close_all(&mut self) {
        self.closed = true;
        self.streams.clear();
    }

    /// The client changed its `SETTINGS_INITIAL_WINDOW_SIZE`.
    pub(crate) fn set_initial(&mut self, bytes: u32) {
        let change = i64::from(bytes) - self.initial;
        self.initial = i64::from(bytes);
        for window in self.streams.values_mut() {
            *window = window.saturating_add(change);
        }
    }

    /// A `WINDOW_UPDATE` for `stream` (0: the connection).
    pub(crate) fn add(&mut self, stream: u32, bytes: u32) {
        let window = if stream == 0 {
            Some(&mut self.connection)
        } else {
            self.streams.get_mut(&stream)
        };
        if let Some(window) = window {
            *window = window.saturating_add(i64::from(bytes));
        }
    }

    /// Takes `bytes` for a DATA frame: `Some(true)` if both windows had room, `Some(false)` if
    /// one has not, `None` if the stream is closed.
    pub(crate) fn take(&mut self, stream: u32, bytes: usize) -> Option<bool> {
        let bytes = bytes as i64;
        let window = self.streams.get_mut(&stream).filter(|_| !self.closed)?;
        if *window < bytes || self.connection < bytes {
            return Some(false);
        }
        *window -= bytes;
        self.connection -= bytes;
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_needs_room_in_both_windows() {
        let mut windows = Windows::new();
        windows.open(1);
        assert_eq!(windows.take(1, 65_535), Some(true));
        assert_eq!(windows.take(1, 1), Some(false));
        windows.add(1, 10);
        assert_eq!(windows.take(1, 1), Some(false));
        windows.add(0, 10);
        assert_eq!(windows.take(1, 10), Some(true));
    }

    #[test]
    fn changed_initial_window_moves_open_streams_and_not_the_connection() {
        let mut windows = Windows::new();
        windows.open(1);
        windows.set_initial(10);
        assert_eq!(windows.take(1, 11), Some(false));
        assert_eq!(windows.take(1, 10), Some(true));
        windows.set_initial(1 << 20);
        assert_eq!(windows.take(1, 65_525), Some(true));
        assert_eq!(windows.take(1, 1), Some(false));
    }

    #[test]
    fn closed_streams_take_nothing() {
        let mut windows = Windows::new();
        windows.open(1);
        windows.open(3);
        windows.close(1);
        assert_eq!(windows.take(1, 1), None);
        windows.close_all();
        assert_eq!(windows.take(3, 1), None);
    }
}

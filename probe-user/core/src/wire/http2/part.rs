//! What the frame parser gives.

/// A piece of what the frames say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing yet.
    Nothing,
    /// A complete header block.
    Headers {
        /// Stream; `None` for a promised one, whose block counts for the header table only.
        stream: Option<u32>,
        /// Whether the sender ends the stream with it.
        end_stream: bool,
        /// The block, padding removed.
        block: &'a [u8],
        /// How many of its last bytes are the last that were consumed of the current input.
        tail: usize,
    },
    /// A header block that cannot be read.
    HeadersLost {
        /// As in `Headers`.
        stream: Option<u32>,
        /// As in `Headers`.
        end_stream: bool,
    },
    /// The content of a DATA frame starts.
    DataStart {
        /// Stream.
        stream: u32,
        /// Bytes of content, padding removed.
        length: u32,
        /// Bytes that the frame takes from the windows: padding included (RFC 9113, 6.1).
        charge: u32,
    },
    /// Bytes of a stream, padding removed.
    Data {
        /// Stream.
        stream: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Missing bytes of a stream.
    DataHole {
        /// Stream.
        stream: u32,
        /// How many.
        length: u32,
    },
    /// An unknown number of a stream's bytes cannot be read.
    DataLost {
        /// Stream.
        stream: u32,
        /// As in `DataStart`.
        charge: u32,
    },
    /// A DATA frame that ends its sender's side of the stream is complete.
    EndStream {
        /// Stream.
        stream: u32,
    },
    /// `RST_STREAM`.
    Reset {
        /// Stream.
        stream: u32,
        /// Error code; `None` where it is missing.
        code: Option<u32>,
    },
    /// The sender decodes with a header table of this size in bytes.
    TableSize(u32),
    /// Streams begin with this window towards the sender, bytes.
    InitialWindow(u32),
    /// Settings that cannot be read.
    SettingsLost,
    /// `WINDOW_UPDATE`.
    WindowUpdate {
        /// Stream; 0 for the connection.
        stream: u32,
        /// Bytes that may be sent to the sender in addition; `None` where they are missing.
        bytes: Option<u32>,
    },
    /// GOAWAY.
    GoAway {
        /// Last stream that the sender has processed or will process.
        last_stream: u32,
    },
    /// The framing is lost.
    Lost(Loss),
}

/// Why the framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A frame header is missing.
    Hole,
    /// The connection does not start with the preface.
    BadPreface,
    /// A frame that no peer may send.
    BadFrame,
}

/// A run of input that was consumed, and what it brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes consumed; 0 where the part follows from what was consumed before.
    pub used: usize,
    /// Whether they are framing or header block, and never content. Of [`Part::Data`] the receiver
    /// decides.
    pub keep: bool,
    /// What they brought.
    pub part: Part<'a>,
}

//! What WebSocket connections said, as it was read off their bytes.
//!
//! These bytes must not be stored: they are audio and text, and a compressed message cannot be cut
//! down to its harmless part. So a capture holds what was read of them instead, and its replay takes
//! up there.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, KtimeNs, Side, TraceContext};

/// Something happened on a WebSocket connection (RFC 6455) of a watched process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketEvent {
    /// The connection.
    pub connection: ConnectionId,
    /// Which end of it the watched process is.
    pub side: Side,
    /// When: as [`Chunk::at`](super::Chunk::at) of the event's last byte.
    pub at: KtimeNs,
    /// What.
    pub what: WebSocketWhat,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebSocketWhat {
    /// The server switched protocols (RFC 6455, 4.2.2), or an upgraded connection was found.
    Upgraded {
        /// When the request's last byte moved; `None` when that was not seen.
        requested: Option<KtimeNs>,
    },
    /// A complete message, after its continuation frames.
    Message {
        /// The end that sent it.
        from: Side,
        /// What could be read of it.
        message: SocketMessage,
    },
    /// Messages that cannot be told because bytes are missing: an unknown number of them.
    MessagesLost {
        /// The end that sent them.
        from: Side,
    },
    /// A Close frame (RFC 6455, 5.5.1).
    Closing {
        /// The end that sent it.
        from: Side,
        /// Its status code (RFC 6455, 7.4); `None` where it has none or it cannot be read.
        code: Option<u16>,
        /// The close follows a ping that had no answer.
        keep_alive_timeout: bool,
    },
    /// The connection ended, or became unreadable for good.
    Ended(ConnectionEnd),
    /// The request that asked for the upgrade belongs to a trace. Follows `Upgraded`.
    Traced(TraceContext),
}

/// How a connection ended, as the watched process saw it. The first thing that ends it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConnectionEnd {
    /// The peer sent FIN.
    PeerClosed,
    /// RST came (`ECONNRESET`, `EPIPE`), or the connection timed out below.
    Reset,
    /// The process closed it.
    LocallyClosed,
    /// The process ended with the connection open.
    ProcessEnded,
    /// The bytes made no sense (RFC 6455, 7.1.7).
    ProtocolError,
    /// Nothing tells.
    Unknown,
}

/// What a message's first frame said it is (RFC 6455, 5.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketMessageForm {
    /// Text.
    Text,
    /// Binary.
    Binary,
    /// Its first frame was not seen.
    #[default]
    Unknown,
}

/// How far a message could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readability {
    /// To its end: what is absent was not there.
    Whole,
    /// Not to its end: what is absent may have been there.
    #[default]
    Partly,
}

/// What the profile could read of one message: members of a JSON object, by their role. Text is at
/// most [`SocketMessage::MAX_TEXT`] bytes; longer text is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketMessage {
    /// Text or binary.
    pub form: SocketMessageForm,
    /// Whether all of it was read.
    pub readability: Readability,
    /// The member that tells the type.
    pub kind: Option<String>,
    /// Session.
    pub session: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Last of its utterance.
    pub is_final: Option<bool>,
    /// Control command.
    pub command: Option<String>,
    /// Number of an audio message.
    pub sequence: Option<i64>,
    /// Milliseconds of audio.
    pub duration_ms: Option<i64>,
    /// Code of an error.
    pub code: Option<String>,
    /// Reason of an end.
    pub reason: Option<String>,
}

impl SocketMessage {
    /// Bytes of a member's text that are kept. Types, codes and ids are far shorter.
    pub const MAX_TEXT: usize = 256;
}

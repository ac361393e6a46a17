//! What an orchestrator and its clients say to each other over WebSocket.

use super::{Command, Id};
use crate::flow::Origin;
use crate::record::{ConnectionEnd, ConnectionId, KtimeNs, Side, Tgid, TraceContext};

/// Something happened on a WebSocket connection, as one watched process saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientEvent {
    /// The watched process.
    pub process: Tgid,
    /// Which end of the connection it is: the orchestrator is the server.
    pub side: Side,
    /// The connection. A WebSocket session lives on one.
    pub connection: ConnectionId,
    /// When: entry of the send or return of the receive that moved the last byte of it.
    pub at: KtimeNs,
    /// What.
    pub what: ClientWhat,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientWhat {
    /// The server switched protocols (status 101, RFC 6455, 4.2.2), or an upgraded connection was
    /// found that is older than the probe.
    Upgraded {
        /// When the request's last byte came; `None` when the connection was joined late.
        requested: Option<KtimeNs>,
    },
    /// A complete message, after its continuation frames.
    Message {
        /// Who sent it.
        origin: Origin,
        /// What it is.
        kind: MessageKind,
        /// What could be read of it.
        fields: ClientFields,
    },
    /// Messages that cannot be told because bytes are missing: an unknown number of them.
    MessagesLost {
        /// Whose.
        origin: Origin,
    },
    /// A Close frame (RFC 6455, 5.5.1).
    Closing {
        /// Who sent it.
        by: Origin,
        /// Its status code (RFC 6455, 7.4); `None` where it has none or it cannot be read.
        code: Option<u16>,
        /// The close follows a ping that had no answer: the peer was silent.
        keep_alive_timeout: bool,
    },
    /// The TCP connection ended, or its stream became unreadable for good.
    Ended(ConnectionEnd),
    /// The request that asked for the upgrade belongs to a trace. Follows `Upgraded`.
    Traced(TraceContext),
}

/// The part a message plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageKind {
    /// Server: a session began.
    SessionStarted,
    /// Server: audio.
    AudioFrame,
    /// Server: a session ended.
    SessionEnded,
    /// Server: an error.
    Error,
    /// Client: a session is asked for, in a message of its own.
    SessionStart,
    /// Client: text to speak.
    TextChunk,
    /// Client: a control command.
    Control,
    /// A message that the profile does not name.
    Other,
    /// It could not be read: compressed with a window that began before the probe, or lost bytes.
    Unknown,
}

impl MessageKind {
    /// As written in label `message_type`: the guide's names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStarted => "SessionStarted",
            Self::AudioFrame => "AudioFrame",
            Self::SessionEnded => "SessionEnded",
            Self::Error => "Error",
            Self::SessionStart => "SessionStart",
            Self::TextChunk => "TextChunk",
            Self::Control => "Control",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// Fields of a message. `None` when it has none or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientFields {
    /// Session.
    pub session: Option<Id>,
    /// Model asked for.
    pub model: Option<Id>,
    /// Whether it is the last of its utterance.
    pub is_final: Option<bool>,
    /// Control command.
    pub command: Option<Command>,
    /// Number of an audio message.
    pub sequence: Option<i64>,
    /// Milliseconds of audio.
    pub duration_ms: Option<i64>,
    /// Code of an error.
    pub code: Option<Id>,
    /// Reason of an end.
    pub reason: Option<Id>,
}

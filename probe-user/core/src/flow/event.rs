//! What a connection's exchanges say, in the order and at the times the watched process saw it.

use crate::profile::{FieldRole, MethodRole};
use crate::record::{ConnectionId, KtimeNs};

/// A gRPC call: one HTTP/2 stream of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Connection.
    pub connection: ConnectionId,
    /// HTTP/2 stream identifier (RFC 9113, 5.1.1).
    pub stream: u32,
}

/// What is known about a call's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A method of the profile.
    Known(MethodRole),
    /// The path was read, and the profile does not have it.
    Other,
    /// The path could not be read (header compression state from before the probe, or a gap).
    Unknown,
}

/// Who sent something within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The client: requests.
    Client,
    /// The server: responses.
    Server,
}

/// One event of a call. Times are as `record::Chunk::at`: entry of the send or return of the
/// receive that moved the event's last byte.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The client opened a call.
    CallStarted {
        /// Which.
        call: CallId,
        /// When.
        at: KtimeNs,
        /// Its method.
        method: Method,
    },
    /// One complete gRPC message.
    Message {
        /// Of which call.
        call: CallId,
        /// When its last byte crossed.
        at: KtimeNs,
        /// Who sent it.
        origin: Origin,
        /// What the profile can read of it.
        message: &'a Message,
    },
    /// Messages that cannot be told any more because bytes are missing.
    MessagesLost {
        /// Of which call.
        call: CallId,
        /// When.
        at: KtimeNs,
        /// Whose.
        origin: Origin,
    },
    /// The client will send no more messages.
    RequestsEnded {
        /// Of which call.
        call: CallId,
        /// When.
        at: KtimeNs,
    },
    /// The call is over.
    CallEnded {
        /// Which.
        call: CallId,
        /// When.
        at: KtimeNs,
        /// How.
        end: CallEnd,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// Trailers with this `grpc-status`; `None` when the trailers carry none or are unreadable.
    Status(Option<u32>),
    /// `RST_STREAM` with this error code (RFC 9113, 7).
    Reset {
        /// HTTP/2 error code.
        code: u32,
        /// Who sent it.
        by: Origin,
    },
    /// The server's GOAWAY said that it will not process this call.
    Refused,
    /// The connection ended first.
    ConnectionClosed,
    /// A gap took what would have told.
    Unknown,
}

/// What the profile could read of one gRPC message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Bytes of the message, without the five-byte prefix.
    pub length: u32,
    /// False when holes or damage (or compression) took fields: a field that is absent may have
    /// been there.
    pub intact: bool,
    /// Fields with a role, in wire order. Proto3 defaults are absent from the wire.
    pub fields: Vec<(FieldRole, Value)>,
}

impl Message {
    /// The last value of a field (proto3: the last one wins).
    pub fn field(&self, role: FieldRole) -> Option<&Value> {
        self.fields
            .iter()
            .rev()
            .find_map(|(r, value)| (*r == role).then_some(value))
    }

    /// An integer, enum or bool field.
    pub fn integer(&self, role: FieldRole) -> Option<i64> {
        match self.field(role) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A text field.
    pub fn text(&self, role: FieldRole) -> Option<&str> {
        match self.field(role) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// The length in bytes of a field whose content is never read.
    pub fn length_of(&self, role: FieldRole) -> Option<u32> {
        match self.field(role) {
            Some(Value::Length(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Integer, enum (its number) or bool (0, 1).
    Integer(i64),
    /// String, at most [`Value::MAX_TEXT`] bytes; a longer or non-UTF-8 one makes the message not
    /// intact and is left out.
    Text(String),
    /// Length in bytes of content that is never read (audio, text, remarks).
    Length(u32),
    /// An embedded message with role fields begins (repeated `ModelInfo`): groups what follows.
    Group,
    /// The embedded message ends.
    GroupEnd,
}

impl Value {
    /// Bytes of a string field that are kept. Session and model ids are far shorter.
    pub const MAX_TEXT: usize = 256;
}

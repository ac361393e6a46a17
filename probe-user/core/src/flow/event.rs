//! What a connection's exchanges say, in the order and at the times the watched process saw it.

use crate::profile::MethodRole;
use crate::record::{ConnectionId, KtimeNs, TraceContext};
use crate::wire::Message;

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
    /// The call says which trace it belongs to. Follows its start.
    Traced {
        /// Which.
        call: CallId,
        /// When.
        at: KtimeNs,
        /// The trace.
        context: TraceContext,
    },
    /// The method of an open call, unknown so far, was told by what it says and how. What it said
    /// before is not told again.
    MethodInferred {
        /// Which.
        call: CallId,
        /// When.
        at: KtimeNs,
        /// Its method.
        method: MethodRole,
    },
    /// The method of an open call was wrong: it is unknown again.
    MethodContradicted {
        /// Which.
        call: CallId,
        /// When.
        at: KtimeNs,
    },
    /// Another call, whose method is not known, may have been a command for what is streamed here.
    MaybeCommanded {
        /// The stream.
        call: CallId,
        /// When.
        at: KtimeNs,
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
    /// Messages that cannot be told because bytes are missing: an unknown number of them, from here
    /// until the next `Message` of this origin, if one comes.
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

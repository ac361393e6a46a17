//! Why sessions end.
//!
//! A Close of 1000 or 1001 is an orderly end whoever sends it. A client that sends none of them, or
//! whose connection ends without a Close, has left; a server that ends a session without an error is
//! done with it.

use crate::flow::Origin;
use crate::interpret::ConnectionEnd;

/// Label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    Normal,
    ClientDisconnect,
    Timeout,
    Error,
    Unknown,
}

impl EndReason {
    /// As written in labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ClientDisconnect => "client_disconnect",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Unknown => crate::metrics::UNKNOWN,
        }
    }

    /// The server ended it; `idle` when the session had been silent for as long as it may be.
    pub(super) fn by_server(idle: bool) -> Self {
        if idle { Self::Timeout } else { Self::Normal }
    }

    /// A Close frame (RFC 6455, 7.4).
    pub(super) fn of_close(by: Origin, code: Option<u16>, keep_alive: bool, idle: bool) -> Self {
        match (by, code) {
            _ if keep_alive => Self::Timeout,
            (_, Some(1002..=1015)) => Self::Error,
            (Origin::Client, Some(1000 | 1001)) => Self::Normal,
            (Origin::Client, _) => Self::ClientDisconnect,
            (Origin::Server, _) => Self::by_server(idle),
        }
    }

    /// The connection ended without a Close.
    pub(super) fn of_connection(end: ConnectionEnd, idle: bool) -> Self {
        match end {
            ConnectionEnd::PeerClosed | ConnectionEnd::Reset => Self::ClientDisconnect,
            ConnectionEnd::LocallyClosed => Self::by_server(idle),
            ConnectionEnd::ProcessEnded | ConnectionEnd::ProtocolError => Self::Error,
            ConnectionEnd::Unknown => Self::Unknown,
        }
    }

    /// A message says that the session ended, and why. Words other than these say nothing here.
    pub(super) fn of_message(reason: Option<&str>, idle: bool) -> Self {
        match reason.map(str::to_ascii_lowercase).as_deref() {
            Some("idle") => Self::Timeout,
            Some(reason) if reason.ends_with("timeout") => Self::Timeout,
            Some("error" | "internal_error") => Self::Error,
            Some("client_disconnect" | "disconnect") => Self::ClientDisconnect,
            _ => Self::by_server(idle),
        }
    }
}

//! What TCP counted on a connection.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, KtimeNs};

/// What TCP did on a worker's connection, each time that something was sent again, the receiver's window
/// was full, or bytes were on their way for most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpReading {
    /// Which connection.
    pub connection: ConnectionId,
    /// When it was read.
    pub at: KtimeNs,
    /// When it was read before.
    pub before: KtimeNs,
    /// Segments sent again since `before`.
    pub resent: u64,
    /// For how long the receiver's window was full since `before`, nanoseconds.
    pub window_full_ns: u64,
    /// For how long bytes were sent or waiting and not acknowledged since `before`, nanoseconds.
    pub unacknowledged_ns: u64,
}

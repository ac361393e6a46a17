//! What the socket peer says about one end of one connection.

use probe_core::record::{Address, Side};
use serde::{Deserialize, Serialize};

/// One end of one connection, and the bytes its process moved there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Whether it accepted or connected.
    pub side: Side,
    /// This end's address, where it tells connections apart.
    pub local: Option<Address>,
    /// The other end's address, where it tells connections apart.
    pub peer: Option<Address>,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

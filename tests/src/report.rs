//! What the peers of the kernel-side tests say about themselves.

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
    /// Bytes received beside them, by a call whose descriptor was another connection's by then.
    pub received_elsewhere: u64,
}

/// Name of the weights file in each model's folder.
pub const WEIGHTS: &str = "model.safetensors";

/// What the file peer says about one load, by its own monotonic clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileLoad {
    /// Folder of the model.
    pub model: String,
    /// Before its file was opened, nanoseconds.
    pub begun_ns: u64,
    /// When the last bytes were read, or unmapped, nanoseconds.
    pub ended_ns: u64,
}

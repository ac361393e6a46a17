//! The container image and the systemd unit.

mod engine;
mod image;
mod unit;

pub(crate) use engine::Engine;

/// Capabilities that the agent needs, as container engines write them. `host/privileges.rs` measures
/// that each is needed.
pub(crate) const CAPABILITIES: [&str; 4] = ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"];

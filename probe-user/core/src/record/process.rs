//! Facts about watched processes. The shell finds them (`/proc`, configuration); the core uses them.

use serde::{Deserialize, Serialize};

use super::KtimeNs;

/// Process (thread group) id in the host's pid namespace.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Tgid(pub u32);

/// What part a watched process plays in the voice system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Talks to clients, asks workers for speech.
    Orchestrator,
    /// Synthesises speech.
    Worker,
    /// A Redis server.
    Redis,
}

impl Role {
    /// As written in configuration, labels and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Worker => "worker",
            Self::Redis => "redis",
        }
    }
}

/// A watched process. A child that shares its parent's part has the parent's `name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which process.
    pub tgid: Tgid,
    /// Since when it is watched.
    pub at: KtimeNs,
    /// Its part.
    pub role: Role,
    /// Label `worker` of its metrics, e.g. `tts-cosy@0`.
    pub name: String,
    /// Label `adapter_type`; `unknown` when nothing tells it.
    pub adapter: String,
}

//! Kernel time.

use serde::{Deserialize, Serialize};

/// Nanoseconds of the kernel's monotonic clock (`bpf_ktime_get_ns`, `CLOCK_MONOTONIC`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct KtimeNs(pub u64);

impl KtimeNs {
    /// Nanoseconds since `earlier`; 0 when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> f64 {
        self.since(earlier) as f64 / 1e6
    }

    /// This time plus nanoseconds.
    #[must_use]
    pub fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

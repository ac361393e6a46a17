//! The kernel's monotonic clock, as `bpf_ktime_get_ns` reads it.

use probe_core::record::KtimeNs;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub fn now() -> KtimeNs {
    let time = clock_gettime(ClockId::Monotonic);
    KtimeNs(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

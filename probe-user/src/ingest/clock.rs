//! The kernel's monotonic clock, as `bpf_ktime_get_ns` reads it, and how it stands to the wall's.

use probe_core::record::KtimeNs;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub fn now() -> KtimeNs {
    let time = clock_gettime(ClockId::Monotonic);
    KtimeNs(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Unix time in nanoseconds and kernel time at one moment.
pub fn anchor() -> (u64, KtimeNs) {
    let unix = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    (unix, now())
}

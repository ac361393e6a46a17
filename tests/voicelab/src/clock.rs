//! `CLOCK_MONOTONIC` in nanoseconds: the clock of the kernel's `bpf_ktime_get_ns`, so that a
//! program's own stamps and the probe's compare without conversion.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::thread::{ClockId as SleepClockId, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds in one second.
const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds in one millisecond.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// The monotonic clock now, in nanoseconds since boot without suspend.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * NS_PER_S + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Milliseconds since the Unix epoch, for the one protocol field that carries wall-clock time.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Blocks the calling thread until the monotonic clock reaches `deadline_ns`.
pub(crate) fn block_until(deadline_ns: u64) -> io::Result<()> {
    let deadline = Timespec {
        tv_sec: (deadline_ns / NS_PER_S) as i64,
        tv_nsec: (deadline_ns % NS_PER_S) as i64,
    };
    loop {
        match clock_nanosleep_absolute(SleepClockId::Monotonic, &deadline) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_until_a_past_deadline_returns_at_once() {
        let before = monotonic_ns();
        block_until(before.saturating_sub(NS_PER_S)).unwrap();
        assert!(monotonic_ns() - before < NS_PER_S / 2);
    }

    #[test]
    fn block_until_a_deadline_never_returns_before_it() {
        let deadline = monotonic_ns() + 3 * NS_PER_MS;
        block_until(deadline).unwrap();
        assert!(monotonic_ns() >= deadline);
    }
}

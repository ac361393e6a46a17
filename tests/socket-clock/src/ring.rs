//! The last times that something happened, written by any thread.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Times kept: a second of a busy worker.
const LENGTH: usize = 2048;

/// The last [`LENGTH`] times; 0 stands for none.
pub(crate) struct Ring {
    times: [AtomicU64; LENGTH],
    next: AtomicUsize,
}

impl Ring {
    pub(crate) const fn new() -> Self {
        Self {
            times: [const { AtomicU64::new(0) }; LENGTH],
            next: AtomicUsize::new(0),
        }
    }

    /// It happened then.
    pub(crate) fn push(&self, at_ns: u64) {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % LENGTH;
        if let Some(time) = self.times.get(index) {
            time.store(at_ns, Ordering::Relaxed);
        }
    }

    /// The first time at or after another; 0 for none.
    pub(crate) fn first_since(&self, since_ns: u64) -> u64 {
        let since = self.times().filter(|at_ns| *at_ns >= since_ns);
        since.min().unwrap_or(0)
    }

    /// The last time until another; 0 for none.
    pub(crate) fn last_until(&self, until_ns: u64) -> u64 {
        let until = self.times().filter(|at_ns| *at_ns <= until_ns);
        until.max().unwrap_or(0)
    }

    fn times(&self) -> impl Iterator<Item = u64> + '_ {
        let times = self.times.iter().map(|time| time.load(Ordering::Relaxed));
        times.filter(|at_ns| *at_ns > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_from_either_side_until_they_are_overwritten() {
        let ring = Ring::new();
        assert_eq!((ring.first_since(1), ring.last_until(u64::MAX)), (0, 0));
        for at_ns in [10, 30, 20] {
            ring.push(at_ns);
        }
        assert_eq!(
            [10, 11, 21, 31].map(|ns| ring.first_since(ns)),
            [10, 20, 30, 0]
        );
        assert_eq!(
            [9, 10, 29, 99].map(|ns| ring.last_until(ns)),
            [0, 10, 20, 30]
        );
        for at_ns in 100..100 + LENGTH as u64 {
            ring.push(at_ns);
        }
        assert_eq!(ring.first_since(1), 100);
    }
}

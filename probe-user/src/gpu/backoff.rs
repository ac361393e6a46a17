//! Attempts at a growing interval.

use std::time::{Duration, Instant};

/// When the next attempt is due. The wait doubles with each attempt up to a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    wait: Duration,
    due: Option<Instant>,
}

impl Backoff {
    /// Due at once; after that first `first` apart, in the end `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            wait: first,
            due: None,
        }
    }

    /// Whether an attempt is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now >= due)
    }

    /// Time until an attempt is due.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.due
            .map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// Puts the next attempt off from `now`, longer than the last time.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.due = now.checked_add(self.wait);
        self.wait = self.wait.saturating_mul(2).min(self.longest);
    }

    /// Forgets the attempts made.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.first, self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_its_limit_and_starts_anew_after_reset() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 3 * second);
        let now = Instant::now();
        assert!(backoff.is_due(now));
        let mut waits = Vec::new();
        for _ in 0..4 {
            backoff.put_off(now);
            waits.push(backoff.left(now).as_secs());
        }
        assert_eq!(waits, [1, 2, 3, 3]);
        assert!(!backoff.is_due(now + 2 * second));
        assert!(backoff.is_due(now + 3 * second));
        backoff.reset();
        assert!(backoff.is_due(now));
        backoff.put_off(now);
        assert_eq!(backoff.left(now), second);
    }
}

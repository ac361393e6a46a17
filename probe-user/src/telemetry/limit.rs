//! How many lines of one kind the log is given: a storm of events must not flood it, nor go untold.

use std::collections::BTreeMap;

use probe_core::record::KtimeNs;

/// Nanoseconds that a count of lines is for.
const WINDOW_NS: u64 = 60_000_000_000;

/// Counts the lines of each kind.
#[derive(Debug)]
pub struct Limiter {
    /// Lines of one kind in one window.
    most: u32,
    kinds: BTreeMap<&'static str, Count>,
}

/// Lines of one kind.
#[derive(Debug)]
struct Count {
    since: KtimeNs,
    told: u32,
    left_out: u64,
}

/// Lines that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Of which kind.
    pub kind: &'static str,
    /// How many.
    pub lines: u64,
}

impl Limiter {
    /// At most this many lines of one kind in a minute.
    pub fn new(most: u32) -> Self {
        Self {
            most,
            kinds: BTreeMap::new(),
        }
    }

    /// Another bound from now on.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// Whether one more line may be written.
    pub fn admit(&mut self, kind: &'static str, now: KtimeNs) -> bool {
        let count = self.kinds.entry(kind).or_insert(Count {
            since: now,
            told: 0,
            left_out: 0,
        });
        let admitted = count.told < self.most;
        count.told += u32::from(admitted);
        count.left_out += u64::from(!admitted);
        admitted
    }

    /// More of a kind were left out elsewhere.
    pub fn add_left_out(&mut self, kind: &'static str, lines: u64, now: KtimeNs) {
        let count = self.kinds.entry(kind).or_insert(Count {
            since: now,
            told: 0,
            left_out: 0,
        });
        count.left_out += lines;
    }

    /// Time passed: gives what was left out in windows that are over.
    pub fn poll(&mut self, now: KtimeNs) -> Vec<LeftOut> {
        let is_over = |count: &Count| now.since(count.since) >= WINDOW_NS;
        let over = self.kinds.extract_if(.., |_, count| is_over(count));
        over.filter(|(_, count)| count.left_out > 0)
            .map(|(kind, count)| LeftOut {
                kind,
                lines: count.left_out,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: u64) -> KtimeNs {
        KtimeNs(at * 1_000_000_000)
    }

    #[test]
    fn storm_is_told_as_far_as_it_may_be_and_the_rest_is_counted() {
        let mut limiter = Limiter::new(3);
        let told = (0..1000).filter(|_| limiter.admit("violation", second(1)));
        assert_eq!(told.count(), 3);
        assert!(limiter.admit("session", second(2)), "each kind by itself");
        assert_eq!(limiter.poll(second(60)), []);
        let left_out = LeftOut {
            kind: "violation",
            lines: 997,
        };
        assert_eq!(limiter.poll(second(61)), [left_out]);
        assert_eq!(
            limiter.poll(second(200)),
            [],
            "told once, and nothing of the other kind"
        );
        assert!(limiter.admit("violation", second(200)));
    }
}

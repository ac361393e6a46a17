//! How long the intervals between frames were.

/// Nanoseconds of the finest step.
const UNIT_NS: u64 = 125_000;

/// Steps within each doubling: an interval is told to an eighth.
const STEPS: usize = 8;

/// Doublings: up to 65 s.
const DOUBLINGS: usize = 16;

/// Values there are steps for.
const VALUES: usize = STEPS * (DOUBLINGS + 1);

/// Counts of intervals by their length, each at the nearest of round values (… 18, 20, 22 ms …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals([u64; VALUES]);

impl Default for Intervals {
    fn default() -> Self {
        Self([0; VALUES])
    }
}

impl Intervals {
    pub(super) fn add(&mut self, ns: u64) {
        let units = ns / UNIT_NS;
        // Step of the value: 1 below two times `STEPS`, and twice that for each doubling above.
        let doubling = (units / STEPS as u64).max(1).ilog2() as usize;
        let step_ns = UNIT_NS << doubling;
        let nearest = ns.saturating_add(step_ns / 2) / step_ns;
        let index = (STEPS * doubling).saturating_add(usize::try_from(nearest).unwrap_or(VALUES));
        if let Some(count) = self.0.get_mut(index.min(VALUES - 1)) {
            *count += 1;
        }
    }

    /// Values in nanoseconds with the counts of intervals that are nearest to them, the shortest first;
    /// from the first that has any to the last.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let first = self.0.iter().position(|count| *count > 0);
        let last = self.0.iter().rposition(|count| *count > 0);
        let (Some(first), Some(last)) = (first, last) else {
            return Vec::new();
        };
        let counts = self.0.iter().enumerate().take(last + 1).skip(first);
        counts
            .map(|(index, count)| (value(index), *count))
            .collect()
    }
}

/// Nanoseconds of a step's value.
fn value(index: usize) -> u64 {
    let doubling = (index / STEPS).saturating_sub(1);
    let steps = index - STEPS * doubling;
    (UNIT_NS << doubling) * steps as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest_to(ms: f64) -> f64 {
        let mut intervals = Intervals::default();
        intervals.add((ms * 1e6) as u64);
        let counts = intervals.counts();
        assert_eq!(counts.len(), 1, "{ms}");
        counts.first().map_or(0.0, |(ns, _)| *ns as f64 / 1e6)
    }

    #[test]
    fn intervals_go_to_the_nearest_round_value() {
        for (ms, value) in [
            (0.0, 0.0),
            (0.1, 0.125),
            (1.99, 2.0),
            (19.2, 20.0),
            (20.0, 20.0),
            (20.9, 20.0),
            (21.1, 22.0),
            (31.5, 32.0),
            (61.0, 60.0),
            (312.0, 320.0),
            (100_000.0, 65_536.0 - 4_096.0),
        ] {
            assert!(
                (nearest_to(ms) - value).abs() < 1e-9,
                "{ms}: {}",
                nearest_to(ms)
            );
        }
    }

    #[test]
    fn every_value_is_its_own_nearest_and_they_grow() {
        let mut last = None;
        for index in 0..VALUES {
            let ns = value(index);
            assert!(last.is_none_or(|last| last < ns), "{index}");
            last = Some(ns);
            let mut intervals = Intervals::default();
            intervals.add(ns);
            assert_eq!(intervals.0.get(index), Some(&1), "{index}: {ns}");
        }
        let mut intervals = Intervals::default();
        intervals.add(u64::MAX);
        assert_eq!(intervals.0.last(), Some(&1));
    }
}

//! From single results to edges: a changed result counts once it has lasted.

use crate::record::{Debounce, KtimeNs, Sustained};

/// A settled change of an instance's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// To positive.
    Rising {
        /// The first positive result of the run that settled it.
        first: KtimeNs,
    },
    /// To negative.
    Falling,
}

/// The results of one instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debouncer {
    /// The settled result; `None` where it is unknown: the instance is older than the hook.
    settled: Option<bool>,
    /// The results since that are alike.
    run: Option<Run>,
    /// When the last result came.
    last: KtimeNs,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    positive: bool,
    first: KtimeNs,
    results: u32,
}

impl Debouncer {
    /// An instance before its first result at `at`. One that was seen to start is negative.
    pub(super) fn new(settled: Option<bool>, at: KtimeNs) -> Self {
        Self {
            settled,
            run: None,
            last: at,
        }
    }

    /// When the last result came.
    pub(super) fn last(&self) -> KtimeNs {
        self.last
    }

    /// The next result; the edge it settles, if it does. What settles an unknown state is none: the
    /// change may be long past.
    pub(super) fn handle(
        &mut self,
        positive: bool,
        at: KtimeNs,
        debounce: &Debounce,
    ) -> Option<Edge> {
        let is_cut = debounce.max_gap_ns > 0 && at.since(self.last) > debounce.max_gap_ns;
        self.last = self.last.max(at);
        let fresh = Run {
            positive,
            first: at,
            results: 0,
        };
        let mut run = self
            .run
            .filter(|run| run.positive == positive && !is_cut)
            .unwrap_or(fresh);
        run.results = run.results.saturating_add(1);
        self.run = Some(run);
        if self.settled == Some(positive) {
            return None;
        }
        let wanted = if positive {
            debounce.positive
        } else {
            debounce.negative
        };
        if !run.lasts(wanted, at) {
            return None;
        }
        let known = self.settled.replace(positive).is_some();
        known.then_some(if positive {
            Edge::Rising { first: run.first }
        } else {
            Edge::Falling
        })
    }
}

impl Run {
    fn lasts(&self, wanted: Sustained, at: KtimeNs) -> bool {
        self.results >= wanted.results && at.since(self.first) >= wanted.time_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn results(positive: u32, negative: u32) -> Debounce {
        let of = |results| Sustained {
            time_ns: 0,
            results,
        };
        Debounce {
            positive: of(positive),
            negative: of(negative),
            max_gap_ns: 0,
        }
    }

    /// Edges of a string of results 20 ms apart: `1`, `0`; with the times in milliseconds of the
    /// result that settled each and of the first of its run.
    fn edges(
        settled: Option<bool>,
        debounce: &Debounce,
        text: &str,
    ) -> Vec<(char, u64, Option<u64>)> {
        let mut debouncer = Debouncer::new(settled, KtimeNs(0));
        text.chars()
            .enumerate()
            .filter_map(|(index, result)| {
                let at = index as u64 * 20;
                match debouncer.handle(result == '1', KtimeNs(at * MS), debounce)? {
                    Edge::Rising { first } => Some(('r', at, Some(first.0 / MS))),
                    Edge::Falling => Some(('f', at, None)),
                }
            })
            .collect()
    }

    #[test]
    fn results_without_debounce_are_edges_at_once() {
        let seen = edges(Some(false), &results(0, 0), "0110");
        assert_eq!(seen, [('r', 20, Some(20)), ('f', 60, None)]);
    }

    #[test]
    fn run_too_short_is_no_edge_and_starts_anew() {
        let seen = edges(Some(false), &results(3, 2), "0110111101001");
        assert_eq!(seen, [('r', 120, Some(80)), ('f', 220, None)]);
    }

    #[test]
    fn time_counts_from_the_first_result_of_the_run() {
        let debounce = Debounce {
            positive: Sustained {
                time_ns: 60 * MS,
                results: 0,
            },
            negative: Sustained {
                time_ns: 41 * MS,
                results: 0,
            },
            max_gap_ns: 0,
        };
        let seen = edges(Some(false), &debounce, "1110111110000");
        assert_eq!(seen, [('r', 140, Some(80)), ('f', 240, None)]);
    }

    #[test]
    fn both_conditions_must_hold() {
        let mut debounce = results(5, 1);
        debounce.positive.time_ns = 20 * MS;
        let seen = edges(Some(false), &debounce, "1111111");
        assert_eq!(seen, [('r', 80, Some(0))]);
        debounce.positive.time_ns = 100 * MS;
        let seen = edges(Some(false), &debounce, "1111111");
        assert_eq!(seen, [('r', 100, Some(0))]);
    }

    #[test]
    fn unknown_state_settles_without_an_edge() {
        let seen = edges(None, &results(2, 2), "1110011");
        assert_eq!(seen, [('f', 80, None), ('r', 120, Some(100))]);
        let seen = edges(None, &results(2, 2), "0011");
        assert_eq!(seen, [('r', 60, Some(40))]);
    }

    #[test]
    fn results_far_apart_are_no_run() {
        let mut debounce = results(2, 1);
        debounce.max_gap_ns = 100 * MS;
        let mut debouncer = Debouncer::new(Some(false), KtimeNs(0));
        let mut handle = |ms: u64| debouncer.handle(true, KtimeNs(ms * MS), &debounce);
        assert_eq!(handle(10), None);
        assert_eq!(handle(111), None);
        let first = KtimeNs(111 * MS);
        assert_eq!(handle(211), Some(Edge::Rising { first }));
    }

    #[test]
    fn results_out_of_order_never_overflow() {
        let mut debounce = results(3, 1);
        debounce.positive.time_ns = u64::MAX;
        let mut debouncer = Debouncer::new(Some(false), KtimeNs(u64::MAX));
        for at in [u64::MAX, 0, 5, u64::MAX, 1] {
            assert_eq!(debouncer.handle(true, KtimeNs(at), &debounce), None);
        }
        assert_eq!(debouncer.last(), KtimeNs(u64::MAX));
    }
}

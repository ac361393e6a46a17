//! The table at the end of `test`, and its last line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::libtest::Tally;

/// One level's outcome.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    level: &'static str,
    passed: usize,
    failed: usize,
    skipped: usize,
    took: Duration,
    /// Tests that failed.
    failures: BTreeSet<String>,
    /// Reasons of the skips, each with how many tests gave it.
    reasons: BTreeMap<String, usize>,
}

impl Row {
    /// Puts together what the tests printed, what they wrote to the skip file and how the run ended.
    /// A run that failed without a failed test (it did not compile, or died) counts as one failure.
    pub(super) fn new(
        level: &'static str,
        tally: &Tally,
        written: &BTreeMap<String, String>,
        succeeded: bool,
        took: Duration,
    ) -> Self {
        // The test may name itself in the file without its module path.
        let mut skips: BTreeMap<&str, &str> = BTreeMap::new();
        for (test, reason) in written.iter().chain(&tally.skipped) {
            let name = test.rsplit("::").next().unwrap_or(test);
            skips.entry(name).or_insert(reason);
        }
        let mut reasons = BTreeMap::new();
        for reason in skips.values() {
            *reasons.entry((*reason).to_string()).or_default() += 1;
        }
        if tally.ignored > 0 {
            reasons.insert("ignored by their own attribute".to_string(), tally.ignored);
        }
        let failed = if succeeded {
            tally.failed
        } else {
            tally.failed.max(1)
        };
        Self {
            level,
            passed: tally.passed.saturating_sub(skips.len()),
            failed,
            skipped: skips.len() + tally.ignored,
            took,
            failures: tally.failures.clone(),
            reasons,
        }
    }
}

/// Every level that ran.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: Vec<Row>,
}

impl Summary {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether nothing failed.
    pub(super) fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.failed == 0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8} {:>7} {:>7} {:>8} {:>8}",
            "level", "passed", "failed", "skipped", "seconds"
        )?;
        for row in &self.rows {
            let Row {
                level,
                passed,
                failed,
                skipped,
                took,
                ..
            } = row;
            let seconds = took.as_secs_f64();
            writeln!(
                f,
                "{level:<8} {passed:>7} {failed:>7} {skipped:>8} {seconds:>8.1}"
            )?;
        }
        for row in &self.rows {
            for test in &row.failures {
                writeln!(f, "{}: failed: {test}", row.level)?;
            }
            for (reason, tests) in &row.reasons {
                writeln!(f, "{}: {tests} skipped: {reason}", row.level)?;
            }
        }
        let sum = |count: fn(&Row) -> usize| self.rows.iter().map(count).sum::<usize>();
        let (passed, failed) = (sum(|row| row.passed), sum(|row| row.failed));
        write!(
            f,
            "{passed} passed, {failed} failed, {} skipped",
            sum(|row| row.skipped)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(test, reason)| (test.to_string(), reason.to_string()))
            .collect()
    }

    #[test]
    fn skipped_test_counts_once_and_not_as_passed() {
        let tally = Tally {
            passed: 5,
            skipped: map(&[("attach::sees", "needs root"), ("other", "no BTF")]),
            ..Tally::default()
        };
        let row = Row::new(
            "host",
            &tally,
            &map(&[("sees", "needs root")]),
            true,
            Duration::ZERO,
        );
        assert_eq!((row.passed, row.failed, row.skipped), (3, 0, 2));
    }

    #[test]
    fn run_that_did_not_compile_is_a_failure() {
        let row = Row::new("unit", &Tally::default(), &map(&[]), false, Duration::ZERO);
        assert_eq!((row.passed, row.failed), (0, 1));
        let mut summary = Summary::default();
        summary.add(row);
        assert!(!summary.passed());
    }

    #[test]
    fn failed_tests_are_not_counted_twice() {
        let tally = Tally {
            passed: 1,
            failed: 2,
            ..Tally::default()
        };
        assert_eq!(
            Row::new("unit", &tally, &map(&[]), false, Duration::ZERO).failed,
            2
        );
    }

    #[test]
    fn ignored_test_counts_as_skipped() {
        let tally = Tally {
            passed: 1,
            ignored: 1,
            ..Tally::default()
        };
        let row = Row::new("unit", &tally, &map(&[]), true, Duration::ZERO);
        assert_eq!((row.passed, row.skipped), (1, 1));
    }

    #[test]
    fn last_line_is_the_plain_sum() {
        let mut summary = Summary::default();
        for (level, passed, ignored) in [("unit", 90, 1), ("host", 12, 0)] {
            let tally = Tally {
                passed,
                ignored,
                ..Tally::default()
            };
            summary.add(Row::new(
                level,
                &tally,
                &map(&[]),
                true,
                Duration::from_secs(2),
            ));
        }
        let tally = Tally {
            failed: 1,
            failures: BTreeSet::from(["hooks::late".to_string()]),
            ..Tally::default()
        };
        summary.add(Row::new("compat", &tally, &map(&[]), false, Duration::ZERO));
        let text = summary.to_string();
        assert_eq!(text.lines().last(), Some("102 passed, 1 failed, 1 skipped"));
        assert!(text.contains("compat: failed: hooks::late"), "{text}");
        assert!(
            text.contains("unit: 1 skipped: ignored by their own attribute"),
            "{text}"
        );
    }
}

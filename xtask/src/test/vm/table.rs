//! What ran where, as a table and as a row of the summary.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::matrix::Cell;
use crate::test::libtest::Tally;
use crate::test::summary::Row;

/// What became of one cell.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Tests ran.
    Ran {
        /// The kernel's full version.
        release: String,
        tally: Tally,
        /// Why less than exactness is asked for.
        reason: Option<&'static str>,
    },
    /// The agent refused to run, as expected.
    Refused(String),
    /// The agent chose by itself, as expected.
    Taken(String),
    /// Cannot run here.
    Skipped(String),
    /// Something that is none of these.
    Broken(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran {
                release,
                tally,
                reason,
            } => {
                write!(f, "{} passed", tally.passed - tally.skipped.len())?;
                if tally.failed > 0 {
                    write!(f, ", {} FAILED", tally.failed)?;
                }
                write!(f, " on {release}")?;
                reason.map_or(Ok(()), |reason| write!(f, " ({reason})"))
            }
            Self::Refused(why) => write!(f, "refused as expected, {why}"),
            Self::Taken(what) => write!(f, "takes {what}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
            Self::Broken(why) => write!(f, "FAILED: {why}"),
        }
    }
}

/// Every cell with its outcome.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(&'static Cell, Outcome)>,
}

impl Table {
    pub(super) fn add(&mut self, cell: &'static Cell, outcome: Outcome) {
        self.rows.push((cell, outcome));
    }

    /// All cells as one level. A refusal or a choice that was expected counts as one test.
    pub(super) fn row(&self, took: Duration) -> Row {
        let mut sum = Tally::default();
        for (cell, outcome) in &self.rows {
            match outcome {
                Outcome::Ran { tally, .. } => {
                    sum.passed += tally.passed;
                    sum.failed += tally.failed;
                    sum.ignored += tally.ignored;
                    let named = |test: &str| format!("{test} on {cell}");
                    let failures = tally.failures.iter().map(|test| named(test));
                    sum.failures.extend(failures);
                    let skipped = tally.skipped.iter();
                    sum.skipped
                        .extend(skipped.map(|(test, why)| (named(test), why.clone())));
                }
                Outcome::Refused(_) | Outcome::Taken(_) => sum.passed += 1,
                Outcome::Skipped(why) => {
                    // As a test that passes and says why it did nothing.
                    sum.passed += 1;
                    sum.skipped.insert(cell.to_string(), why.clone());
                }
                Outcome::Broken(_) => {
                    sum.failed += 1;
                    sum.failures.insert(cell.to_string());
                }
            }
        }
        Row::new("vm", &sum, &BTreeMap::new(), sum.failed == 0, took)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<7} {:<12} result", "kernel", "hooks")?;
        for (cell, outcome) in &self.rows {
            let kernel = cell.kernel.name();
            writeln!(f, "{kernel:<7} {:<12} {outcome}", cell.hooks)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::CELLS;
    use super::*;

    fn ran(passed: usize, failures: &[&str]) -> Outcome {
        Outcome::Ran {
            release: "6.1.0".to_string(),
            tally: Tally {
                passed,
                failed: failures.len(),
                failures: failures.iter().map(|name| (*name).to_string()).collect(),
                ..Tally::default()
            },
            reason: None,
        }
    }

    fn table(outcomes: [Outcome; 3]) -> Table {
        let mut table = Table::default();
        for (cell, outcome) in CELLS.iter().zip(outcomes) {
            table.add(cell, outcome);
        }
        table
    }

    #[test]
    fn cells_are_summed_and_failures_name_their_kernel() {
        let sum = table([
            ran(3, &["processes::stdio"]),
            Outcome::Refused("by 5.10".to_string()),
            Outcome::Skipped("no qemu".to_string()),
        ]);
        let mut summary = crate::test::summary::Summary::default();
        summary.add(sum.row(Duration::ZERO));
        let text = summary.to_string();
        assert!(text.ends_with("4 passed, 1 failed, 1 skipped"), "{text}");
        assert!(
            text.contains("vm: failed: processes::stdio on 5.10 fentry"),
            "{text}"
        );
        assert!(text.contains("vm: 1 skipped: no qemu"), "{text}");
    }

    #[test]
    fn machine_that_broke_is_a_failure() {
        let sum = table([
            ran(3, &[]),
            ran(3, &[]),
            Outcome::Broken("panic".to_string()),
        ]);
        let mut summary = crate::test::summary::Summary::default();
        summary.add(sum.row(Duration::ZERO));
        assert!(!summary.passed());
    }
}

//! Reads what `cargo test -- --show-output` prints.

use std::collections::{BTreeMap, BTreeSet};

/// Counts over every test binary of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Passed, skipped ones included.
    pub(super) passed: usize,
    /// Failed.
    pub(super) failed: usize,
    /// Not run, by their own attribute.
    pub(super) ignored: usize,
    /// Tests that printed why they did nothing: name → reason.
    pub(super) skipped: BTreeMap<String, String>,
    /// Tests that failed.
    pub(super) failures: BTreeSet<String>,
    /// The test whose output is being read.
    pub(super) shown: Option<String>,
}

impl Tally {
    /// Takes the next line.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.shown = None;
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
        } else if let Some(name) = output_heading(line) {
            self.shown = Some(name.to_string());
        } else if let Some(name) = failed(line) {
            self.failures.insert(name.to_string());
        } else if let (Some(name), Some(reason)) = (&self.shown, line.strip_prefix("skipped: ")) {
            self.skipped
                .entry(name.clone())
                .or_insert_with(|| reason.trim().to_string());
        } else if matches!(line, "successes:" | "failures:") {
            self.shown = None;
        }
    }
}

/// `---- NAME stdout ----`, above the output of a test.
fn output_heading(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// `test NAME ... FAILED`.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The number right before a word, as in `ok. 3 passed; 0 failed`; 0 where the word is absent.
fn number_before(text: &str, word: &str) -> usize {
    text.split_once(word)
        .and_then(|(before, _)| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        for line in text.lines() {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn results_of_several_binaries_are_summed() {
        let tally = tally(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
        );
        assert_eq!((tally.passed, tally.failed, tally.ignored), (15, 2, 1));
    }

    #[test]
    fn reason_of_a_skip_is_kept_with_its_test() {
        let tally = tally(
            "running 2 tests\n\
             test attach::sees_frames ... ok\n\
             test nvml::agrees ... ok\n\
             \n\
             successes:\n\
             \n\
             ---- nvml::agrees stdout ----\n\
             reading\n\
             skipped: nvidia-ml-py is not installed\n\
             \n\
             \n\
             successes:\n    attach::sees_frames\n    nvml::agrees\n\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        );
        assert_eq!(tally.passed, 2);
        let reason = tally.skipped.get("nvml::agrees").map(String::as_str);
        assert_eq!(reason, Some("nvidia-ml-py is not installed"));
        assert_eq!(tally.skipped.len(), 1);
    }

    #[test]
    fn failed_tests_are_named() {
        let tally = tally("test hooks::late ... FAILED\ntest hooks::early ... ok\n");
        assert_eq!(Vec::from_iter(tally.failures), ["hooks::late"]);
    }

    #[test]
    fn words_outside_of_a_test_count_nothing() {
        let tally = tally("skipped: nothing\nerror: 7 passed\ntest result: broken\n");
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn test_that_prints_two_reasons_is_skipped_once() {
        let tally = tally("---- a stdout ----\nskipped: one\nskipped: two\n");
        assert_eq!(tally.skipped.get("a").map(String::as_str), Some("one"));
    }
}

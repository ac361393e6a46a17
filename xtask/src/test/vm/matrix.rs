//! Which kernel runs what, and what is expected there.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use super::folder_of;
use super::image::{AGENT, TESTS, VOICELAB};
use super::kernel::{Kernel, Series};
use super::machine::{End, Machine};
use super::table::Outcome;
use crate::test::libtest::Tally;

/// Tests that have to pass on every kernel alike: each way to use a socket and to hand one on, and a
/// voice system whose every frame, session and command is counted.
const WHOLE: [&str; 3] = ["kernel_side::", "processes::", "exact_counts::"];

/// Those of them that a kernel is most likely to do otherwise: every call, `io_uring`, unix sockets, IPv6, other
/// network namespaces, descriptors and processes.
const SHORT: [&str; 7] = [
    "kernel_side::every_call",
    "kernel_side::what_io_uring_moves",
    "kernel_side::unix_sockets",
    "kernel_side::addresses_of_dual_stack",
    "kernel_side::sockets_of_another_network",
    "kernel_side::duplicated_descriptor",
    "processes::child_that_is_forked",
];

/// How much runs where everything has to be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::test) enum Depth {
    Whole,
    /// What there is time for beside every other test.
    Short,
}

/// The test of kernels on which calls may be missed.
const COUNTED: [&str; 1] = ["losses::calls_that_were_not_seen_are_counted"];

/// Kernels that preempt the programs of trampolines (Debian's from 6.13 on), and from 7.2 on those of tracepoints
/// (`trace_call_bpf_faultable`) and the agent inside a map, and skip a program of the same CPU meanwhile.
const SKIPS: &str = "the kernel preempts these programs and skips some: nothing can be exact, every skip \
                     is counted";

/// What the agent says where the kernel has no tracepoints of sockets.
const NO_SOCKETS: &str = "use Linux 6.3 or newer";

/// What it says where such a tracepoint's program may be skipped.
const PREEMPTS: &str = "preempts the programs of tracepoints and skips some (from 7.2 on)";

/// What it says of the way that it takes by itself.
const FENTRY: &str = "fentry, the first that works here";
const SOCKETS: &str = "sockets, the first that works here";
const KPROBE: &str = "kprobe, the first that works here";

/// One way to see sockets on one kernel.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) kernel: Series,
    /// As `voxprobe run --hooks` takes it.
    pub(super) hooks: &'static str,
    pub(super) expected: Expected,
}

/// What has to happen.
#[derive(Debug)]
pub(super) enum Expected {
    /// Every byte, name and count is right and nothing is lost.
    Exact,
    /// What is missing is counted as lost; the reason why something is.
    Counted(&'static str),
    /// The agent does not start, and says this.
    Refused(&'static str),
    /// `voxprobe check` says this of the way that it takes by itself.
    Taken(&'static str),
}

const fn cell(kernel: Series, hooks: &'static str, expected: Expected) -> Cell {
    Cell {
        kernel,
        hooks,
        expected,
    }
}

/// The matrix.
pub(super) const CELLS: [Cell; 30] = [
    cell(Series::V5_10, "fentry", Expected::Exact),
    cell(Series::V5_10, "sockets", Expected::Refused(NO_SOCKETS)),
    cell(Series::V5_10, "kprobe", Expected::Exact),
    cell(Series::V5_10, "tracepoints", Expected::Exact),
    cell(Series::V5_10, "raw", Expected::Exact),
    cell(Series::V5_10, "auto", Expected::Taken(FENTRY)),
    cell(Series::V6_1, "fentry", Expected::Exact),
    cell(Series::V6_1, "sockets", Expected::Refused(NO_SOCKETS)),
    cell(Series::V6_1, "kprobe", Expected::Exact),
    cell(Series::V6_1, "tracepoints", Expected::Exact),
    cell(Series::V6_1, "raw", Expected::Exact),
    cell(Series::V6_1, "auto", Expected::Taken(FENTRY)),
    cell(Series::V6_12, "fentry", Expected::Exact),
    cell(Series::V6_12, "sockets", Expected::Exact),
    cell(Series::V6_12, "kprobe", Expected::Exact),
    cell(Series::V6_12, "tracepoints", Expected::Exact),
    cell(Series::V6_12, "raw", Expected::Exact),
    cell(Series::V6_12, "auto", Expected::Taken(FENTRY)),
    cell(Series::V6_18, "fentry", Expected::Counted(SKIPS)),
    cell(Series::V6_18, "sockets", Expected::Exact),
    cell(Series::V6_18, "kprobe", Expected::Exact),
    cell(Series::V6_18, "tracepoints", Expected::Exact),
    cell(Series::V6_18, "raw", Expected::Exact),
    cell(Series::V6_18, "auto", Expected::Taken(SOCKETS)),
    cell(Series::V7_3, "fentry", Expected::Counted(SKIPS)),
    cell(Series::V7_3, "sockets", Expected::Refused(PREEMPTS)),
    cell(Series::V7_3, "kprobe", Expected::Counted(SKIPS)),
    cell(Series::V7_3, "tracepoints", Expected::Counted(SKIPS)),
    cell(Series::V7_3, "raw", Expected::Counted(SKIPS)),
    cell(Series::V7_3, "auto", Expected::Taken(KPROBE)),
];

/// Kernels of the matrix, each once.
pub(super) fn series() -> Vec<Series> {
    let mut series: Vec<Series> = CELLS.iter().map(|cell| cell.kernel).collect();
    series.dedup();
    series
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kernel.name(), self.hooks)
    }
}

impl Cell {
    /// Boots the kernel and holds what happens against what is expected.
    pub(super) fn run(&self, depth: Depth, machine: &Machine, kernel: &Kernel) -> Result<Outcome> {
        let command = self.command(depth);
        let folder = folder_of(machine, &format!("{}-{}", self.kernel.name(), self.hooks));
        let environment = [
            ("VOXPROBE_HOOKS", self.hooks),
            ("VOXPROBE_BIN", AGENT),
            ("VOXPROBE_VOICELAB", VOICELAB),
        ];
        let end = machine.run(kernel, &environment, &command, &folder)?;
        let outcome = self.judge(kernel, &end, &folder);
        println!("vm {self}: {outcome} ({:.0} s)", end.took.as_secs_f64());
        Ok(outcome)
    }

    fn command(&self, depth: Depth) -> Vec<&str> {
        let tests = |names: &[&'static str]| {
            let mut command = vec![TESTS, "--test-threads=1", "--show-output"];
            command.extend(names);
            command
        };
        match self.expected {
            Expected::Exact => match depth {
                Depth::Whole => tests(&WHOLE),
                Depth::Short => tests(&SHORT),
            },
            Expected::Counted(_) => tests(&COUNTED),
            Expected::Refused(_) | Expected::Taken(_) => {
                vec![AGENT, "check", "--hooks", self.hooks]
            }
        }
    }

    fn judge(&self, kernel: &Kernel, end: &End, folder: &Path) -> Outcome {
        let Some(status) = end.status else {
            let said = end.output.lines().last().unwrap_or_default();
            return Outcome::Broken(format!(
                "the machine did not come to an end; last line `{said}`; see {}",
                folder.display()
            ));
        };
        let mut tally = Tally::default();
        end.output.lines().for_each(|line| tally.read(line));
        let reason = match self.expected {
            Expected::Exact => None,
            Expected::Counted(reason) => Some(reason),
            Expected::Refused(reason) => {
                return if status != 0 && end.output.contains(reason) {
                    Outcome::Refused(format!("by {}: {reason}", kernel.release))
                } else {
                    Outcome::Broken(format!("not refused; see {}", folder.display()))
                };
            }
            Expected::Taken(what) => {
                return if end.output.contains(what) {
                    Outcome::Taken(format!("{what}: {}", kernel.release))
                } else {
                    Outcome::Broken(format!("not `{what}`; see {}", folder.display()))
                };
            }
        };
        if tally.passed + tally.failed == 0 || (status != 0 && tally.failed == 0) {
            return Outcome::Broken(format!("no test ended; see {}", folder.display()));
        }
        Outcome::Ran {
            release: kernel.release.clone(),
            tally,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kernel() -> Kernel {
        Kernel {
            release: "6.1.0".to_string(),
            image: "vmlinuz".into(),
        }
    }

    fn end(status: Option<i32>, output: &str) -> End {
        End {
            status,
            output: output.to_string(),
            took: Duration::ZERO,
        }
    }

    fn judged(expected: Expected, status: Option<i32>, output: &str) -> Outcome {
        let cell = cell(Series::V6_1, "raw", expected);
        cell.judge(&kernel(), &end(status, output), Path::new("runs"))
    }

    #[test]
    fn machine_without_a_status_is_broken_whatever_it_said() {
        let text = "test result: ok. 3 passed; 0 failed; 0 ignored";
        let outcome = judged(Expected::Exact, None, text);
        assert!(matches!(outcome, Outcome::Broken(_)), "{outcome}");
    }

    #[test]
    fn tests_that_died_do_not_pass() {
        for text in ["", "test result: ok. 3 passed; 0 failed; 0 ignored"] {
            let outcome = judged(Expected::Exact, Some(139), text);
            assert!(matches!(outcome, Outcome::Broken(_)), "{outcome}");
        }
    }

    #[test]
    fn refusal_needs_the_reason_and_the_status() {
        let expected = || Expected::Refused(NO_SOCKETS);
        assert!(matches!(
            judged(expected(), Some(1), NO_SOCKETS),
            Outcome::Refused(_)
        ));
        assert!(matches!(
            judged(expected(), Some(0), NO_SOCKETS),
            Outcome::Broken(_)
        ));
        assert!(matches!(
            judged(expected(), Some(1), "no root"),
            Outcome::Broken(_)
        ));
    }

    #[test]
    fn way_that_is_taken_is_told() {
        let expected = || Expected::Taken(FENTRY);
        let said = format!("hooks active {FENTRY}; 8 programs");
        let outcome = judged(expected(), Some(1), &said);
        assert!(matches!(outcome, Outcome::Taken(_)), "{outcome}");
        let outcome = judged(expected(), Some(0), "hooks active raw, the first");
        assert!(matches!(outcome, Outcome::Broken(_)), "{outcome}");
    }

    #[test]
    fn every_kernel_is_in_the_matrix_once_for_each_way() {
        for series in series() {
            let ways: Vec<&str> = CELLS
                .iter()
                .filter(|cell| cell.kernel == series)
                .map(|cell| cell.hooks)
                .collect();
            let name = series.name();
            let all = ["fentry", "sockets", "kprobe", "tracepoints", "raw", "auto"];
            assert_eq!(ways, all, "{name}");
        }
    }
}

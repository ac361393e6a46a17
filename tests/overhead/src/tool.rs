//! Other tools that tell of a process's writes, on the same process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::machine::Refused;
use crate::process::Process;

/// Time to attach: bpftrace compiles its script first.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// Time to attach for a tool that does not say when it has.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Gaps between the writes on each descriptor, and how many writes there were.
const GAPS: &str = "
tracepoint:syscalls:sys_enter_write /pid == $1/ {
  if (@end[args->fd]) { @gap_us[args->fd] = hist((nsecs - @end[args->fd]) / 1000); }
  @fd[tid] = args->fd;
}
tracepoint:syscalls:sys_exit_write /pid == $1/ {
  @end[@fd[tid]] = nsecs;
  @writes = count();
}
interval:ms:100 /!@attached/ { @attached = 1; printf(\"attached\\n\"); }
";

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A script that computes the gaps between writes, by descriptor.
    Bpftrace,
    /// `perf trace --summary`.
    Perf,
    /// `strace -c`.
    Strace,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Bpftrace, Self::Perf, Self::Strace];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bpftrace => "bpftrace",
            Self::Perf => "perf trace -s",
            Self::Strace => "strace -c",
        }
    }

    /// Its program, and Debian's package that has it.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Bpftrace => ("bpftrace", "bpftrace"),
            Self::Perf => ("perf", "linux-perf"),
            Self::Strace => ("strace", "strace"),
        }
    }

    fn arguments(self, pid: u32) -> Vec<String> {
        let pid = pid.to_string();
        let words: &[&str] = match self {
            Self::Bpftrace => &["-B", "none", "-e", GAPS, &pid],
            Self::Perf => &["trace", "-s", "-p", &pid],
            Self::Strace => &["-c", "-f", "-p", &pid],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What it says when it is attached; `None` when it says nothing.
    fn says(self) -> Option<&'static str> {
        match self {
            Self::Bpftrace | Self::Strace => Some("attached"),
            Self::Perf => None,
        }
    }

    /// The count of writes in what it printed.
    fn writes(self, printed: &str) -> Option<f64> {
        let mut rows = printed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.find_map(|row| match (self, row.as_slice()) {
            (Self::Bpftrace, ["@writes:", count])
            | (Self::Perf, ["write", count, ..])
            | (Self::Strace, [_, _, _, count, .., "write"]) => count.parse().ok(),
            _ => None,
        })
    }

    /// Attaches it to a process.
    pub(crate) fn start(self, directory: &Path, pid: u32) -> Result<Result<Running, Refused>> {
        let printed = directory.join("tool.txt");
        let output = File::create(&printed).context("create the tool's output")?;
        let (program, package) = self.program();
        let mut command = Command::new(program);
        command
            .args(self.arguments(pid))
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("share the tool's output")?)
            .stderr(output);
        let started = Instant::now();
        let Ok(mut process) = Process::start(&mut command) else {
            let reason = format!("{program} cannot be run: install the package {package}");
            return Ok(Err(Refused(reason)));
        };
        loop {
            let text = read(&printed);
            if process.ended()?.is_some() {
                return Ok(Err(Refused(complaint(&text))));
            }
            let is_ready = match self.says() {
                Some(words) => text.contains(words),
                None => started.elapsed() >= SETTLE,
            };
            if is_ready {
                return Ok(Ok(Running {
                    tool: self,
                    process,
                    printed,
                    ready_after: started.elapsed(),
                }));
            }
            if started.elapsed() >= READY_LIMIT {
                return Ok(Err(Refused(complaint(&text))));
            }
            thread::sleep(POLL);
        }
    }
}

/// An attached tool.
#[derive(Debug)]
pub(crate) struct Running {
    tool: Tool,
    process: Process,
    printed: PathBuf,
    /// From its start until it was attached.
    pub(crate) ready_after: Duration,
}

impl Running {
    /// Detaches it: how long that took, and how many writes it says there were.
    pub(crate) fn stop(mut self) -> (Duration, f64) {
        let took = self.process.stop_by(Signal::INT);
        let writes = self.tool.writes(&read(&self.printed));
        (took, writes.unwrap_or(0.0))
    }
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The line that says what is wrong: the last error, else the last line.
fn complaint(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.contains("rror") || line.contains("ERROR"));
    error
        .or_else(|| lines().next_back())
        .unwrap_or("it says nothing")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_as_each_tool_prints_them() {
        let bpftrace = "attached\n\n@gap_us[5]:\n[1]    4 |@@|\n@writes: 5376\n";
        assert_eq!(Tool::Bpftrace.writes(bpftrace), Some(5376.0));
        let perf = "   read    12   0   1.0\n   write   5376      0    72.4     0.1\n";
        assert_eq!(Tool::Perf.writes(perf), Some(5376.0));
        let strace = " 80.00    0.000111    9   5376        write\n 20.0 0.1 9 3 1 read\n";
        assert_eq!(Tool::Strace.writes(strace), Some(5376.0));
        assert_eq!(Tool::Strace.writes("nothing"), None);
    }

    #[test]
    fn complaint_is_the_last_error() {
        let text = "ERROR: first\nERROR: no such tracepoint\nscript\n~~~~~\n";
        assert_eq!(complaint(text), "ERROR: no such tracepoint");
        assert_eq!(complaint("one\ntwo\n\n"), "two");
    }
}

//! A process that ends when its owner does.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// How long a process may take to end after it is asked to; then it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Between two looks at a process or its output.
const POLL: Duration = Duration::from_millis(20);
/// Most characters of a log line that are shown.
const SHOWN_CHARACTERS: usize = 400;

/// A running process, its output in two files. Dropping it ends the process; so does the end of this
/// program, however it comes.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with `NAME.out` and `NAME.log` in `directory`.
    pub(super) fn start(name: &str, command: &mut Command, directory: &Path) -> Result<Self> {
        let output = directory.join(format!("{name}.out"));
        let log = directory.join(format!("{name}.log"));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        command
            .stdin(Stdio::null())
            .stdout(create(&output)?)
            .stderr(create(&log)?);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor
        // takes a lock.
        unsafe {
            command.pre_exec(move || die_with(parent));
        }
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self {
            name: name.to_string(),
            child,
            output,
            log,
        })
    }

    /// Process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("look at {}", self.name))
    }

    /// The last thing it wrote to its log; empty when there is none.
    pub(super) fn last_word(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        line.unwrap_or_default()
            .chars()
            .take(SHOWN_CHARACTERS)
            .collect()
    }

    /// Waits for a line of output that begins with `start`; gives what follows it.
    pub(super) fn wait_for_line(&mut self, start: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let text = fs::read(&self.output).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // A line without its end is still being written.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(start)) {
                return Ok(rest.trim().to_string());
            }
            if let Some(status) = self.ended()? {
                bail!("{} ended with {status}: {}", self.name, self.last_word());
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not print `{start}…` within {} s",
                    self.name,
                    limit.as_secs()
                );
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = Instant::now() + GRACE;
        while asked && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL);
        }
        // Both fail only for a process that is gone.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks the kernel to end this process with its parent, and checks that the parent is still there:
/// one that ended before the request would never be noticed.
fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::ErrorKind::NotConnected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script]), directory).expect("start")
    }

    #[test]
    fn dropped_process_is_gone() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let process = shell("exec sleep 60", directory.path());
        let proc = PathBuf::from(format!("/proc/{}", process.pid()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }

    #[test]
    fn announced_line_is_found() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut process = shell(
            "echo first; echo listening 4711; exec sleep 60",
            directory.path(),
        );
        let port = process.wait_for_line("listening ", Duration::from_secs(5));
        assert_eq!(port.expect("line"), "4711");
    }

    #[test]
    fn process_that_ends_early_is_reported_with_its_last_word() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut process = shell("echo the port is busy >&2; exit 2", directory.path());
        let error = process
            .wait_for_line("listening ", Duration::from_secs(5))
            .expect_err("ended");
        let text = error.to_string();
        assert!(
            text.contains("exit status: 2") && text.contains("the port is busy"),
            "{text}"
        );
    }
}

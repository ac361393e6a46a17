//! A process that ends when its owner does.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};

/// How long a process may take to end after it is asked to; then it is killed. Taking the probe's
/// programs out of the kernel is the slowest of them, at some seconds.
const GRACE: Duration = Duration::from_secs(20);
/// Between two looks at a process.
const POLL: Duration = Duration::from_millis(5);

/// A running process. Dropping it ends the process; so does the end of this program, however it
/// comes.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let parent = getpid();
        // SAFETY: between fork and exec the closure makes two system calls and neither allocates
        // nor takes a lock.
        unsafe {
            command.pre_exec(move || die_with(parent));
        }
        let child = command
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Standard input and output, where they are pipes; once.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.0.stdin.take()?, self.0.stdout.take()?))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_wait().context("look at a process")
    }

    /// Asks it to end and waits until it has; how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        self.stop_by(Signal::TERM)
    }

    /// The same with another signal.
    pub(crate) fn stop_by(&mut self, signal: Signal) -> Duration {
        let started = Instant::now();
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // A process that is gone cannot be asked.
        let asked = pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
        while asked && started.elapsed() < GRACE {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return started.elapsed();
            }
            thread::sleep(POLL);
        }
        // Both fail only for a process that is gone.
        drop(self.0.kill());
        drop(self.0.wait());
        started.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            self.stop();
        }
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

//! The worker, and the switch for its faults.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{MODELS, START_LIMIT, expect_running};
use crate::demo::process::Process;
use crate::demo::scenario::RESIDENT_CAP;
use crate::step;

/// Label `adapter_type` of the worker.
const ADAPTER: &str = "demo";
/// The fault socket, in the demo's directory. Relative: a socket's path has at most 107 bytes.
const FAULT_SOCKET: &str = "faults.sock";

/// A paced text-to-speech worker.
#[derive(Debug)]
pub(in crate::demo) struct Worker {
    process: RefCell<Process>,
    pub(super) port: u16,
    pub(super) voicelab: PathBuf,
    pub(super) directory: PathBuf,
}

impl Worker {
    pub(in crate::demo) fn start(voicelab: &Path, directory: &Path) -> Result<Self> {
        let mut command = Command::new(voicelab);
        command.current_dir(directory).arg("worker");
        command.args(["--port", "0", "--mode", "paced", "--adapter", ADAPTER]);
        command.args(["--preload", MODELS]);
        command.args(["--resident-cap", &RESIDENT_CAP.to_string()]);
        command.args(["--fault-socket", FAULT_SOCKET]);
        let mut process = Process::start("worker", &mut command, directory)?;
        let port = process
            .wait_for_line("listening ", START_LIMIT)?
            .parse()
            .context("read the worker's port")?;
        Ok(Self {
            process: RefCell::new(process),
            port,
            voicelab: voicelab.to_path_buf(),
            directory: directory.to_path_buf(),
        })
    }

    pub(in crate::demo) fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    pub(in crate::demo) fn still_runs(&self) -> Result<()> {
        expect_running("the worker", &mut self.process.borrow_mut())
    }

    /// Has one frame of a session sent late, by so many milliseconds.
    pub(in crate::demo) fn stall(&self, milliseconds: u64, session: &str) -> Result<()> {
        let mut command = Command::new(&self.voicelab);
        command.current_dir(&self.directory);
        command.args(["fault", "--socket", FAULT_SOCKET]);
        command.args(["stall", &milliseconds.to_string(), session]);
        step::run_quietly(&mut command).context("switch the fault on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker_with(fault_program: &str) -> (tempfile::TempDir, Worker) {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("temporary directory");
        let voicelab = directory.path().join("voicelab");
        std::fs::write(&voicelab, format!("#!/bin/sh\n{fault_program}\n")).expect("write");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&voicelab, mode).expect("make it executable");
        let mut sleep = Command::new("sleep");
        let process = Process::start("worker", sleep.arg("60"), directory.path()).expect("start");
        let worker = Worker {
            process: RefCell::new(process),
            port: 1,
            voicelab,
            directory: directory.path().to_path_buf(),
        };
        (directory, worker)
    }

    #[test]
    fn stall_names_its_time_and_session() {
        let (directory, worker) = worker_with("echo \"$@\" > asked");
        worker.stall(400, "later-1").expect("accepted");
        let asked = std::fs::read_to_string(directory.path().join("asked")).expect("asked");
        assert_eq!(asked, "fault --socket faults.sock stall 400 later-1\n");
    }

    #[test]
    fn refused_fault_is_an_error_with_the_answer() {
        let (_directory, worker) = worker_with("echo 'the worker refused: no' >&2; exit 1");
        let error = worker.stall(400, "later-1").expect_err("refused");
        assert!(format!("{error:#}").contains("refused: no"), "{error:#}");
    }

    #[test]
    fn worker_that_is_gone_is_an_error() {
        let (_directory, worker) = worker_with("true");
        worker.still_runs().expect("it sleeps");
        let pid = i32::try_from(worker.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
        while worker.still_runs().is_ok() {
            std::thread::yield_now();
        }
    }
}

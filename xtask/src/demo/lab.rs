//! The voice system of the demo: a worker, its clients, and the switch for its faults.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::process::Process;

/// Name under which the worker registers.
const ADAPTER: &str = "tts-demo";
/// Sessions of one client.
const SESSIONS: &str = "4";
/// Time to start a program of this workspace and have it listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for the worker's answer to a fault command.
const FAULT_LIMIT: Duration = Duration::from_secs(2);
/// A client outlives the live view by the time that the steps around it take.
const CLIENT_MARGIN: Duration = Duration::from_mins(1);

/// A paced text-to-speech worker.
#[derive(Debug)]
pub(super) struct Worker {
    process: RefCell<Process>,
    port: u16,
    faults: PathBuf,
}

impl Worker {
    pub(super) fn start(voicelab: &Path, directory: &Path) -> Result<Self> {
        let faults = directory.join("faults.sock");
        let mut command = Command::new(voicelab);
        command.args([
            "worker",
            "--port",
            "0",
            "--mode",
            "paced",
            "--adapter",
            ADAPTER,
        ]);
        command.arg("--truth").arg(directory.join("truth.jsonl"));
        command.arg("--fault-socket").arg(&faults);
        let mut process = Process::start("worker", &mut command, directory)?;
        let port = process
            .wait_for_line("listening ", START_LIMIT)?
            .parse()
            .context("read the worker's port")?;
        Ok(Self {
            process: RefCell::new(process),
            port,
            faults,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn still_runs(&self) -> Result<()> {
        expect_running("the worker", &mut self.process.borrow_mut())
    }

    /// Switches a fault on: one command of the worker's fault protocol.
    pub(super) fn fault(&self, command: &str) -> Result<()> {
        send_fault(&self.faults, command)
            .with_context(|| format!("switch the fault `{command}` on"))
    }
}

/// A client that keeps several sessions busy.
#[derive(Debug)]
pub(super) struct Client {
    process: RefCell<Process>,
}

impl Client {
    pub(super) fn start(
        voicelab: &Path,
        directory: &Path,
        name: &str,
        port: u16,
        duration: Duration,
    ) -> Result<Self> {
        let seconds = (duration + CLIENT_MARGIN).as_secs().to_string();
        let mut command = Command::new(voicelab);
        command.args(["client", "--target", &format!("127.0.0.1:{port}")]);
        command.args(["--sessions", SESSIONS, "--session-prefix", name]);
        command.args(["--duration", &seconds, "--give-up", &seconds]);
        let process = Process::start(&format!("client-{name}"), &mut command, directory)?;
        Ok(Self {
            process: RefCell::new(process),
        })
    }

    pub(super) fn still_runs(&self) -> Result<()> {
        expect_running("a client", &mut self.process.borrow_mut())
    }
}

fn expect_running(name: &str, process: &mut Process) -> Result<()> {
    match process.ended()? {
        None => Ok(()),
        Some(status) => bail!("{name} ended early with {status}: {}", process.last_word()),
    }
}

fn send_fault(socket: &Path, command: &str) -> Result<()> {
    let mut stream = UnixStream::connect(socket).context("connect to the worker's fault socket")?;
    stream
        .set_read_timeout(Some(FAULT_LIMIT))
        .context("set the read time-out")?;
    writeln!(stream, "{command}").context("send the command")?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .context("read the answer")?;
    match answer.trim() {
        "ok" => Ok(()),
        other => bail!("the worker answers `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn worker_that_answers(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let socket = directory.path().join("faults.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("clone"));
            reader.read_line(&mut line).expect("command");
            assert_eq!(line, "stall 400\n");
            stream.write_all(answer.as_bytes()).expect("answer");
        });
        (directory, socket)
    }

    #[test]
    fn accepted_fault_is_switched_on() {
        let (_directory, socket) = worker_that_answers("ok\n");
        send_fault(&socket, "stall 400").expect("accepted");
    }

    #[test]
    fn refused_fault_is_an_error_with_the_answer() {
        let (_directory, socket) = worker_that_answers("error: unknown command\n");
        let error = send_fault(&socket, "stall 400").expect_err("refused");
        assert!(error.to_string().contains("unknown command"), "{error}");
    }
}

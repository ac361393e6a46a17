//! The programs of the voice system to watch, and what they say they did.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use voicelab::truth::{Event, Line, Summary};

use crate::artifacts;
use crate::lab::Lab;
use crate::process::{Process, eventually};

/// How long a peer may take to start: Python imports grpc first, on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(30);

/// How long a peer may take to end once it is told to.
pub(crate) const END: Duration = Duration::from_secs(10);

/// A client that speaks for longer than a test, two sessions at a time.
pub const LONG_TALK: [&str; 6] = [
    "--sessions",
    "2",
    "--duration",
    "90",
    "--text-length",
    "2000",
];

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `voicelab worker`.
    Tonic,
    /// `voicelab stamper`.
    Stamper,
    /// The Python worker on grpc.aio.
    GrpcAio,
    /// The Python worker on synchronous grpc.
    GrpcSync,
}

impl Kind {
    fn command(self) -> Option<Command> {
        match self {
            Self::Tonic => Some(voicelab("worker")),
            Self::Stamper => Some(voicelab("stamper")),
            Self::GrpcAio => python("worker_aio.py"),
            Self::GrpcSync => python("worker_sync.py"),
        }
    }
}

/// A running worker or timing reference.
pub struct Server {
    process: Process,
    truth: PathBuf,
    /// Port it listens on.
    pub port: u16,
}

impl Server {
    /// Starts it on a free port. `None` where its interpreter is missing; that is said.
    pub fn start(lab: &Lab, kind: Kind, arguments: &[&str]) -> Option<Self> {
        Some(Self::launch(lab, kind.command()?, arguments))
    }

    /// Starts it in another network namespace.
    pub fn in_namespace(
        lab: &Lab,
        namespace: &str,
        kind: Kind,
        arguments: &[&str],
    ) -> Option<Self> {
        let command = in_namespace(namespace, &kind.command()?);
        Some(Self::launch(lab, command, arguments))
    }

    /// Starts a command line that takes a worker's arguments.
    pub fn launch(lab: &Lab, mut command: Command, arguments: &[&str]) -> Self {
        let truth = lab.fresh("server.jsonl");
        command.args(["--port", "0", "--truth"]).arg(&truth);
        let process = Process::start(command.args(arguments), &lab.fresh("server.err"));
        let line = process.line(START);
        let port = line
            .strip_prefix("listening ")
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("the server said {line:?}"));
        Self {
            process,
            truth,
            port,
        }
    }

    /// The worker of this repository.
    pub fn tonic(lab: &Lab, arguments: &[&str]) -> Self {
        Self::launch(lab, voicelab("worker"), arguments)
    }

    /// The same under another program's name.
    pub fn tonic_copy(lab: &Lab, name: &str, arguments: &[&str]) -> Self {
        let mut command = copy(lab, name);
        command.arg("worker");
        Self::launch(lab, command, arguments)
    }

    /// The same by another user; the lab's folder is open to all.
    pub fn tonic_as(lab: &Lab, user: u32, arguments: &[&str]) -> Self {
        let mut command = copy(lab, "voicelab");
        command.arg("worker").uid(user).gid(user);
        Self::launch(lab, command, arguments)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it did until now, up to half a second ago.
    pub fn truth(&self) -> Vec<Line> {
        read_truth(&self.truth)
    }

    /// Waits until it has written this many frames.
    pub fn wait_for_frames(&self, frames: usize) {
        let written = || frames_in(&self.truth()) >= frames;
        assert!(eventually(START, written), "no {frames} frames came");
    }

    /// Ends it with SIGTERM.
    pub fn terminate(mut self) -> Outcome {
        self.process.signal(Signal::TERM);
        outcome(&mut self.process, &self.truth, END)
    }

    /// What it did, once it has ended by itself or by SIGTERM.
    pub fn terminate_or_ended(mut self) -> Vec<Line> {
        if self.process.is_running() {
            self.process.signal(Signal::TERM);
        }
        outcome(&mut self.process, &self.truth, END).truth
    }

    /// Ends it with SIGKILL: nothing is said.
    pub fn kill(self) {
        drop(self);
    }
}

fn frames_in(truth: &[Line]) -> usize {
    let is_frame = |line: &&Line| matches!(line.event, Event::Frame { .. });
    truth.iter().filter(is_frame).count()
}

/// A running client.
pub struct Client {
    process: Process,
    truth: PathBuf,
}

impl Client {
    /// What it did until now, up to half a second ago.
    pub fn truth(&self) -> Vec<Line> {
        read_truth(&self.truth)
    }

    /// Starts the client of this repository.
    pub fn tonic(lab: &Lab, server: &Server, arguments: &[&str]) -> Self {
        Self::start(lab, voicelab("client"), server, arguments)
    }

    /// Starts the Python client; `None` where its interpreter is missing; that is said.
    pub fn grpc_aio(lab: &Lab, server: &Server, arguments: &[&str]) -> Option<Self> {
        Some(Self::start(lab, python("client.py")?, server, arguments))
    }

    /// Starts it in another network namespace, from which the server's host has this address.
    pub fn in_namespace(
        lab: &Lab,
        namespace: &str,
        host: &str,
        server: &Server,
        arguments: &[&str],
    ) -> Self {
        let command = in_namespace(namespace, &voicelab("client"));
        Self::start_at(lab, command, host, server, arguments)
    }

    fn start(lab: &Lab, command: Command, server: &Server, arguments: &[&str]) -> Self {
        Self::start_at(lab, command, "localhost", server, arguments)
    }

    fn start_at(
        lab: &Lab,
        mut command: Command,
        host: &str,
        server: &Server,
        arguments: &[&str],
    ) -> Self {
        let truth = lab.fresh("client.jsonl");
        command
            .args(["--target", &format!("{host}:{}", server.port)])
            .arg("--truth")
            .arg(&truth)
            .args(arguments);
        let process = Process::start(&mut command, &lab.fresh("client.err"));
        Self { process, truth }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it has done everything.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        outcome(&mut self.process, &self.truth, limit)
    }
}

/// What a peer left behind.
pub struct Outcome {
    /// Its own counts.
    pub summary: Summary,
    /// Each thing it did.
    pub truth: Vec<Line>,
}

pub(crate) fn outcome(process: &mut Process, truth: &Path, limit: Duration) -> Outcome {
    let status = process.wait(limit);
    assert!(status.success(), "a peer ended with {status}");
    let said = process.rest();
    let summary = said.last().expect("a peer says what it did");
    Outcome {
        summary: serde_json::from_str(summary).expect("a peer's counts"),
        truth: read_truth(truth),
    }
}

pub(crate) fn read_truth(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

/// The same command in another network namespace; its process id is the program's own.
fn in_namespace(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside
        .args(["netns", "exec", namespace])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    inside
}

/// A command of the voice system from a copy of it in the lab's folder.
fn copy(lab: &Lab, name: &str) -> Command {
    let program = lab.path(name);
    std::fs::copy(artifacts::voicelab(), &program).expect("copy the voice system");
    Command::new(program)
}

pub(crate) fn voicelab(kind: &str) -> Command {
    let mut command = Command::new(artifacts::voicelab());
    command.arg(kind);
    command
}

pub(crate) fn python(script: &str) -> Option<Command> {
    let Some(python) = artifacts::python() else {
        crate::skip::skip(
            "no Python with grpcio: run `cargo xtask setup`, or name one in VOXPROBE_PYTHON",
        );
        return None;
    };
    let mut command = Command::new(python);
    command.arg(artifacts::peers().join(script));
    if let Some(clock) = artifacts::socket_clock() {
        command.env("LD_PRELOAD", clock);
    }
    Some(command)
}

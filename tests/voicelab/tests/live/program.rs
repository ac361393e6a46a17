//! Runs the voicelab's programs and reads what they say.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use voicelab::truth::{Line, Summary};

/// A folder for one test's files.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    truth: PathBuf,
    /// Where it listens.
    pub(crate) target: String,
}

/// What a program left behind.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) summary: Summary,
    pub(crate) truth: Vec<Line>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a worker or a timing reference and waits for its port.
    pub(crate) fn server(&self, kind: &str, args: &[&str]) -> Server {
        let truth = self.path(&format!("{kind}.jsonl"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_voicelab"))
            .args([kind, "--port", "0", "--truth"])
            .arg(&truth)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening ").expect("the port");
        let target = format!("localhost:{port}");
        Server {
            child,
            stdout,
            truth,
            target,
        }
    }

    /// Runs a client to its end.
    pub(crate) fn client(&self, target: &str, args: &[&str]) -> Outcome {
        self.driver("client", target, args)
    }

    /// Runs a talker to its end.
    pub(crate) fn talker(&self, orchestrator: &Server, args: &[&str]) -> Outcome {
        let faults = self.path("fault.sock");
        let faults = ["--fault-socket", faults.to_str().unwrap()];
        self.driver("talker", &orchestrator.target, &[&faults, args].concat())
    }

    fn driver(&self, kind: &str, target: &str, args: &[&str]) -> Outcome {
        let truth = self.path(&format!("{kind}.jsonl"));
        let output = Command::new(env!("CARGO_BIN_EXE_voicelab"))
            .args([kind, "--give-up", "30", "--target", target, "--truth"])
            .arg(&truth)
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let summary = serde_json::from_slice(&output.stdout).unwrap();
        Outcome {
            status: output.status,
            summary,
            truth: read_truth(&truth),
        }
    }

    /// Switches a fault of a worker that was started with this lab's fault socket.
    pub(crate) fn fault(&self, command: &str) {
        let status = Command::new(env!("CARGO_BIN_EXE_voicelab"))
            .args(["fault", "--socket"])
            .arg(self.path("fault.sock"))
            .args(command.split(' '))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "fault {command}");
    }
}

impl Server {
    /// Ends it with SIGTERM.
    pub(crate) fn terminate(self) -> Outcome {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.join()
    }

    /// Waits until it ends by itself.
    pub(crate) fn join(mut self) -> Outcome {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        let summary = match rest.trim() {
            "" => Summary::default(),
            summary => serde_json::from_str(summary).unwrap(),
        };
        Outcome {
            status,
            summary,
            truth: read_truth(&self.truth),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone when the test went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read_truth(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

//! The agent under test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::artifacts;
use crate::capture::Capture;
use crate::exposition::Exposition;
use crate::lab::Lab;
use crate::process::{Process, eventually};

/// How long the agent may take to load and attach its programs on a busy machine.
const START: Duration = Duration::from_secs(90);

/// How long it may take to detach them.
const END: Duration = Duration::from_secs(20);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How long what was done may take to reach the metrics: the agent sleeps 50 ms and publishes its
/// own state every half second; the rest is the machine's noise.
pub const SETTLE: Duration = Duration::from_secs(5);

/// How old the agent's own figures (losses, cost) may be: it publishes them every half second.
const PUBLISHED: Duration = Duration::from_millis(700);

/// A running agent.
pub struct Probe {
    process: Process,
    address: SocketAddr,
    stderr: PathBuf,
}

impl Probe {
    /// Starts it on these processes and waits until it watches them all.
    pub fn watch(lab: &Lab, pids: &[u32], arguments: &[&str]) -> Self {
        let mut command = Command::new(artifacts::voxprobe());
        command.arg("run");
        for pid in pids {
            command.args(["--pid", &pid.to_string()]);
        }
        command.args(arguments);
        let probe = Self::start(lab, command);
        probe.wait_watching(pids.len());
        probe
    }

    /// Starts a command line that ends in `run`'s arguments, and waits until it is ready.
    pub fn start(lab: &Lab, command: Command) -> Self {
        let probe = Self::serve(lab, command);
        let ready = || matches!(probe.get("/readyz"), Some((200, _)));
        assert!(eventually(START, ready), "the agent does not become ready");
        probe
    }

    /// The same, and waits only until it listens: it may ask for more than this client says.
    pub fn serve(lab: &Lab, mut command: Command) -> Self {
        let stderr = lab.fresh("probe.err");
        command.args(["--listen", "127.0.0.1:0"]);
        if let Some(hooks) = std::env::var_os("VOXPROBE_HOOKS") {
            command.arg("--hooks").arg(hooks);
        }
        let mut process = Process::start(&mut command, &stderr);
        let mut address = None;
        eventually(START, || {
            address = served_address(&stderr);
            address.is_some() || !process.is_running()
        });
        assert!(
            address.is_some(),
            "the agent serves nothing: {}",
            read(&stderr)
        );
        Self {
            process,
            address: address.expect("it is served"),
            stderr,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether it knows a connection by its socket and not by its descriptor: then nothing is told of one
    /// that moves no byte, and bytes are the right socket's whatever became of the descriptor.
    pub fn sees_sockets(&self) -> bool {
        let taken = self.scrape().by_label("voxprobe_hook_backend", "backend");
        taken.keys().any(|backend| backend.starts_with("socket_"))
    }

    /// Whether it sees what a process moves through `io_uring`.
    pub fn sees_rings(&self) -> bool {
        let taken = self.scrape().by_label("voxprobe_hook_backend", "backend");
        ["socket_trampolines", "socket_probes"]
            .iter()
            .any(|backend| taken.contains_key(*backend))
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Where it serves its metrics.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it logged until now.
    pub fn log(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until this many processes are watched as workers.
    pub fn wait_watching(&self, processes: usize) {
        let watched = |scrape: &Exposition| {
            scrape.sum("voxprobe_watched_processes", &[("role", "worker")]) >= processes as f64
        };
        self.scrape_until(START, watched);
    }

    /// The metrics now.
    pub fn scrape(&self) -> Exposition {
        Exposition::parse(&self.metrics())
    }

    /// The metrics now, as they are served.
    pub fn metrics(&self) -> String {
        match self.get("/metrics") {
            Some((200, text)) => text,
            other => panic!("/metrics answers {other:?}"),
        }
    }

    /// Scrapes until a condition holds or the time is over; gives the last scrape, for the test to
    /// compare exactly.
    pub fn scrape_until(&self, limit: Duration, holds: impl Fn(&Exposition) -> bool) -> Exposition {
        let mut scrape = self.scrape();
        eventually(limit, || {
            scrape = self.scrape();
            holds(&scrape)
        });
        scrape
    }

    /// Status and body of a path; `None` where nobody answers in time.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut socket = TcpStream::connect_timeout(&self.address, ANSWER).ok()?;
        socket.set_read_timeout(Some(ANSWER)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        // Bodies come in one piece: their length is known before they are sent.
        (!head.to_ascii_lowercase().contains("chunked")).then(|| (status, body.to_owned()))
    }

    /// Ends it with SIGTERM and gives its last metrics, its own figures included; it must end well.
    #[allow(clippy::print_stdout, reason = "shown where the test fails")]
    pub fn stop(mut self) -> Exposition {
        std::thread::sleep(PUBLISHED);
        let last = self.scrape();
        self.process.signal(Signal::TERM);
        let status = self.process.wait(END);
        assert!(status.success(), "the agent ended with {status}");
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
        let skipped = |line: &&str| line.contains("skipped a program");
        for line in log.lines().filter(skipped) {
            println!("{line}");
        }
        last
    }

    /// Ends it with SIGKILL.
    pub fn kill(self) {
        drop(self);
    }
}

/// Asserts that nothing was lost on the way to the core.
#[track_caller]
pub fn assert_lossless(scrape: &Exposition) {
    let losses = scrape.by_label("voxprobe_kernel_losses_total", "reason");
    assert!(!losses.is_empty(), "losses are not counted");
    assert!(losses.values().all(|lost| *lost == 0), "{losses:?}");
    let lost = scrape.sum("voxprobe_stream_gaps_total", &[("reason", "lost")]);
    assert!(lost.abs() < f64::EPSILON, "gaps by lost records: {lost}");
}

/// Runs a command of the agent to its end.
pub fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .expect("run the agent")
}

/// The agent's metrics over a capture.
pub fn replay(capture: &Path) -> Exposition {
    let mut command = Command::new(artifacts::voxprobe());
    Exposition::parse(&text_of(
        command.arg("replay").arg(capture).arg("--metrics"),
    ))
}

/// The records of a capture.
pub fn replay_events(capture: &Path) -> Capture {
    let mut command = Command::new(artifacts::voxprobe());
    Capture::parse(&text_of(command.arg("replay").arg(capture).arg("--events")))
}

fn text_of(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("text")
}

fn served_address(stderr: &Path) -> Option<SocketAddr> {
    let log = read(stderr);
    let line = log.lines().find(|line| line.contains("\"listen\""))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line.get("listen")?.as_str()?.parse().ok()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

//! Orchestrators and talkers to watch, and what they say they did.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use voicelab::truth::{Line, Measure, measures};

use crate::artifacts;
use crate::exposition::Exposition;
use crate::lab::Lab;
use crate::peer::{END, Outcome, START, Server, outcome, python, read_truth, voicelab};
use crate::probe::Probe;
use crate::process::Process;

/// What serves the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// `voicelab orchestrator`.
    Voicelab,
    /// The same without clients of its own.
    LiveKit,
    /// The Python orchestrator on websockets and asyncio.
    Websockets,
    /// The same on uvloop.
    WebsocketsUvloop,
    /// The Python orchestrator on aiohttp.
    Aiohttp,
    /// The Python orchestrator on uvicorn.
    Uvicorn,
}

impl Front {
    /// The Python ones.
    pub const PYTHON: [Self; 4] = [
        Self::Websockets,
        Self::WebsocketsUvloop,
        Self::Aiohttp,
        Self::Uvicorn,
    ];

    fn command(self) -> Option<Command> {
        let server = match self {
            Self::Voicelab => return Some(voicelab("orchestrator")),
            Self::LiveKit => {
                let mut command = voicelab("orchestrator");
                command.args(["--transport", "livekit"]);
                return Some(command);
            }
            Self::Websockets => "websockets",
            Self::WebsocketsUvloop => "websockets-uvloop",
            Self::Aiohttp => "aiohttp",
            Self::Uvicorn => "uvicorn",
        };
        let mut command = python("ws_orchestrator.py")?;
        command.args(["--server", server]);
        Some(command)
    }

    /// The argument that turns permessage-deflate off.
    pub fn without_deflate(self) -> &'static [&'static str] {
        match self {
            Self::Voicelab => &["--deflate", "off"],
            Self::LiveKit => &[],
            _ => &["--no-deflate"],
        }
    }
}

/// A running orchestrator.
pub struct Orchestrator {
    process: Process,
    truth: PathBuf,
    faults: PathBuf,
    /// WebSocket port; 0 for `LiveKit`.
    pub port: u16,
}

impl Orchestrator {
    /// Starts one on a free port in front of `workers`, each with its name. `None` where its
    /// interpreter is missing; that is said.
    pub fn start(
        lab: &Lab,
        front: Front,
        workers: &[(&str, &Server)],
        arguments: &[&str],
    ) -> Option<Self> {
        let mut command = front.command()?;
        let (truth, faults) = (
            lab.fresh("orchestrator.jsonl"),
            lab.fresh("orchestrator.sock"),
        );
        let named = workers
            .iter()
            .map(|(name, worker)| format!("{name}=localhost:{}", worker.port));
        command
            .args([
                "--port",
                "0",
                "--worker",
                &named.collect::<Vec<_>>().join(","),
            ])
            .arg("--truth")
            .arg(&truth)
            .arg("--fault-socket")
            .arg(&faults)
            .args(arguments);
        let process = Process::start(&mut command, &lab.fresh("orchestrator.err"));
        let line = process.line(START);
        let port = line
            .strip_prefix("listening ")
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("the orchestrator said {line:?}"));
        Some(Self {
            process,
            truth,
            faults,
            port,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Its fault socket.
    pub fn faults(&self) -> &Path {
        &self.faults
    }

    /// Lets it begin its first session (`LiveKit` with `--wait`).
    pub fn go_on(&mut self) {
        self.process.tell("go on");
    }

    /// Switches a fault.
    pub fn fault(&self, command: &str) {
        let status = voicelab("fault")
            .arg("--socket")
            .arg(&self.faults)
            .args(command.split(' '))
            .stdout(std::process::Stdio::null())
            .status()
            .expect("run voicelab fault");
        assert!(status.success(), "fault {command}");
    }

    /// What it did until now, up to half a second ago.
    pub fn truth(&self) -> Vec<Line> {
        read_truth(&self.truth)
    }

    /// What it knows of each metric of the guide until now.
    pub fn measures(&self) -> Vec<Measure> {
        measures(&self.truth(), "unknown")
    }

    /// Ends it with SIGTERM.
    pub fn terminate(mut self) -> Outcome {
        self.process.signal(Signal::TERM);
        outcome(&mut self.process, &self.truth, END)
    }

    /// What it did, once it has ended by itself (`LiveKit`).
    pub fn finish(mut self, limit: Duration) -> Outcome {
        outcome(&mut self.process, &self.truth, limit)
    }

    /// What it did, once it has crashed.
    pub fn crashed(mut self) -> Vec<Line> {
        let status = self.process.wait(END);
        assert!(!status.success(), "the orchestrator did not crash");
        read_truth(&self.truth)
    }
}

/// Starts the agent on orchestrators, with these further settings, and waits until it watches them.
pub fn watch(lab: &Lab, pids: &[u32], settings: &str) -> Probe {
    let target = |pid| format!("\n[[target]]\nrole = \"orchestrator\"\npid = {pid}\n");
    let targets: String = pids.iter().map(target).collect();
    let config = lab.fresh("orchestrators.toml");
    std::fs::write(&config, settings.to_owned() + &targets).expect("write the settings");
    let mut command = Command::new(artifacts::voxprobe());
    command.args(["run", "--config"]).arg(config);
    let probe = Probe::start(lab, command);
    let role = [("role", "orchestrator")];
    let watched =
        |scrape: &Exposition| scrape.sum("voxprobe_watched_processes", &role) >= pids.len() as f64;
    let scrape = probe.scrape_until(START, watched);
    assert!(watched(&scrape), "{}", probe.log());
    probe
}

/// Clients of an orchestrator.
pub struct Talker {
    process: Process,
    truth: PathBuf,
}

impl Talker {
    /// Starts them.
    pub fn start(lab: &Lab, orchestrator: &Orchestrator, arguments: &[&str]) -> Self {
        let truth = lab.fresh("talker.jsonl");
        let mut command = voicelab("talker");
        command
            .args(["--target", &format!("127.0.0.1:{}", orchestrator.port)])
            .arg("--fault-socket")
            .arg(&orchestrator.faults)
            .arg("--truth")
            .arg(&truth)
            .args(arguments);
        let process = Process::start(&mut command, &lab.fresh("talker.err"));
        Self { process, truth }
    }

    /// Waits until all of them wait for a word (`--wait-before`).
    pub fn wait_until_all_wait(&self, limit: Duration) {
        assert_eq!(self.process.line(limit), "waiting");
    }

    /// Gives the word.
    pub fn go_on(&mut self) {
        self.process.tell("go on");
    }

    /// What they did until now, up to half a second ago.
    pub fn truth(&self) -> Vec<Line> {
        read_truth(&self.truth)
    }

    /// Waits until they have done everything.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        outcome(&mut self.process, &self.truth, limit)
    }
}

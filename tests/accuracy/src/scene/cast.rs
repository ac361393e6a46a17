//! The processes of a scene.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::probe::Probe;
use probe_tests::process::Process;
use probe_tests::redis::Redis;
use rustix::process::Signal;

use super::{Front, Scene, config::WORKERS};
use crate::truth::Source;

/// How long a process may take to start.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end once it is told to.
const END: Duration = Duration::from_secs(20);

/// Everybody but the talkers.
pub(super) struct Cast<'a> {
    lab: &'a Lab,
    orchestrator: Process,
    workers: Vec<Process>,
    sources: Vec<Source>,
    port: String,
    faults: PathBuf,
}

impl<'a> Cast<'a> {
    /// Starts the workers, then the orchestrator; `None` where an interpreter is missing.
    pub(super) fn start(
        scene: &Scene,
        lab: &'a Lab,
        redis: &Redis,
        probe: &Probe,
    ) -> Result<Option<Self>> {
        let (mut workers, mut sources, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for (name, adapter, mode) in WORKERS {
            let truth = lab.fresh("worker.jsonl");
            let mut command = Command::new(artifacts::voicelab());
            command.args([
                "worker",
                "--port",
                "0",
                "--adapter",
                adapter,
                "--mode",
                mode,
            ]);
            let worker =
                Process::start(command.arg("--truth").arg(&truth), &lab.fresh("worker.err"));
            let port = listening(&worker)?;
            addresses.push(format!("{name}=127.0.0.1:{port}"));
            sources.push(Source {
                name: name.to_owned(),
                path: truth,
            });
            workers.push(worker);
        }
        probe.wait_watching(WORKERS.len());
        let faults = lab.path("faults.sock");
        let truth = lab.fresh("orchestrator.jsonl");
        let mut command = match scene.front {
            Front::Voicelab => {
                let mut command = Command::new(artifacts::voicelab());
                command
                    .arg("orchestrator")
                    .arg("--fault-socket")
                    .arg(&faults);
                command
                    .arg("--vad-lib")
                    .arg(artifacts::vad_hook())
                    .arg("--asr");
                command
            }
            Front::Python(server) => {
                let Some(python) = artifacts::python() else {
                    println!(
                        "skipped: no Python with the peers' requirements: run `cargo xtask setup`"
                    );
                    return Ok(None);
                };
                let mut command = Command::new(python);
                command.arg(artifacts::peers().join("ws_orchestrator.py"));
                command.args(["--server", server]);
                command
            }
        };
        command.args(["--port", "0", "--worker", &addresses.join(",")]);
        command.args(["--redis", &format!("127.0.0.1:{}", redis.port)]);
        command.args(scene.orchestrator).arg("--truth").arg(&truth);
        let orchestrator = Process::start(&mut command, &lab.fresh("orchestrator.err"));
        let port = listening(&orchestrator)?;
        sources.push(Source {
            name: "orchestrator".to_owned(),
            path: truth,
        });
        Ok(Some(Self {
            lab,
            orchestrator,
            workers,
            sources,
            port,
            faults,
        }))
    }

    /// Starts a talker.
    pub(super) fn talker(&self, arguments: &[&str], number: usize) -> Process {
        let mut command = Command::new(artifacts::voicelab());
        command.args(["talker", "--target", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--seed", &number.to_string()]);
        if self.faults.exists() {
            command.arg("--fault-socket").arg(&self.faults);
        }
        Process::start(command.args(arguments), &self.lab.fresh("talker.err"))
    }

    /// Switches a fault of the orchestrator.
    pub(super) fn fault(&self, words: &str) -> Result<()> {
        let output = Command::new(artifacts::voicelab())
            .args(["fault", "--socket"])
            .arg(&self.faults)
            .args(words.split(' '))
            .output()
            .context("start voicelab fault")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "fault `{words}`: {}", said.trim());
        Ok(())
    }

    /// Ends everybody in good order; gives where they wrote their accounts.
    pub(super) fn end(mut self) -> Result<Vec<Source>> {
        for process in std::iter::once(&mut self.orchestrator).chain(&mut self.workers) {
            process.signal(Signal::TERM);
            let status = process.wait(END);
            ensure!(
                status.success(),
                "a process of the system ended with {status}"
            );
        }
        Ok(self.sources)
    }
}

fn listening(process: &Process) -> Result<String> {
    let line = process.line(START);
    let port = line.strip_prefix("listening ");
    Ok(port
        .with_context(|| format!("a server said {line:?}"))?
        .to_owned())
}

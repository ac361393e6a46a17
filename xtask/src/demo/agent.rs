//! `voxprobe` as the demo uses it: check, run, replay.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::exposition::{self, Sample};
use super::host::Host;
use super::process::Process;
use super::scenario;
use super::streams::{self, Stream};
use crate::http;
use crate::test::FAKE_NVML;
use crate::workspace::Workspace;

/// Time to load and attach every program: the verifier is the slow part.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Time to find a process that starts.
const FOUND_LIMIT: Duration = Duration::from_secs(10);
/// Between two questions whether it is ready.
const POLL: Duration = Duration::from_millis(100);
/// Exit status of `voxprobe` when it found something that does not work, or frames that were late.
const EXIT_FINDINGS: i32 = 1;
/// Watched processes, by role.
const WATCHED: &str = "voxprobe_watched_processes";
/// The agent's settings, in the demo's directory.
const CONFIGURATION: &str = "voxprobe.toml";

/// A running, attached agent.
#[derive(Debug)]
pub(super) struct Agent {
    process: Process,
    address: SocketAddr,
}

impl Agent {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn metrics(&self) -> Result<String> {
        http::get(self.address, "/metrics").context("read the metrics")
    }

    pub(super) fn samples(&self) -> Result<Vec<Sample>> {
        Ok(exposition::parse(&self.metrics()?))
    }

    /// Waits until an orchestrator is watched: a connection that came before would be joined late.
    pub(super) fn wait_for_orchestrator(&self) -> Result<()> {
        let deadline = Instant::now() + FOUND_LIMIT;
        while Instant::now() < deadline {
            let found = self.samples()?.into_iter().any(|sample| {
                sample.name == WATCHED
                    && sample.label("role") == Some("orchestrator")
                    && sample.value >= 1.0
            });
            if found {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("voxprobe did not find the orchestrator that was started")
    }

    pub(super) fn streams(&self) -> Result<Vec<Stream>> {
        streams::parse(&http::get(self.address, "/streams")?)
    }
}

/// Writes the agent's settings; gives the port on which it will look for Redis.
pub(super) fn configure(workspace: &Workspace, directory: &Path) -> Result<u16> {
    let redis_port = free_address()?.port();
    let text = scenario::configuration(&workspace.release("voicelab"), redis_port);
    write(&directory.join(CONFIGURATION), &text)?;
    Ok(redis_port)
}

/// Starts the agent with the stand-in GPU, and waits until it is attached. `gpu_user` is the process
/// that holds memory of that GPU; those to watch, the agent finds by its settings.
pub(super) fn start(
    workspace: &Workspace,
    directory: &Path,
    gpu_user: u32,
    capture: &Path,
) -> Result<Agent> {
    let address = free_address()?;
    let scenario = directory.join("nvml.toml");
    write(&scenario, &scenario::gpu(gpu_user))?;
    let mut command = Command::new(workspace.release("voxprobe"));
    command.env("FAKE_NVML_SCENARIO", &scenario).arg("run");
    command.arg("--config").arg(directory.join(CONFIGURATION));
    command.args(["--listen", &address.to_string()]);
    command.arg("--nvml-lib").arg(workspace.release(FAKE_NVML));
    command.arg("--record").arg(capture);
    let mut process = Process::start("voxprobe", &mut command, directory)?;

    let deadline = Instant::now() + READY_LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = process.ended()? {
            bail!("voxprobe ended with {status}: {}", process.last_word());
        }
        if http::get(address, "/readyz").is_ok() {
            return Ok(Agent { process, address });
        }
        thread::sleep(POLL);
    }
    bail!(
        "voxprobe is not ready after {} s: {}",
        READY_LIMIT.as_secs(),
        process.last_word()
    )
}

/// What a capture gives at its end.
pub(super) fn replay(workspace: &Workspace, capture: &Path, what: &str) -> Result<String> {
    let mut command = Command::new(workspace.release("voxprobe"));
    command.arg("replay").arg(capture).arg(what);
    answer("voxprobe replay", &mut command, &[0])
}

/// Why frames of a capture were late, as JSON.
pub(super) fn diagnosis(workspace: &Workspace, capture: &Path) -> Result<String> {
    let mut command = Command::new(workspace.release("voxprobe"));
    command.arg("replay").arg(capture);
    command.args(["--diagnose", "--format", "json"]);
    answer("voxprobe replay", &mut command, &[0, EXIT_FINDINGS])
}

/// What works on this host.
pub(super) fn check(workspace: &Workspace, directory: &Path) -> Result<Host> {
    let mut command = Command::new(workspace.release("voxprobe"));
    command.args(["check", "--format", "json", "--config"]);
    command.arg(directory.join(CONFIGURATION));
    Host::parse(&answer(
        "voxprobe check",
        &mut command,
        &[0, EXIT_FINDINGS],
    )?)
}

/// Standard output of a command that ends with one of these statuses.
fn answer(name: &str, command: &mut Command, good: &[i32]) -> Result<String> {
    let output = command.output().with_context(|| format!("start {name}"))?;
    if !output
        .status
        .code()
        .is_some_and(|code| good.contains(&code))
    {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} ended with {}: {}", output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("read what {name} says"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// An address that nobody listens on now. Another program may take it before the agent does; the
/// agent then says so and ends.
fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("find a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_address_is_on_this_machine_alone() {
        let address = free_address().expect("a port is free");
        assert!(address.ip().is_loopback() && address.port() != 0);
    }

    #[test]
    fn answer_with_findings_is_an_answer_where_they_are_expected() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let findings = answer("check", &mut shell("echo found; exit 1"), &[0, 1]);
        assert_eq!(findings.expect("an answer"), "found\n");
        let error = answer("check", &mut shell("echo broken >&2; exit 2"), &[0, 1])
            .expect_err("2 is an error");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}

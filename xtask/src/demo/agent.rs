//! `voxprobe` as the demo uses it: run, replay, check.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::process::Process;
use super::scenario;
use crate::http;
use crate::test::FAKE_NVML;
use crate::workspace::Workspace;

/// Time to load and attach every program: the verifier is the slow part.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Between two questions whether it is ready.
const POLL: Duration = Duration::from_millis(100);
/// Exit status of `voxprobe` when it could not do what it was asked to.
const EXIT_ERROR: i32 = 2;
/// Exit status of `voxprobe check` when it found something that does not work.
const EXIT_FINDINGS: i32 = 1;

/// A running, attached agent.
#[derive(Debug)]
pub(super) struct Agent {
    _process: Process,
    address: SocketAddr,
}

/// How the start ended.
#[derive(Debug)]
pub(super) enum Start {
    /// Programs are attached.
    Ready(Agent),
    /// The host does not let it: the agent's own words.
    Refused(String),
}

impl Agent {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Starts the agent on one process, with the stand-in GPU, and waits until it is attached.
pub(super) fn start(workspace: &Workspace, directory: &Path, pid: u32) -> Result<Start> {
    let address = free_address()?;
    let mut command = voxprobe(workspace, directory)?;
    let scenario = directory.join("nvml.toml");
    write(&scenario, &scenario::gpu(pid))?;
    command.env("FAKE_NVML_SCENARIO", &scenario).arg("run");
    command.arg("--config").arg(directory.join("voxprobe.toml"));
    command.args(["--listen", &address.to_string(), "--pid", &pid.to_string()]);
    command.arg("--nvml-lib").arg(workspace.release(FAKE_NVML));
    let mut process = Process::start("voxprobe", &mut command, directory)?;

    let deadline = Instant::now() + READY_LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = process.ended()? {
            let reason = process.last_word();
            if status.code() == Some(EXIT_ERROR) {
                return Ok(Start::Refused(reason));
            }
            bail!("voxprobe ended with {status}: {reason}");
        }
        if http::get(address, "/readyz").is_ok() {
            return Ok(Start::Ready(Agent {
                _process: process,
                address,
            }));
        }
        thread::sleep(POLL);
    }
    bail!(
        "voxprobe is not ready after {} s: {}",
        READY_LIMIT.as_secs(),
        process.last_word()
    )
}

/// The metrics that a capture gives.
pub(super) fn replay(workspace: &Workspace, capture: &Path) -> Result<String> {
    let output = Command::new(workspace.release("voxprobe"))
        .arg("replay")
        .arg(capture)
        .arg("--metrics")
        .output()
        .context("start voxprobe replay")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "voxprobe replay ended with {}: {}",
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout).context("read the replayed metrics")
}

/// What does not work on this host, one line each.
pub(super) fn limits(workspace: &Workspace, directory: &Path) -> Result<Vec<String>> {
    let output = voxprobe(workspace, directory)?
        .args(["check", "--format", "text"])
        .output()
        .context("start voxprobe check")?;
    if !matches!(output.status.code(), Some(0 | EXIT_FINDINGS)) {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "voxprobe check ended with {}: {}",
            output.status,
            said.trim()
        );
    }
    Ok(unavailable(&String::from_utf8_lossy(&output.stdout)))
}

/// Lines of `voxprobe check` that tell of something unavailable or failed.
fn unavailable(check: &str) -> Vec<String> {
    check
        .lines()
        .map(str::trim)
        .filter(|line| {
            line.split(|c: char| !c.is_alphanumeric())
                .any(|word| matches!(word, "unavailable" | "failed"))
        })
        .map(String::from)
        .collect()
}

fn voxprobe(workspace: &Workspace, directory: &Path) -> Result<Command> {
    write(&directory.join("voxprobe.toml"), scenario::CONFIGURATION)?;
    Ok(Command::new(workspace.release("voxprobe")))
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
    fn only_what_does_not_work_is_listed() {
        let check = "syscall tracepoints  active\n\
                     fentry               unavailable: lockdown (boot with lockdown=none)\n\
                     NVML                 failed: driver mismatch\n\
                     failover             active\n";
        let lines = unavailable(check);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("fentry") && lines[1].starts_with("NVML"),
            "{lines:?}"
        );
    }

    #[test]
    fn free_address_is_on_this_machine_alone() {
        let address = free_address().expect("a port is free");
        assert!(address.ip().is_loopback() && address.port() != 0);
    }
}

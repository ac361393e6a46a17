//! What voxprobe calls each call, as `voxprobe replay --calls` prints it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use probe_tests::artifacts;
use serde::Deserialize;

/// One call.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) connection: u64,
    /// HTTP/2 stream.
    pub(crate) stream: u32,
    /// When its connection was found, by the kernel's monotonic clock.
    pub(crate) opened_ns: u64,
    /// Its path was read, and the profile does not have it.
    pub(crate) other: bool,
    pub(crate) names: Vec<Name>,
}

/// A method that a call was said to call.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Name {
    pub(crate) at_ns: u64,
    /// `None` where the name was taken back.
    pub(crate) method: Option<String>,
}

/// Every call of a capture.
pub(super) fn calls(capture: &Path) -> Result<Vec<Said>> {
    let output = Command::new(artifacts::voxprobe())
        .args(["replay", "--calls"])
        .arg(capture)
        .output()
        .context("start voxprobe replay")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "voxprobe replay: {}", said.trim());
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("a call: {line}")))
        .collect()
}

//! `bench`: what voxprobe costs on this machine, as one table.
//!
//! The measuring itself is the program `overhead`; this task builds what it needs, in release form.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build, setup, step};

/// What can be measured alone.
pub(crate) const PARTS: [&str; 7] = [
    "writes",
    "programs",
    "worker",
    "streams",
    "rate",
    "intervals",
    REPLAY,
];

/// The part that needs no kernel.
const REPLAY: &str = "replay";

/// The whole task, or the named parts of it. A host that refuses eBPF is told so by `overhead`, and is no
/// failure.
pub(crate) fn task(workspace: &Workspace, repetitions: u32, only: &[String]) -> Result<()> {
    setup::other_tools(workspace);
    build::task(workspace, false)?;
    build::peers(workspace)?;
    let mut cargo = workspace.cargo();
    step::run(
        "overhead",
        cargo.args(["build", "--release", "-p", "overhead"]),
    )?;
    let measured: Vec<&String> = only.iter().filter(|part| *part != REPLAY).collect();
    if only.is_empty() || !measured.is_empty() {
        step::run("bench", &mut measure(workspace, repetitions, &measured))?;
    }
    if only.is_empty() || only.iter().any(|part| part == REPLAY) {
        step::run("replay", &mut replay(workspace))?;
    }
    Ok(())
}

fn measure(workspace: &Workspace, repetitions: u32, only: &[&String]) -> Command {
    let mut command = Command::new(workspace.release("overhead"));
    command.arg("measure");
    command
        .arg("--voxprobe")
        .arg(workspace.release("voxprobe"))
        .arg("--voicelab")
        .arg(workspace.release("voicelab"))
        .args(["--repetitions", &repetitions.to_string()]);
    for part in only {
        command.arg("--only").arg(part);
    }
    command
}

fn replay(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.release("overhead"));
    command.arg("replay");
    command.arg("--voxprobe").arg(workspace.release("voxprobe"));
    command
}

//! `bench`: what voxprobe costs on this machine, as one table.
//!
//! The measuring itself is the program `overhead`; this task builds what it needs, in release form.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build, step};

/// The whole task. A host that refuses eBPF is told so by `overhead`, and is no failure.
pub(crate) fn task(workspace: &Workspace, repetitions: u32) -> Result<()> {
    build::task(workspace, false)?;
    build::peers(workspace)?;
    let mut cargo = workspace.cargo();
    step::run(
        "overhead",
        cargo.args(["build", "--release", "-p", "overhead"]),
    )?;
    step::run("bench", &mut measure(workspace, repetitions))?;
    step::run("replay", &mut replay(workspace))
}

fn measure(workspace: &Workspace, repetitions: u32) -> Command {
    let mut command = Command::new(workspace.release("overhead"));
    command.arg("measure");
    command
        .arg("--voxprobe")
        .arg(workspace.release("voxprobe"))
        .arg("--voicelab")
        .arg(workspace.release("voicelab"))
        .args(["--repetitions", &repetitions.to_string()]);
    command
}

fn replay(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.release("overhead"));
    command.arg("replay");
    command.arg("--voxprobe").arg(workspace.release("voxprobe"));
    command
}

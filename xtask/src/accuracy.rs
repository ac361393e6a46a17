//! `accuracy`: what voxprobe exports, beside what the watched processes say they did.
//!
//! The comparing itself is the program `accuracy`; this task builds what it needs, in release form.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
use crate::{build, setup, step, test};

/// The whole task; tells whether everything agreed.
pub(crate) fn task(workspace: &Workspace, causes: bool, scenes: &[String]) -> Result<bool> {
    let toolchain = setup::toolchain(workspace)?;
    setup::test_tools(workspace);
    build::ebpf(workspace, &toolchain)?;
    build::agent(workspace)?;
    build::peers(workspace)?;
    let mut cargo = workspace.cargo();
    step::run(
        "accuracy",
        cargo.args(["build", "--release", "-p", "accuracy"]),
    )?;
    let mut command = Command::new(workspace.release("accuracy"));
    command.args(causes.then_some("--causes")).args(scenes);
    test::tell(workspace, &mut command)?;
    let status = command.status().context("start the program accuracy")?;
    Ok(status.success())
}

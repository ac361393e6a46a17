//! `pictures`: the dashboards as Grafana's own panels draw them, with what a live voice system gave.
//!
//! The test of the alerts runs, with a worker that falls ill and gets well again, and leaves one picture
//! of each dashboard beside the dashboards.

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
use crate::{build, setup, test};

/// Where the pictures go.
const FOLDER: &str = "config/grafana";

/// The test that draws.
const TEST: &str = "live::";

/// The whole task; tells whether every dashboard was drawn.
pub(crate) fn task(workspace: &Workspace) -> Result<bool> {
    let toolchain = setup::toolchain(workspace)?;
    setup::test_tools(workspace);
    setup::PANELS.install(workspace);
    build::ebpf(workspace, &toolchain)?;
    build::agent(workspace)?;
    build::peers(workspace)?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "-p", "probe-tests", "--test", "config", TEST])
        .args(["--", "--test-threads=1", "--nocapture"]);
    test::tell(workspace, &mut cargo)?;
    cargo.env("VOXPROBE_PICTURES", workspace.root().join(FOLDER));
    let status = cargo.status().context("start cargo test")?;
    Ok(status.success())
}

//! `lint`: format, lints, documentation, dependencies, layout.

mod layout;

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup;
use crate::step;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// The whole task; stops at the first finding.
pub(crate) fn task(workspace: &Workspace) -> Result<()> {
    layout::check(workspace)?;
    step::run(
        "format",
        workspace.cargo().args(["fmt", "--all", "--check"]),
    )?;

    let mut clippy = workspace.cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--exclude",
        "probe-ebpf",
        "--all-targets",
    ]);
    step::run("clippy", clippy.args(["--", "-D", "warnings"]))?;

    let mut doc = workspace.cargo();
    doc.args(["doc", "--workspace", "--exclude", "probe-ebpf", "--no-deps"]);
    step::run("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))?;

    match setup::present_toolchain(workspace) {
        Ok(toolchain) => ebpf(workspace, &toolchain)?,
        Err(reason) => step::skipped("eBPF check", reason),
    }
    dependencies(workspace)
}

/// Warnings of the eBPF crate are errors. They are denied through cargo and not through the
/// compiler's flags, which would have the core library built once more.
fn ebpf(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let mut check = toolchain.cargo(workspace, "check");
    check
        .args(["-Z", "warnings"])
        .env("CARGO_BUILD_WARNINGS", "deny");
    step::run("eBPF check", &mut check)
}

/// Licences, sources, versions and known vulnerabilities of the dependencies.
fn dependencies(workspace: &Workspace) -> Result<()> {
    let deny = |arguments: &[&str]| {
        let mut command = Command::new("cargo-deny");
        command
            .current_dir(workspace.root())
            .env("PATH", workspace.search_path());
        command.args(arguments);
        command
    };
    if step::answer(&mut deny(&["--version"])).is_none() {
        step::skipped(
            "dependencies",
            "cargo-deny is not installed (`cargo install cargo-deny`)",
        );
        return Ok(());
    }
    let checks = ["--workspace", "check", "bans", "licenses", "sources"];
    step::run("dependencies", &mut deny(&checks))?;
    if step::answer(&mut deny(&["fetch", "db"])).is_none() {
        step::skipped("advisories", "the advisory database cannot be fetched");
        return Ok(());
    }
    step::run(
        "advisories",
        &mut deny(&["--workspace", "check", "advisories"]),
    )
}

/// Fails with every finding at once.
fn refuse(subject: &str, findings: &[String]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{subject}: {}", findings.join("; "))
}

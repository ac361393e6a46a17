//! `setup`: finds or installs what the other tasks need, and says which.
//!
//! A second run finds everything and installs nothing. What is optional and cannot be had is
//! reported; the tests that want it then skip with the same reason.

mod emulator;
mod grafana;
mod packages;
mod python;
mod tools;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::step;
use crate::toolchain::{BPF_LINKER, Decision, Facts, Toolchain, decide};
use crate::workspace::Workspace;

pub(crate) use self::grafana::{PANELS, SCHEMA};
pub(crate) use self::python::{KUBERNETES, PEERS};
pub(crate) use self::tools::{find as program, install_others as other_tools, machines};

/// Most steps to a complete toolchain: compiler, LLVM libraries, linker, and the look after them.
const TOOLCHAIN_STEPS: usize = 4;

/// The whole task.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    toolchain(workspace)?;
    test_tools(workspace);
    step::report("setup", "done", started.elapsed());
    Ok(())
}

/// What only the host, compat and config tests need. None of it is necessary: what cannot be had is said.
pub(crate) fn test_tools(workspace: &Workspace) {
    tools::install(workspace);
    PEERS.install(workspace);
    KUBERNETES.install(workspace);
    SCHEMA.install(workspace);
}

/// The task with `--check`: reports, and tells whether everything is there.
pub(crate) fn check(workspace: &Workspace) -> bool {
    let started = Instant::now();
    let decision = decide(&Facts::gather(workspace));
    match &decision {
        Decision::Ready(toolchain) => {
            step::report("eBPF toolchain", toolchain, started.elapsed());
        }
        Decision::InstallPackages(list) => {
            println!(
                "eBPF toolchain missing: setup would install {}",
                list.join(" ")
            );
        }
        Decision::BuildLinker { llvm } => {
            println!("eBPF toolchain missing: setup would build bpf-linker for LLVM {llvm}");
        }
        Decision::Missing(remedy) => println!("eBPF toolchain missing: {remedy}"),
    }
    let tools = tools::check(workspace);
    let environments = [PEERS, KUBERNETES].map(|venv| venv.check(workspace));
    let schema = SCHEMA.check(workspace);
    matches!(decision, Decision::Ready(_)) && tools && environments == [true, true] && schema
}

/// The toolchain that is there, if it is complete; installs nothing.
///
/// # Errors
/// The reason, when it is not.
pub(crate) fn present_toolchain(workspace: &Workspace) -> Result<Toolchain> {
    match decide(&Facts::gather(workspace)) {
        Decision::Ready(toolchain) => Ok(toolchain),
        Decision::Missing(remedy) => bail!(remedy),
        _ => bail!("no toolchain for eBPF: run `cargo xtask setup`"),
    }
}

/// The toolchain for eBPF, completed where it is not.
pub(crate) fn toolchain(workspace: &Workspace) -> Result<Toolchain> {
    let mut previous = None;
    for _ in 0..TOOLCHAIN_STEPS {
        let started = Instant::now();
        let facts = Facts::gather(workspace);
        let next = decide(&facts);
        if previous.as_ref() == Some(&next) {
            bail!("{}", unchanged(&next));
        }
        match &next {
            Decision::Ready(toolchain) => {
                step::report("eBPF toolchain", toolchain, started.elapsed());
                return Ok(toolchain.clone());
            }
            Decision::InstallPackages(list) => {
                let names: Vec<&str> = list.iter().map(String::as_str).collect();
                packages::install(facts.installer, &names)
                    .context("install the toolchain for eBPF")?;
            }
            Decision::BuildLinker { llvm } => build_linker(workspace, *llvm)?,
            Decision::Missing(remedy) => bail!(remedy.clone()),
        }
        previous = Some(next);
    }
    bail!("the toolchain for eBPF is not complete after {TOOLCHAIN_STEPS} steps")
}

fn unchanged(decision: &Decision) -> String {
    match decision {
        Decision::InstallPackages(list) => {
            format!(
                "{} were installed but give no usable compiler",
                list.join(" ")
            )
        }
        Decision::BuildLinker { llvm } => {
            format!("bpf-linker was built, but its LLVM is not {llvm} or newer")
        }
        Decision::Ready(_) | Decision::Missing(_) => "nothing changed".to_string(),
    }
}

/// Builds bpf-linker with the host's own toolchain.
fn build_linker(workspace: &Workspace, llvm: u32) -> Result<()> {
    let build = workspace.target("tools/build");
    let mut install = workspace.cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--version",
            BPF_LINKER,
            "--locked",
            "--force",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{llvm}"),
        ])
        .arg("--root")
        .arg(workspace.target("tools"))
        // Kept until it succeeds, so that a run that was cut off goes on where it was.
        .env("CARGO_TARGET_DIR", &build)
        .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
    step::run("bpf-linker", &mut install)?;
    std::fs::remove_dir_all(&build).with_context(|| format!("remove {}", build.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_that_changed_nothing_is_named() {
        let packages = Decision::InstallPackages(vec!["rustc-web".into()]);
        assert!(unchanged(&packages).starts_with("rustc-web"));
        assert!(unchanged(&Decision::BuildLinker { llvm: 22 }).contains("22"));
    }
}

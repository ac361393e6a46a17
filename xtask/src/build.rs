//! `build`: the eBPF object, then the programs that embed or drive it.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::step;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// The target that the eBPF crate is built for.
const EBPF_TARGET: &str = "bpfel-unknown-none";

/// The whole task.
pub(crate) fn task(workspace: &Workspace, ebpf_only: bool) -> Result<()> {
    let toolchain = setup::toolchain(workspace)?;
    ebpf(workspace, &toolchain)?;
    if ebpf_only { Ok(()) } else { agent(workspace) }
}

/// The eBPF object, placed where the agent's build embeds it from. An object that did not change is
/// left alone, so that the agent is not built again.
pub(crate) fn ebpf(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    step::run("eBPF object", &mut toolchain.cargo(workspace, "build"))?;
    let built = workspace
        .target("bpf-build")
        .join(EBPF_TARGET)
        .join("release/probe-ebpf");
    let started = Instant::now();
    let what = match place(&built, &workspace.ebpf_object())? {
        Placed::Changed => "new",
        Placed::Unchanged => "unchanged",
    };
    step::report("eBPF object", what, started.elapsed());
    Ok(())
}

/// `voxprobe`, in release form.
pub(crate) fn agent(workspace: &Workspace) -> Result<()> {
    step::run(
        "voxprobe",
        workspace
            .cargo()
            .args(["build", "--release", "-p", "probe-user"]),
    )
}

/// Packages that tests and the demo watch: the voice system, the library it calls, and the stand-in
/// NVML.
const PEERS: [&str; 4] = ["voicelab", "socket-clock", "vad-hook", "fake-nvml"];

/// What tests and the demo watch, in release form. Apart from the agent, whose features it must not
/// change.
pub(crate) fn peers(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release"]);
    for package in PEERS {
        cargo.args(["-p", package]);
    }
    step::run("voicelab", &mut cargo)
}

/// What became of a file that was to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    Changed,
    Unchanged,
}

fn place(from: &Path, to: &Path) -> Result<Placed> {
    let bytes = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(Placed::Unchanged);
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    // Renamed into place: a build that runs at the same time reads the old or the new, never a part.
    let partial = to.with_extension("partial");
    fs::write(&partial, bytes).with_context(|| format!("write {}", partial.display()))?;
    fs::rename(&partial, to).with_context(|| format!("rename {}", partial.display()))?;
    Ok(Placed::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_placed_only_when_it_changed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (from, to) = (
            directory.path().join("built"),
            directory.path().join("bpf/object"),
        );
        fs::write(&from, "one").expect("write");
        assert_eq!(place(&from, &to).expect("first"), Placed::Changed);
        assert_eq!(place(&from, &to).expect("again"), Placed::Unchanged);
        fs::write(&from, "two").expect("write");
        assert_eq!(place(&from, &to).expect("changed"), Placed::Changed);
        assert_eq!(fs::read(&to).expect("read"), b"two");
    }

    #[test]
    fn object_that_was_not_built_is_an_error_with_its_path() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let error = place(
            &directory.path().join("absent"),
            &directory.path().join("to"),
        )
        .expect_err("nothing to place");
        assert!(error.to_string().contains("absent"), "{error}");
    }
}

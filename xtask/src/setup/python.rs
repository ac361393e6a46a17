//! The virtual environment of the Python test peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::step;
use crate::workspace::Workspace;

/// What the peers need.
const REQUIREMENTS: &str = "tests/peers/requirements.txt";

/// The environment's interpreter, when the environment holds exactly what the peers need now.
pub(crate) fn installed(workspace: &Workspace) -> Option<PathBuf> {
    let wanted = fs::read(workspace.root().join(REQUIREMENTS)).ok()?;
    let python = interpreter(workspace);
    (fs::read(stamp(workspace)).ok()? == wanted && python.exists()).then_some(python)
}

/// Finds or makes the environment; says when it cannot be had and what that leaves out.
pub(crate) fn install(workspace: &Workspace) {
    let started = Instant::now();
    if let Some(python) = installed(workspace) {
        step::report("python", python.display(), started.elapsed());
        return;
    }
    match create(workspace) {
        Ok(()) => step::report("python", "environment made", started.elapsed()),
        Err(error) => {
            step::skipped(
                "python",
                format!("tests with Python peers will skip: {error:#}"),
            );
        }
    }
}

/// Reports the environment, and tells whether it is there.
pub(crate) fn check(workspace: &Workspace) -> bool {
    let started = Instant::now();
    let found = installed(workspace);
    match &found {
        Some(python) => step::report("python", python.display(), started.elapsed()),
        None => println!("{:<14} missing: setup would make an environment", "python"),
    }
    found.is_some()
}

fn create(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.root().join(REQUIREMENTS);
    let wanted =
        fs::read(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    println!("{:<14} installing {REQUIREMENTS}", "python");
    step::run_quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(workspace.target("venv")),
    )
    .context("make a virtual environment (Debian: package python3-venv)")?;
    step::run_quietly(
        Command::new(interpreter(workspace))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&requirements),
    )
    .context("install the peers' requirements")?;
    // Written last: an environment that was cut off half-way has no stamp and is made anew.
    fs::write(stamp(workspace), wanted).context("write the environment's stamp")
}

fn interpreter(workspace: &Workspace) -> PathBuf {
    workspace.target("venv/bin/python")
}

/// A copy of the requirements that the environment was made from.
fn stamp(workspace: &Workspace) -> PathBuf {
    workspace
        .target("venv")
        .join(Path::new("voxprobe-requirements.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(wanted: &str, stamped: &str) -> (tempfile::TempDir, Workspace) {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        fs::create_dir_all(root.path().join("tests/peers")).expect("directory");
        fs::write(root.path().join(REQUIREMENTS), wanted).expect("requirements");
        fs::create_dir_all(workspace.target("venv/bin")).expect("directory");
        fs::write(interpreter(&workspace), "").expect("interpreter");
        fs::write(stamp(&workspace), stamped).expect("stamp");
        (root, workspace)
    }

    #[test]
    fn environment_of_the_same_requirements_is_kept() {
        let (_root, workspace) = environment("grpcio==1\n", "grpcio==1\n");
        assert_eq!(installed(&workspace), Some(interpreter(&workspace)));
    }

    #[test]
    fn environment_of_other_requirements_is_made_anew() {
        let (_root, workspace) = environment("grpcio==2\n", "grpcio==1\n");
        assert_eq!(installed(&workspace), None);
    }

    #[test]
    fn environment_without_stamp_is_made_anew() {
        let (_root, workspace) = environment("grpcio==1\n", "grpcio==1\n");
        fs::remove_file(stamp(&workspace)).expect("remove");
        assert_eq!(installed(&workspace), None);
    }
}

//! Virtual environments: of the Python test peers, and of the tools for Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::step;
use crate::workspace::Workspace;

/// One environment.
pub(crate) struct Venv {
    /// Its name in reports.
    name: &'static str,
    /// The file that lists what it holds.
    requirements: &'static str,
    /// Where it lies under the target directory.
    folder: &'static str,
    /// Tests that skip without it.
    tests: &'static str,
}

/// What the Python peers need.
pub(crate) const PEERS: Venv = Venv {
    name: "python",
    requirements: "tests/peers/requirements.txt",
    folder: "venv",
    tests: "tests with Python peers",
};

/// What checks manifests and the chart: kubectl, Helm and Kubernetes' schemas.
pub(crate) const KUBERNETES: Venv = Venv {
    name: "kubernetes",
    requirements: "tests/config/kubernetes/requirements.txt",
    folder: "kubernetes",
    tests: "tests of the manifests",
};

impl Venv {
    /// Its interpreter, when it holds exactly what is needed now.
    pub(crate) fn installed(&self, workspace: &Workspace) -> Option<PathBuf> {
        let wanted = fs::read(workspace.root().join(self.requirements)).ok()?;
        let python = self.interpreter(workspace);
        (fs::read(self.stamp(workspace)).ok()? == wanted && python.exists()).then_some(python)
    }

    /// Finds or makes it; says when it cannot be had and what that leaves out.
    pub(crate) fn install(&self, workspace: &Workspace) {
        let started = Instant::now();
        if let Some(python) = self.installed(workspace) {
            step::report(self.name, python.display(), started.elapsed());
            return;
        }
        match self.create(workspace) {
            Ok(()) => step::report(self.name, "environment made", started.elapsed()),
            Err(error) => step::skipped(self.name, format!("{} will skip: {error:#}", self.tests)),
        }
    }

    /// Reports it, and tells whether it is there.
    pub(crate) fn check(&self, workspace: &Workspace) -> bool {
        let started = Instant::now();
        let found = self.installed(workspace);
        match &found {
            Some(python) => step::report(self.name, python.display(), started.elapsed()),
            None => println!("{:<14} missing: setup would make an environment", self.name),
        }
        found.is_some()
    }

    fn create(&self, workspace: &Workspace) -> Result<()> {
        let requirements = workspace.root().join(self.requirements);
        let wanted =
            fs::read(&requirements).with_context(|| format!("read {}", requirements.display()))?;
        println!("{:<14} installing {}", self.name, self.requirements);
        step::run_quietly(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(workspace.target(self.folder)),
        )
        .context("make a virtual environment (Debian: package python3-venv)")?;
        step::run_quietly(
            Command::new(self.interpreter(workspace))
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
        .with_context(|| format!("install {}", self.requirements))?;
        // Written last: an environment that was cut off half-way has no stamp and is made anew.
        fs::write(self.stamp(workspace), wanted).context("write the environment's stamp")
    }

    fn interpreter(&self, workspace: &Workspace) -> PathBuf {
        workspace.target(self.folder).join("bin/python")
    }

    /// A copy of the requirements that the environment was made from.
    fn stamp(&self, workspace: &Workspace) -> PathBuf {
        workspace
            .target(self.folder)
            .join(Path::new("voxprobe-requirements.txt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(wanted: &str, stamped: &str) -> (tempfile::TempDir, Workspace) {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        fs::create_dir_all(root.path().join("tests/peers")).expect("directory");
        fs::write(root.path().join(PEERS.requirements), wanted).expect("requirements");
        fs::create_dir_all(workspace.target("venv/bin")).expect("directory");
        fs::write(PEERS.interpreter(&workspace), "").expect("interpreter");
        fs::write(PEERS.stamp(&workspace), stamped).expect("stamp");
        (root, workspace)
    }

    #[test]
    fn environment_of_the_same_requirements_is_kept() {
        let (_root, workspace) = environment("grpcio==1\n", "grpcio==1\n");
        assert_eq!(
            PEERS.installed(&workspace),
            Some(PEERS.interpreter(&workspace))
        );
        assert_eq!(KUBERNETES.installed(&workspace), None, "it is another one");
    }

    #[test]
    fn environment_of_other_requirements_is_made_anew() {
        let (_root, workspace) = environment("grpcio==2\n", "grpcio==1\n");
        assert_eq!(PEERS.installed(&workspace), None);
    }

    #[test]
    fn environment_without_stamp_is_made_anew() {
        let (_root, workspace) = environment("grpcio==1\n", "grpcio==1\n");
        fs::remove_file(PEERS.stamp(&workspace)).expect("remove");
        assert_eq!(PEERS.installed(&workspace), None);
    }
}

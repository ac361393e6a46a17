//! Grafana's own parts from npm: its schema with the compiler that checks dashboards against it, and its
//! panels with the bundler that makes a page of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::step;
use crate::workspace::Workspace;

/// Packages with exact versions, and where they are fetched to.
#[derive(Debug)]
pub(crate) struct Modules {
    /// What it is, in reports.
    name: &'static str,
    /// The `package.json` that names them.
    packages: &'static str,
    /// Folder below `target/`.
    folder: &'static str,
    /// What is left out without it.
    without: &'static str,
}

/// A megabyte, in seconds.
pub(crate) const SCHEMA: Modules = Modules {
    name: "grafana schema",
    packages: "tests/config/grafana/package.json",
    folder: "grafana",
    without: "the check of the dashboards' schema will skip",
};

/// Six hundred megabytes, in minutes: fetched only where pictures are asked for.
pub(crate) const PANELS: Modules = Modules {
    name: "grafana panels",
    packages: "tests/config/grafana/draw/package.json",
    folder: "panels",
    without: "no dashboard can be drawn",
};

/// A copy of the `package.json` that the folder was made from.
const STAMP: &str = "voxprobe-package.json";

impl Modules {
    /// The folder of modules, when it holds exactly what is needed now.
    pub(crate) fn installed(&self, workspace: &Workspace) -> Option<PathBuf> {
        let wanted = fs::read(workspace.root().join(self.packages)).ok()?;
        let modules = workspace.target(self.folder).join("node_modules");
        (fs::read(modules.join(STAMP)).ok()? == wanted).then_some(modules)
    }

    /// Finds or fetches it; says when it cannot be had and what that leaves out.
    pub(crate) fn install(&self, workspace: &Workspace) {
        let started = Instant::now();
        if let Some(modules) = self.installed(workspace) {
            step::report(self.name, modules.display(), started.elapsed());
            return;
        }
        match self.fetch(workspace) {
            Ok(()) => step::report(self.name, "fetched", started.elapsed()),
            Err(error) => step::skipped(self.name, format!("{}: {error:#}", self.without)),
        }
    }

    /// Reports it, and tells whether it is there.
    pub(super) fn check(&self, workspace: &Workspace) -> bool {
        let started = Instant::now();
        let found = self.installed(workspace);
        match &found {
            Some(modules) => step::report(self.name, modules.display(), started.elapsed()),
            None => println!("{:<14} missing: setup would fetch it", self.name),
        }
        found.is_some()
    }

    fn fetch(&self, workspace: &Workspace) -> Result<()> {
        let wanted =
            fs::read(workspace.root().join(self.packages)).context("read what is needed")?;
        let folder = workspace.target(self.folder);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        fs::write(folder.join("package.json"), &wanted).context("write what is needed")?;
        step::run_quietly(
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund"])
                // Nothing of what is fetched runs.
                .args(["--ignore-scripts", "--no-package-lock"])
                .current_dir(&folder),
        )
        .context("fetch it (Debian: packages nodejs and npm)")?;
        // Written last: what was cut off half-way has no stamp and is fetched anew.
        fs::write(folder.join("node_modules").join(STAMP), wanted).context("write the stamp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_taken_only_with_the_same_requirements() {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        let packages = root.path().join(SCHEMA.packages);
        fs::create_dir_all(packages.parent().expect("a folder")).expect("directory");
        fs::write(&packages, "{}").expect("file");
        assert_eq!(SCHEMA.installed(&workspace), None);
        let modules = workspace.target(SCHEMA.folder).join("node_modules");
        fs::create_dir_all(&modules).expect("directory");
        fs::write(modules.join(STAMP), "{}").expect("file");
        assert_eq!(SCHEMA.installed(&workspace), Some(modules));
        fs::write(&packages, "{\"private\": true}").expect("file");
        assert_eq!(SCHEMA.installed(&workspace), None);
    }
}

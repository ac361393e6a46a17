//! Grafana's own schema, with the compiler that checks dashboards against it, from npm.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::step;
use crate::workspace::Workspace;

/// What is needed, with exact versions.
const PACKAGES: &str = "tests/config/grafana/package.json";

/// The folder of modules, when it holds exactly what is needed now.
pub(crate) fn installed(workspace: &Workspace) -> Option<PathBuf> {
    let wanted = fs::read(workspace.root().join(PACKAGES)).ok()?;
    let modules = folder(workspace).join("node_modules");
    (fs::read(modules.join(STAMP)).ok()? == wanted).then_some(modules)
}

/// A copy of [`PACKAGES`] that the folder was made from.
const STAMP: &str = "voxprobe-package.json";

/// Finds or fetches it; says when it cannot be had and what that leaves out.
pub(super) fn install(workspace: &Workspace) {
    let started = Instant::now();
    if let Some(modules) = installed(workspace) {
        step::report("grafana schema", modules.display(), started.elapsed());
        return;
    }
    match fetch(workspace) {
        Ok(()) => step::report("grafana schema", "fetched", started.elapsed()),
        Err(error) => step::skipped(
            "grafana schema",
            format!("the check of the dashboards' schema will skip: {error:#}"),
        ),
    }
}

/// Reports it, and tells whether it is there.
pub(super) fn check(workspace: &Workspace) -> bool {
    let started = Instant::now();
    let found = installed(workspace);
    match &found {
        Some(modules) => step::report("grafana schema", modules.display(), started.elapsed()),
        None => println!("{:<14} missing: setup would fetch it", "grafana schema"),
    }
    found.is_some()
}

fn fetch(workspace: &Workspace) -> Result<()> {
    let wanted = fs::read(workspace.root().join(PACKAGES)).context("read what is needed")?;
    let folder = folder(workspace);
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

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target("grafana")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_taken_only_with_the_same_requirements() {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        let packages = root.path().join(PACKAGES);
        fs::create_dir_all(packages.parent().expect("a folder")).expect("directory");
        fs::write(&packages, "{}").expect("file");
        assert_eq!(installed(&workspace), None);
        let modules = folder(&workspace).join("node_modules");
        fs::create_dir_all(&modules).expect("directory");
        fs::write(modules.join(STAMP), "{}").expect("file");
        assert_eq!(installed(&workspace), Some(modules));
        fs::write(&packages, "{\"private\": true}").expect("file");
        assert_eq!(installed(&workspace), None);
    }
}

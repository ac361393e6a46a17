//! Tools of other projects that host tests compare with: bpftool, promtool and Redis.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::packages;
use crate::step;
use crate::toolchain::Facts;
use crate::workspace::Workspace;

/// A tool, and the package that has it.
struct Tool {
    /// Executable.
    name: &'static str,
    /// Debian's package.
    package: &'static str,
    /// Where the executable lies in the package, for one that is unpacked and not installed:
    /// installing it would start a server.
    unpacked: Option<&'static str>,
}

const TOOLS: [Tool; 3] = [
    Tool {
        name: "bpftool",
        package: "bpftool",
        unpacked: None,
    },
    Tool {
        name: "promtool",
        package: "prometheus",
        unpacked: Some("usr/bin/promtool"),
    },
    // The server itself, under another name, with its client and its benchmark; no service.
    Tool {
        name: "redis-check-rdb",
        package: "redis-tools",
        unpacked: None,
    },
];

/// Finds or installs each; says what cannot be had and what that leaves out.
pub(crate) fn install(workspace: &Workspace) {
    for tool in &TOOLS {
        let started = Instant::now();
        if let Some(path) = find(workspace, tool.name) {
            step::report(tool.name, path.display(), started.elapsed());
            continue;
        }
        match fetch(workspace, tool) {
            Ok(()) => step::report(tool.name, "installed", started.elapsed()),
            Err(error) => step::skipped(
                tool.name,
                format!(
                    "tests that need it will skip; install {}: {error:#}",
                    tool.package
                ),
            ),
        }
    }
}

/// Reports each, and tells whether all are there.
pub(crate) fn check(workspace: &Workspace) -> bool {
    TOOLS.iter().fold(true, |all, tool| {
        let started = Instant::now();
        let found = find(workspace, tool.name);
        match &found {
            Some(path) => step::report(tool.name, path.display(), started.elapsed()),
            None => println!(
                "{:<14} missing: setup would fetch {}",
                tool.name, tool.package
            ),
        }
        all && found.is_some()
    })
}

fn fetch(workspace: &Workspace, tool: &Tool) -> Result<()> {
    let installer = Facts::gather(workspace).installer;
    let Some(unpacked) = tool.unpacked else {
        return packages::install(installer, &[tool.package]);
    };
    let directory = workspace.target("tools").join(tool.package);
    packages::unpack(installer, tool.package, &directory)?;
    let (from, to) = (directory.join(unpacked), workspace.tools().join(tool.name));
    std::fs::create_dir_all(workspace.tools()).context("create the tools directory")?;
    std::fs::rename(&from, &to).with_context(|| format!("move {}", from.display()))?;
    std::fs::remove_dir_all(&directory).with_context(|| format!("remove {}", directory.display()))
}

/// System tools are often outside of an ordinary user's `PATH`.
fn find(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    let path = workspace.search_path();
    env::split_paths(&path)
        .chain(env::split_paths(OsStr::new("/usr/sbin:/sbin")))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_in_the_workspace_is_found_first() {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        std::fs::create_dir_all(workspace.tools()).expect("directory");
        std::fs::write(workspace.tools().join("sh"), "").expect("file");
        assert_eq!(find(&workspace, "sh"), Some(workspace.tools().join("sh")));
    }

    #[test]
    fn absent_tool_is_not_found() {
        let workspace = Workspace::at(std::path::Path::new("/nonexistent"));
        assert_eq!(find(&workspace, "voxprobe-no-such-tool"), None);
    }
}

//! Tools of other projects that host and config tests compare with or run: bpftool, Prometheus,
//! Alertmanager, Redis, networks, Podman, a browser and a terminal.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{emulator, packages};
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
    /// Files of that package that it reads, under `usr/`: kept in the same place under `tools/`.
    reads: &'static [&'static str],
}

const TOOLS: [Tool; 14] = [
    Tool {
        name: "bpftool",
        package: "bpftool",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "prometheus",
        package: "prometheus",
        unpacked: Some("usr/bin/prometheus"),
        reads: &[],
    },
    Tool {
        name: "promtool",
        package: "prometheus",
        unpacked: Some("usr/bin/promtool"),
        reads: &[],
    },
    Tool {
        name: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
        unpacked: Some("usr/bin/prometheus-alertmanager"),
        reads: &[
            "share/prometheus/alertmanager/default.tmpl",
            "share/prometheus/alertmanager/email.tmpl",
        ],
    },
    Tool {
        name: "amtool",
        package: "prometheus-alertmanager",
        unpacked: Some("usr/bin/amtool"),
        reads: &[],
    },
    // The server itself, under another name, with its client and its benchmark; no service.
    Tool {
        name: "redis-check-rdb",
        package: "redis-tools",
        unpacked: None,
        reads: &[],
    },
    // Opens the report.
    Tool {
        name: "chromium",
        package: "chromium",
        unpacked: None,
        reads: &[],
    },
    // Networks of their own, slow and lossy ones, and those of pods.
    Tool {
        name: "ip",
        package: "iproute2",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "iptables",
        package: "iptables",
        unpacked: None,
        reads: &[],
    },
    // Drives the live view.
    Tool {
        name: "tmux",
        package: "tmux",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "podman",
        package: "podman",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "runc",
        package: "runc",
        unpacked: None,
        reads: &[],
    },
    // What Podman needs for a pod: its first process, and its network (with iptables).
    Tool {
        name: "catatonit",
        package: "catatonit",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "netavark",
        package: "netavark",
        unpacked: None,
        reads: &[],
    },
];

/// What tells of a process's writes besides voxprobe: compared with it by `cargo xtask bench`.
const OTHERS: [Tool; 3] = [
    Tool {
        name: "bpftrace",
        package: "bpftrace",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "perf",
        package: "linux-perf",
        unpacked: None,
        reads: &[],
    },
    Tool {
        name: "strace",
        package: "strace",
        unpacked: None,
        reads: &[],
    },
];

/// The shell of those machines: a program that needs no library.
const BUSYBOX: Tool = Tool {
    name: "busybox",
    package: "busybox-static",
    unpacked: Some("bin/busybox"),
    reads: &[],
};

/// What running other kernels takes.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) qemu: PathBuf,
    pub(crate) busybox: PathBuf,
}

/// Finds or installs what running other kernels takes.
pub(crate) fn machines(workspace: &Workspace) -> Result<Machines> {
    Ok(Machines {
        qemu: emulator::get(workspace)?,
        busybox: require(workspace, &BUSYBOX)?,
    })
}

/// A tool, fetched where it is not here. One that is unpacked is the workspace's own, whatever else
/// has its name.
fn require(workspace: &Workspace, tool: &Tool) -> Result<PathBuf> {
    let present = || {
        if tool.unpacked.is_some() {
            Some(workspace.tools().join(tool.name)).filter(|path| path.is_file())
        } else {
            find(workspace, tool.name)
        }
    };
    if let Some(path) = present() {
        return Ok(path);
    }
    fetch(workspace, tool).with_context(|| format!("install {}", tool.package))?;
    present().with_context(|| format!("{} has no {}", tool.package, tool.name))
}

/// Finds or installs what host and config tests need; says what cannot be had and what that leaves out.
pub(crate) fn install(workspace: &Workspace) {
    install_each(workspace, &TOOLS, "tests that need it will skip");
}

/// The same for what voxprobe's cost is compared with.
pub(crate) fn install_others(workspace: &Workspace) {
    install_each(workspace, &OTHERS, "voxprobe is not compared with it");
}

fn install_each(workspace: &Workspace, tools: &[Tool], without: &str) {
    for tool in tools {
        let started = Instant::now();
        if let Some(path) = find(workspace, tool.name) {
            step::report(tool.name, path.display(), started.elapsed());
            continue;
        }
        match fetch(workspace, tool) {
            Ok(()) => step::report(tool.name, "installed", started.elapsed()),
            Err(error) => step::skipped(
                tool.name,
                format!("{without}; install {}: {error:#}", tool.package),
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
    if tool.unpacked.is_none() {
        return packages::install(installer, &[tool.package]);
    }
    let directory = workspace.target("tools").join(tool.package);
    packages::unpack(installer, tool.package, &directory)?;
    keep(workspace, tool.package, &directory)?;
    fs::remove_dir_all(&directory).with_context(|| format!("remove {}", directory.display()))
}

/// Moves every tool of an unpacked package, and what it reads, to where they are looked for.
fn keep(workspace: &Workspace, package: &str, unpacked: &Path) -> Result<()> {
    let all = TOOLS.iter().chain([&BUSYBOX]);
    for tool in all.filter(|tool| tool.package == package) {
        if let Some(program) = tool.unpacked {
            place(&unpacked.join(program), &workspace.tools().join(tool.name))?;
        }
        for file in tool.reads {
            place(
                &unpacked.join("usr").join(file),
                &workspace.target("tools").join(file),
            )?;
        }
    }
    Ok(())
}

fn place(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    fs::rename(from, to).with_context(|| format!("move {}", from.display()))
}

/// An installed program. System tools are often outside of an ordinary user's `PATH`, and Podman's helpers in a
/// folder of their own.
pub(crate) fn find(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    let path = workspace.search_path();
    env::split_paths(&path)
        .chain(env::split_paths(OsStr::new(
            "/usr/sbin:/sbin:/usr/lib/podman",
        )))
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
        fs::create_dir_all(workspace.tools()).expect("directory");
        fs::write(workspace.tools().join("sh"), "").expect("file");
        assert_eq!(find(&workspace, "sh"), Some(workspace.tools().join("sh")));
    }

    #[test]
    fn every_tool_of_an_unpacked_package_is_kept_with_what_it_reads() {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        let unpacked = root.path().join("unpacked");
        for (folder, file) in [
            ("usr/bin", "prometheus-alertmanager"),
            ("usr/bin", "amtool"),
            ("usr/share/prometheus/alertmanager", "default.tmpl"),
            ("usr/share/prometheus/alertmanager", "email.tmpl"),
        ] {
            fs::create_dir_all(unpacked.join(folder)).expect("directory");
            fs::write(unpacked.join(folder).join(file), "").expect("file");
        }
        keep(&workspace, "prometheus-alertmanager", &unpacked).expect("kept");
        assert!(workspace.tools().join("amtool").exists());
        assert!(workspace.tools().join("prometheus-alertmanager").exists());
        let templates = workspace.target("tools/share/prometheus/alertmanager");
        assert!(templates.join("default.tmpl").exists());
        assert!(!workspace.tools().join("promtool").exists());
    }

    #[test]
    fn absent_tool_is_not_found() {
        let workspace = Workspace::at(Path::new("/nonexistent"));
        assert_eq!(find(&workspace, "voxprobe-no-such-tool"), None);
    }
}

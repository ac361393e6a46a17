//! Where things lie, and how an inner cargo is started.
//!
//! Everything a task makes is under the target directory, so that `cargo clean` undoes it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The workspace's directories.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this task belongs to: the parent of xtask's own package.
    pub(crate) fn locate() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("find the workspace above xtask")?
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |named| root.join(named));
        Ok(Self { root, target })
    }

    /// A workspace at a place of the caller's.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            target: root.join("target"),
        }
    }

    /// The directory with the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path under the target directory.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// Tools that setup installed for this workspace alone.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target("tools/bin")
    }

    /// The eBPF object that the agent embeds.
    pub(crate) fn ebpf_object(&self) -> PathBuf {
        self.target("bpf/probe-ebpf")
    }

    /// A release binary or library of the host's build.
    pub(crate) fn release(&self, file: &str) -> PathBuf {
        self.target("release").join(file)
    }

    /// `PATH` with the workspace's own tools first.
    pub(crate) fn search_path(&self) -> OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.tools()).chain(env::split_paths(&inherited));
        // Joining fails only for a directory with `:` in its name, which no search can name.
        env::join_paths(paths).unwrap_or(inherited)
    }

    /// The cargo that runs this task, for the host's crates.
    ///
    /// What the outer cargo set for xtask itself is taken away, so that an inner build has the same
    /// fingerprint as one that a person starts.
    pub(crate) fn cargo(&self) -> Command {
        let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut cargo = Command::new(program);
        cargo.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(set_for_xtask) {
                cargo.env_remove(name);
            }
        }
        self.library_path(&mut cargo);
        cargo
    }

    /// Takes from `LD_LIBRARY_PATH` what cargo added for xtask: its own libraries would be loaded
    /// into another toolchain's programs.
    pub(crate) fn library_path(&self, command: &mut Command) {
        let Some(inherited) = env::var_os("LD_LIBRARY_PATH") else {
            return;
        };
        let kept: Vec<PathBuf> = env::split_paths(&inherited)
            .filter(|path| !self.added_by_cargo(path))
            .collect();
        match env::join_paths(&kept) {
            Ok(paths) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", paths),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }

    fn added_by_cargo(&self, path: &Path) -> bool {
        path.starts_with(&self.target)
            || path
                .components()
                .any(|part| part.as_os_str() == "toolchains")
    }
}

/// Variables that `cargo run` sets for the program it runs.
fn set_for_xtask(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || matches!(
            name,
            "CARGO_MANIFEST_DIR"
                | "CARGO_MANIFEST_PATH"
                | "CARGO_BIN_NAME"
                | "CARGO_CRATE_NAME"
                | "CARGO_PRIMARY_PACKAGE"
                | "OUT_DIR"
        )
}

/// Variables of a build for the host that must not reach the eBPF build: another compiler, its
/// flags, its target. What says how cargo reaches the outside (home, network, terminal) stays.
pub(crate) fn belongs_to_host_build(name: &str) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    let kept = KEPT.iter().any(|kept| name.starts_with(kept));
    let cargo = name == "CARGO" || name.starts_with("CARGO_");
    let rustc = name.starts_with("RUSTC") || name.starts_with("RUSTDOC");
    (cargo && !kept) || rustc || matches!(name, "RUSTFLAGS" | "RUSTUP_TOOLCHAIN" | "OUT_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ebpf_build_does_not_inherit_the_host_compiler() {
        for name in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(belongs_to_host_build(name), "{name}");
        }
    }

    #[test]
    fn ebpf_build_inherits_how_cargo_reaches_the_outside() {
        for name in [
            "CARGO_HOME",
            "CARGO_HTTP_CAINFO",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "PATH",
        ] {
            assert!(!belongs_to_host_build(name), "{name}");
        }
    }

    #[test]
    fn inner_cargo_loses_only_what_describes_xtask() {
        assert!(set_for_xtask("CARGO_PKG_VERSION"));
        assert!(set_for_xtask("CARGO_MANIFEST_DIR"));
        assert!(!set_for_xtask("CARGO_HOME"));
        assert!(!set_for_xtask("CARGO_TARGET_DIR"));
    }

    #[test]
    fn library_path_entry_of_a_toolchain_is_recognised() {
        let workspace = Workspace::at(Path::new("/src/voxprobe"));
        for added in [
            "/src/voxprobe/target/debug/deps",
            "/home/a/.rustup/toolchains/stable/lib",
        ] {
            assert!(workspace.added_by_cargo(Path::new(added)), "{added}");
        }
        assert!(!workspace.added_by_cargo(Path::new("/opt/cuda/lib64")));
    }
}

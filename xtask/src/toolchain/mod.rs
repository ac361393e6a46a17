//! The toolchain that builds the eBPF object.
//!
//! [`Facts`] says what the machine has, [`decide()`] what follows from it, [`Toolchain`] starts a
//! build with the result. Looking and deciding are apart, so that machines which have less than the
//! one at hand can be tested.

mod decide;
mod facts;

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

pub(crate) use decide::{BPF_LINKER, Decision, decide};
pub(crate) use facts::{Facts, Installer};

use crate::workspace::{Workspace, belongs_to_host_build};

/// The rustup toolchain that is looked for.
const NIGHTLY: &str = "nightly";
/// The distribution's compiler and cargo.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
const DISTRIBUTION_CARGO: &str = "/usr/bin/cargo";
/// Where a distribution keeps the standard library's source, and rustup within a toolchain.
const RUST_SOURCE: &str = "lib/rustlib/src/rust/library/core/src/lib.rs";

/// A rustc, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Version: major and minor number.
    pub(crate) version: (u32, u32),
    /// Major version of its LLVM.
    pub(crate) llvm: u32,
}

/// A `bpf-linker` that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Major version of its LLVM; `None` when it does not tell.
    pub(crate) llvm: Option<u32>,
}

/// Whose compiler builds the eBPF object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `rustup run nightly`.
    Rustup,
    /// The distribution's `/usr/bin/rustc`, with unstable features switched on.
    Distribution,
}

/// What is needed to build the eBPF object, all of it present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// Whose compiler.
    pub(crate) source: Source,
    /// The compiler.
    pub(crate) compiler: Compiler,
    /// The linker, whose LLVM reads what the compiler writes.
    pub(crate) linker: Linker,
}

impl Toolchain {
    /// Cargo for the eBPF crate: `subcommand`, such as `build`, with the flags every one needs.
    ///
    /// It has a target directory of its own, so that the two compilers do not undo each other's
    /// work.
    pub(crate) fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Command {
        let mut cargo = match self.source {
            Source::Rustup => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", NIGHTLY, "cargo"]);
                rustup
            }
            Source::Distribution => Command::new(DISTRIBUTION_CARGO),
        };
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(belongs_to_host_build) {
                cargo.env_remove(name);
            }
        }
        workspace.library_path(&mut cargo);
        if self.source == Source::Distribution {
            cargo
                .env("RUSTC", DISTRIBUTION_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
            .current_dir(workspace.root())
            .arg(subcommand)
            .args(["--package", "probe-ebpf", "--release"])
            .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
            .env("PATH", self.search_path(workspace))
            .env("CARGO_TARGET_DIR", workspace.target("bpf-build"))
            .env("RUSTC_WRAPPER", "")
            .env("RUSTFLAGS", rustflags(env::consts::ARCH))
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "2");
        cargo
    }

    /// `PATH` with the chosen linker's directory first: rustc looks for it by name.
    fn search_path(&self, workspace: &Workspace) -> std::ffi::OsString {
        let inherited = workspace.search_path();
        let linker = self.linker.path.parent().map(PathBuf::from);
        env::join_paths(linker.into_iter().chain(env::split_paths(&inherited))).unwrap_or(inherited)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Rustup => "rustup nightly",
            Source::Distribution => "distribution",
        };
        let (major, minor) = self.compiler.version;
        let (llvm, linker) = (self.compiler.llvm, self.linker.path.display());
        write!(f, "{source} rustc {major}.{minor} (LLVM {llvm}), {linker}")
    }
}

/// Flags of the eBPF build. `bpf_target_arch` is the architecture whose registers the programs
/// read, the host's; debug information and `--btf` give the object its BTF.
fn rustflags(arch: &str) -> String {
    format!("--cfg=bpf_target_arch=\"{arch}\" -Cdebuginfo=2 -Clink-arg=--btf")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::*;

    fn toolchain(source: Source) -> Toolchain {
        Toolchain {
            source,
            compiler: Compiler {
                version: (1, 96),
                llvm: 22,
            },
            linker: Linker {
                path: PathBuf::from("/opt/linker/bpf-linker"),
                llvm: Some(22),
            },
        }
    }

    fn variable(command: &Command, name: &str) -> Option<String> {
        command
            .get_envs()
            .find(|(key, _)| *key == OsStr::new(name))
            .and_then(|(_, value)| Some(value?.to_string_lossy().into_owned()))
    }

    #[test]
    fn distribution_build_names_its_compiler_and_own_target_directory() {
        let workspace = Workspace::at(Path::new("/src/voxprobe"));
        let cargo = toolchain(Source::Distribution).cargo(&workspace, "build");
        assert_eq!(cargo.get_program(), DISTRIBUTION_CARGO);
        assert_eq!(
            variable(&cargo, "RUSTC").as_deref(),
            Some(DISTRIBUTION_RUSTC)
        );
        assert_eq!(variable(&cargo, "RUSTC_BOOTSTRAP").as_deref(), Some("1"));
        assert_eq!(
            variable(&cargo, "CARGO_TARGET_DIR").as_deref(),
            Some("/src/voxprobe/target/bpf-build"),
        );
        let path = variable(&cargo, "PATH").expect("PATH is set");
        assert!(path.starts_with("/opt/linker:"), "{path}");
    }

    #[test]
    fn rustup_build_leaves_the_compiler_to_rustup() {
        let workspace = Workspace::at(Path::new("/src/voxprobe"));
        let cargo = toolchain(Source::Rustup).cargo(&workspace, "build");
        assert_eq!(cargo.get_program(), "rustup");
        assert_eq!(variable(&cargo, "RUSTC"), None);
        assert_eq!(variable(&cargo, "RUSTC_BOOTSTRAP"), None);
    }

    #[test]
    fn flags_carry_the_architecture_of_the_host() {
        assert!(rustflags("aarch64").contains("--cfg=bpf_target_arch=\"aarch64\""));
    }
}

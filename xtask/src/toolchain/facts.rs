//! What the machine has for building eBPF.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Compiler, DISTRIBUTION_CARGO, DISTRIBUTION_RUSTC, Linker, NIGHTLY, RUST_SOURCE};
use crate::step;
use crate::workspace::Workspace;

/// How packages of the distribution can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installer {
    /// `apt-get`, as root.
    Apt,
    /// `sudo apt-get`, where sudo asks for no password.
    SudoApt,
}

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// rustup's nightly.
    pub(crate) nightly: Option<Compiler>,
    /// Whether that nightly has the rust-src component.
    pub(crate) nightly_source: bool,
    /// The distribution's compiler: `/usr/bin/rustc`, unless that is a front of rustup.
    pub(crate) distribution: Option<Compiler>,
    /// Whether the distribution's cargo and the library's source are there too.
    pub(crate) distribution_source: bool,
    /// Linkers, the workspace's own first, then in the order of `PATH`.
    pub(crate) linkers: Vec<Linker>,
    /// Major versions of the LLVM libraries that a linker can be built with.
    pub(crate) llvm_dev: Vec<u32>,
    /// How packages can be installed, if at all.
    pub(crate) installer: Option<Installer>,
}

impl Facts {
    /// Looks at this machine.
    pub(crate) fn gather(workspace: &Workspace) -> Self {
        let nightly_rustc = || {
            let mut rustup = Command::new("rustup");
            // Looking must not install anything.
            rustup
                .args(["run", NIGHTLY, "rustc"])
                .env("RUSTUP_AUTO_INSTALL", "0");
            rustup
        };
        let distribution_rustc = || Command::new(DISTRIBUTION_RUSTC);
        // A rustc in /usr/bin whose libraries are elsewhere is rustup's front, not a compiler.
        let distribution_here =
            sysroot(distribution_rustc()).is_some_and(|at| at == Path::new("/usr"));
        Self {
            nightly: compiler(nightly_rustc()),
            nightly_source: sysroot(nightly_rustc())
                .is_some_and(|at| at.join(RUST_SOURCE).exists()),
            distribution: distribution_here
                .then(|| compiler(distribution_rustc()))
                .flatten(),
            distribution_source: Path::new("/usr").join(RUST_SOURCE).exists()
                && Path::new(DISTRIBUTION_CARGO).exists(),
            linkers: linkers(workspace),
            llvm_dev: llvm_dev(Path::new("/usr/lib")),
            installer: installer(),
        }
    }
}

fn compiler(mut rustc: Command) -> Option<Compiler> {
    parse_compiler(&step::answer(rustc.arg("-vV"))?)
}

fn sysroot(mut rustc: Command) -> Option<PathBuf> {
    let answer = step::answer(rustc.args(["--print", "sysroot"]))?;
    Some(PathBuf::from(answer.trim()))
}

/// Reads `rustc -vV`: lines `release: 1.96.0` and `LLVM version: 22.1.8`.
fn parse_compiler(text: &str) -> Option<Compiler> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let mut release = field("release: ")?.split('.');
    Some(Compiler {
        version: (release.next()?.parse().ok()?, release.next()?.parse().ok()?),
        llvm: major(field("LLVM version: ")?)?,
    })
}

/// The digits at the start of a version.
fn major(version: &str) -> Option<u32> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

fn linkers(workspace: &Workspace) -> Vec<Linker> {
    let mut found: Vec<Linker> = Vec::new();
    for directory in env::split_paths(&workspace.search_path()) {
        let path = directory.join("bpf-linker");
        if path.is_file() && found.iter().all(|linker| linker.path != path) {
            let llvm = linker_llvm(&path);
            found.push(Linker { path, llvm });
        }
    }
    found
}

/// The LLVM of a linker: the shared library it loads or, where it is linked in, the version string
/// that LLVM leaves in every program.
fn linker_llvm(linker: &Path) -> Option<u32> {
    let shared = step::answer(Command::new("ldd").arg(linker));
    shared.as_deref().and_then(parse_shared_llvm).or_else(|| {
        let mut grep = Command::new("grep");
        grep.args(["-a", "-o", "-E", "-m", "1", r"LLVM[0-9]+\.[0-9]+\.[0-9]+"])
            .arg(linker);
        major(
            step::answer(&mut grep)?
                .lines()
                .next()?
                .strip_prefix("LLVM")?,
        )
    })
}

/// Reads `ldd`: `libLLVM.so.22.1 => …`, or `libLLVM-18.so => …` of older packages.
fn parse_shared_llvm(text: &str) -> Option<u32> {
    let library = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("libLLVM"))?;
    if library.contains("not found") {
        return None;
    }
    let version = library
        .strip_prefix("libLLVM.so.")
        .or_else(|| library.strip_prefix("libLLVM-"))?;
    major(version)
}

/// LLVM development files: directories `llvm-N` that have `llvm-config`.
fn llvm_dev(libraries: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(libraries) else {
        return Vec::new();
    };
    let mut versions: Vec<u32> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("bin/llvm-config").exists())
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("llvm-")?
                .parse()
                .ok()
        })
        .collect();
    versions.sort_unstable();
    versions
}

fn installer() -> Option<Installer> {
    step::answer(Command::new("apt-get").arg("--version"))?;
    if rustix::process::geteuid().is_root() {
        return Some(Installer::Apt);
    }
    step::answer(Command::new("sudo").args(["-n", "true"])).map(|_| Installer::SudoApt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_version_gives_release_and_llvm() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
                    binary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\n\
                    LLVM version: 22.1.8\n";
        assert_eq!(
            parse_compiler(text),
            Some(Compiler {
                version: (1, 96),
                llvm: 22
            })
        );
    }

    #[test]
    fn nightly_release_gives_its_numbers() {
        let text = "release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(
            parse_compiler(text),
            Some(Compiler {
                version: (1, 97),
                llvm: 22
            })
        );
    }

    #[test]
    fn version_without_llvm_is_no_compiler() {
        assert_eq!(parse_compiler("release: 1.96.0\n"), None);
        assert_eq!(parse_compiler(""), None);
    }

    #[test]
    fn shared_llvm_is_read_in_both_spellings() {
        let new =
            "\tlinux-vdso.so.1 (0x1)\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1\n";
        assert_eq!(parse_shared_llvm(new), Some(22));
        assert_eq!(
            parse_shared_llvm("\tlibLLVM-18.so => /usr/lib/libLLVM-18.so\n"),
            Some(18)
        );
    }

    #[test]
    fn linker_whose_llvm_is_gone_tells_none() {
        assert_eq!(parse_shared_llvm("\tlibLLVM.so.22.1 => not found\n"), None);
        assert_eq!(parse_shared_llvm("\tstatically linked\n"), None);
    }

    #[test]
    fn llvm_without_development_files_is_not_listed() {
        let libraries = tempfile::tempdir().expect("temporary directory");
        for directory in ["llvm-21/bin", "llvm-22/bin", "llvm-22/lib", "llvm-x/bin"] {
            fs::create_dir_all(libraries.path().join(directory)).expect("directory");
        }
        fs::write(libraries.path().join("llvm-22/bin/llvm-config"), "").expect("file");
        fs::write(libraries.path().join("llvm-x/bin/llvm-config"), "").expect("file");
        assert_eq!(llvm_dev(libraries.path()), [22]);
    }
}

//! From what the machine has to what is to be done.

use super::{Compiler, Facts, Linker, Source, Toolchain};

/// The `bpf-linker` that is built where none fits.
pub(crate) const BPF_LINKER: &str = "0.13.0";
/// LLVM versions that this `bpf-linker` has a feature for.
const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// The distribution's compiler, cargo and library source.
const DISTRIBUTION_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What follows from the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// All is there.
    Ready(Toolchain),
    /// These packages come next; then look again.
    InstallPackages(Vec<String>),
    /// A linker for this LLVM comes next; then look again.
    BuildLinker {
        /// Major version.
        llvm: u32,
    },
    /// Nothing can be done here: what a person has to install.
    Missing(String),
}

/// Chooses: rustup's nightly where it is complete, else the distribution's compiler, else whichever
/// of the two can be completed with the least.
pub(crate) fn decide(facts: &Facts) -> Decision {
    let nightly = facts.nightly.as_ref().filter(|_| facts.nightly_source);
    let distribution = facts
        .distribution
        .as_ref()
        .filter(|compiler| facts.distribution_source && compiler.version >= minimum());

    let candidates = [
        (Source::Rustup, nightly),
        (Source::Distribution, distribution),
    ];
    let present = || {
        candidates
            .iter()
            .filter_map(|(source, at)| Some((*source, (*at)?)))
    };

    if let Some(toolchain) = present().find_map(|(source, at)| complete(facts, source, at)) {
        return Decision::Ready(toolchain);
    }
    let buildable = |llvm: &u32| LINKER_LLVMS.contains(llvm);
    if let Some(llvm) = present()
        .map(|(_, compiler)| compiler.llvm)
        .filter(buildable)
        .find(|llvm| facts.llvm_dev.contains(llvm))
    {
        return Decision::BuildLinker { llvm };
    }
    match (distribution, facts.installer) {
        (Some(at), Some(_)) if buildable(&at.llvm) => {
            Decision::InstallPackages(vec![format!("llvm-{}-dev", at.llvm)])
        }
        (None, Some(_)) => {
            Decision::InstallPackages(DISTRIBUTION_PACKAGES.map(String::from).to_vec())
        }
        _ => Decision::Missing(remedy(facts)),
    }
}

/// A linker can read what a compiler wrote when its LLVM is at least the compiler's. One that does
/// not tell its LLVM is not taken.
fn complete(facts: &Facts, source: Source, compiler: &Compiler) -> Option<Toolchain> {
    let reads = |linker: &&Linker| linker.llvm.is_some_and(|llvm| llvm >= compiler.llvm);
    let linker = facts.linkers.iter().find(reads)?.clone();
    Some(Toolchain {
        source,
        compiler: compiler.clone(),
        linker,
    })
}

/// The workspace's minimum Rust version, as cargo enforces it.
fn minimum() -> (u32, u32) {
    let mut numbers = env!("CARGO_PKG_RUST_VERSION").split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (u32::MAX, u32::MAX),
    }
}

fn remedy(facts: &Facts) -> String {
    let nightly = match (&facts.nightly, facts.nightly_source) {
        (None, _) => "rustup has no nightly".to_string(),
        (Some(_), false) => "rustup's nightly lacks the rust-src component".to_string(),
        (Some(at), true) => format!("rustup's nightly writes LLVM {} bitcode", at.llvm),
    };
    let linkers = if facts.linkers.is_empty() {
        "no bpf-linker".to_string()
    } else {
        let each: Vec<String> = facts.linkers.iter().map(describe).collect();
        format!("bpf-linker {}", each.join(", "))
    };
    let (major, minor) = minimum();
    format!(
        "no toolchain for eBPF ({nightly}; {linkers}). Install one of: \
         (1) `rustup toolchain install nightly --component rust-src` and a bpf-linker of the same \
         LLVM or a newer one; \
         (2) on Debian, as root: `apt-get install {}` (rustc {major}.{minor} or newer) and the \
         llvm-N-dev of the LLVM that `rustc -vV` names; `cargo xtask setup` then builds bpf-linker",
        DISTRIBUTION_PACKAGES.join(" "),
    )
}

fn describe(linker: &Linker) -> String {
    match linker.llvm {
        Some(llvm) => format!("{} with LLVM {llvm}", linker.path.display()),
        None => format!("{} with an unknown LLVM", linker.path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Installer;
    use super::*;

    fn rustc(llvm: u32) -> Compiler {
        Compiler {
            version: minimum(),
            llvm,
        }
    }

    fn linker(path: &str, llvm: Option<u32>) -> Linker {
        Linker {
            path: path.into(),
            llvm,
        }
    }

    fn chosen(facts: &Facts) -> Option<(Source, String)> {
        match decide(facts) {
            Decision::Ready(toolchain) => Some((
                toolchain.source,
                toolchain.linker.path.display().to_string(),
            )),
            _ => None,
        }
    }

    #[test]
    fn minimum_version_is_the_workspaces() {
        assert!(minimum() >= (1, 95) && minimum() < (u32::MAX, 0));
    }

    #[test]
    fn complete_nightly_is_preferred_to_the_distribution() {
        let facts = Facts {
            nightly: Some(rustc(22)),
            nightly_source: true,
            distribution: Some(rustc(22)),
            distribution_source: true,
            linkers: vec![linker("/a", Some(22))],
            ..Facts::default()
        };
        assert_eq!(chosen(&facts), Some((Source::Rustup, "/a".into())));
    }

    #[test]
    fn nightly_without_source_gives_way_to_the_distribution() {
        let facts = Facts {
            nightly: Some(rustc(22)),
            nightly_source: false,
            distribution: Some(rustc(22)),
            distribution_source: true,
            linkers: vec![linker("/a", Some(22))],
            ..Facts::default()
        };
        assert_eq!(chosen(&facts), Some((Source::Distribution, "/a".into())));
    }

    #[test]
    fn linker_older_than_the_compiler_is_passed_over() {
        let facts = Facts {
            distribution: Some(rustc(22)),
            distribution_source: true,
            linkers: vec![
                linker("/old", Some(21)),
                linker("/untold", None),
                linker("/new", Some(23)),
            ],
            ..Facts::default()
        };
        assert_eq!(chosen(&facts), Some((Source::Distribution, "/new".into())));
    }

    #[test]
    fn nightly_too_new_for_the_linker_gives_way_to_a_complete_distribution() {
        let facts = Facts {
            nightly: Some(rustc(23)),
            nightly_source: true,
            distribution: Some(rustc(22)),
            distribution_source: true,
            linkers: vec![linker("/a", Some(22))],
            ..Facts::default()
        };
        assert_eq!(chosen(&facts), Some((Source::Distribution, "/a".into())));
    }

    #[test]
    fn bare_machine_with_apt_installs_in_three_steps() {
        let mut facts = Facts {
            installer: Some(Installer::Apt),
            ..Facts::default()
        };
        let compiler = ["rustc-web", "cargo-web", "rust-web-src"]
            .map(String::from)
            .to_vec();
        assert_eq!(decide(&facts), Decision::InstallPackages(compiler));

        facts.distribution = Some(rustc(22));
        facts.distribution_source = true;
        assert_eq!(
            decide(&facts),
            Decision::InstallPackages(vec!["llvm-22-dev".into()])
        );

        facts.llvm_dev = vec![14, 22];
        assert_eq!(decide(&facts), Decision::BuildLinker { llvm: 22 });

        facts.linkers = vec![linker("/a", Some(22))];
        assert_eq!(chosen(&facts), Some((Source::Distribution, "/a".into())));
    }

    #[test]
    fn compiler_older_than_the_workspace_is_replaced() {
        let facts = Facts {
            distribution: Some(Compiler {
                version: (1, 63),
                llvm: 14,
            }),
            distribution_source: true,
            installer: Some(Installer::SudoApt),
            ..Facts::default()
        };
        assert!(matches!(decide(&facts), Decision::InstallPackages(list) if list.len() == 3));
    }

    #[test]
    fn compiler_without_its_source_is_completed() {
        let facts = Facts {
            distribution: Some(rustc(22)),
            distribution_source: false,
            installer: Some(Installer::Apt),
            ..Facts::default()
        };
        assert!(matches!(decide(&facts), Decision::InstallPackages(list) if list.len() == 3));
    }

    #[test]
    fn nightly_with_llvm_libraries_needs_only_a_linker() {
        let facts = Facts {
            nightly: Some(rustc(22)),
            nightly_source: true,
            llvm_dev: vec![22],
            ..Facts::default()
        };
        assert_eq!(decide(&facts), Decision::BuildLinker { llvm: 22 });
    }

    #[test]
    fn llvm_that_no_linker_supports_is_not_built_for() {
        let facts = Facts {
            distribution: Some(rustc(19)),
            distribution_source: true,
            llvm_dev: vec![19],
            installer: Some(Installer::Apt),
            ..Facts::default()
        };
        assert!(matches!(decide(&facts), Decision::Missing(_)));
    }

    #[test]
    fn bare_machine_without_apt_is_told_what_to_install() {
        let facts = Facts {
            nightly: Some(rustc(22)),
            ..Facts::default()
        };
        let Decision::Missing(text) = decide(&facts) else {
            panic!("nothing can be installed")
        };
        for part in [
            "rust-src",
            "bpf-linker",
            "apt-get install rustc-web",
            "llvm-N-dev",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

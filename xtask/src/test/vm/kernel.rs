//! Kernels to test on, as Debian builds them for clouds: fetched once, kept in `target/vm/kernels`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::repository::{Archive, Repository};
use crate::step;
use crate::workspace::Workspace;

/// A series of kernels: the oldest that is worth a word, those with long support, the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    V5_10,
    V6_1,
    V6_12,
    V6_18,
    V7_3,
}

impl Series {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
            Self::V7_3 => "7.3",
        }
    }

    /// Where Debian has it.
    fn suite(self) -> (Archive, &'static str) {
        match self {
            Self::V5_10 => (Archive::Security, "bullseye-security"),
            Self::V6_1 | Self::V6_12 => (Archive::Security, "bookworm-security"),
            Self::V6_18 | Self::V7_3 => (Archive::Main, "trixie-backports"),
        }
    }
}

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Full version, as `uname -r` gives it.
    pub(super) release: String,
    /// The file to boot.
    pub(super) image: PathBuf,
}

impl Kernel {
    /// The kernel that is kept, or the newest of its series.
    pub(super) fn get(workspace: &Workspace, series: Series) -> Result<Self> {
        let folder = workspace.target("vm/kernels").join(series.name());
        if let Some(kept) = Self::kept(&folder) {
            return Ok(kept);
        }
        let started = Instant::now();
        let (archive, suite) = series.suite();
        let repository = Repository::open(workspace, archive, suite)?;
        let names = repository.packages("linux-")?;
        let package = newest(series, &names)
            .with_context(|| format!("{suite} has no kernel {}", series.name()))?;
        let unpacked = folder.join("unpacked");
        repository.unpack(package, &unpacked)?;
        let image =
            find(&unpacked).with_context(|| format!("{package} has no file that can be booted"))?;
        fs::rename(&image, folder.join("vmlinuz")).context("keep the kernel")?;
        fs::remove_dir_all(&unpacked).context("remove the rest of the kernel's package")?;
        // Last: what it names is complete.
        fs::write(folder.join("release"), release(package)).context("name the kernel")?;
        step::report("kernel", package, started.elapsed());
        Self::kept(&folder).context("keep the kernel")
    }

    fn kept(folder: &Path) -> Option<Self> {
        Some(Self {
            release: fs::read_to_string(folder.join("release")).ok()?,
            image: Some(folder.join("vmlinuz")).filter(|image| image.exists())?,
        })
    }
}

/// What a package's name begins with. From 7.2 on the kernel itself is in `linux-binary-`.
const PREFIXES: [&str; 2] = ["linux-binary-", "linux-image-"];

/// Version of the kernel in a package.
fn release(package: &str) -> &str {
    PREFIXES
        .iter()
        .find_map(|prefix| package.strip_prefix(prefix))
        .unwrap_or(package)
}

/// The newest package of a series, and of the two parts of one kernel the one that can be booted.
fn newest(series: Series, names: &[String]) -> Option<&str> {
    let of_series = |name: &&str| {
        let version = release(name).strip_prefix(series.name());
        version.is_some_and(|rest| rest.starts_with('.')) && name.ends_with("-cloud-amd64")
    };
    PREFIXES.iter().find_map(|prefix| {
        names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with(prefix))
            .filter(of_series)
            .max_by_key(|name| numbers(release(name)))
    })
}

/// The numbers in a version, by which two of one series are compared.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The kernel's file below a folder. Links are left alone.
fn find(folder: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.filter_map(Result::ok) {
        let path = entry.path();
        let kind = entry.file_type().ok()?;
        let named = entry.file_name().to_string_lossy().starts_with("vmlinuz");
        if kind.is_file() && named {
            return Some(path);
        }
        if kind.is_dir()
            && let Some(found) = find(&path)
        {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(series: Series, names: &[&str]) -> Option<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        newest(series, &names).map(str::to_string)
    }

    #[test]
    fn newest_kernel_is_chosen_by_its_numbers() {
        let names = [
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.118+deb12-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
        ];
        assert_eq!(chosen(Series::V6_12, &names).as_deref(), Some(names[1]));
        assert_eq!(chosen(Series::V6_1, &names).as_deref(), Some(names[4]));
        assert_eq!(chosen(Series::V7_3, &names), None);
    }

    #[test]
    fn of_a_kernel_in_parts_the_binary_is_chosen() {
        let names = [
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
        ];
        let package = chosen(Series::V7_3, &names).expect("a kernel");
        assert_eq!(package, names[1]);
        assert_eq!(release(&package), "7.3.4+deb13-cloud-amd64");
    }

    #[test]
    fn kernel_is_kept_only_once_it_is_complete() {
        let folder = tempfile::tempdir().expect("temporary directory");
        fs::write(folder.path().join("vmlinuz"), "kernel").expect("write");
        assert!(Kernel::kept(folder.path()).is_none(), "it has no name yet");
        fs::write(folder.path().join("release"), "6.1.0").expect("write");
        let kept = Kernel::kept(folder.path()).expect("complete");
        assert_eq!(kept.release, "6.1.0");
    }

    #[test]
    fn kernel_is_found_wherever_its_package_has_it() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let deep = folder.path().join("usr/lib/modules/7.3");
        fs::create_dir_all(&deep).expect("directories");
        fs::write(deep.join("vmlinuz"), "kernel").expect("write");
        assert_eq!(find(folder.path()), Some(deep.join("vmlinuz")));
    }
}

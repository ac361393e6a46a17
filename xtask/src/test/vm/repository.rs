//! A suite of Debian that this machine does not use itself: apt reads it with lists and settings of its
//! own, from the mirror that this machine uses, and installs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step;
use crate::workspace::Workspace;

/// The two of Debian's archives that have kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archive {
    Main,
    Security,
}

impl Archive {
    /// Last part of its address.
    fn folder(self) -> &'static str {
        match self {
            Self::Main => "debian",
            Self::Security => "debian-security",
        }
    }
}

/// One suite, with its lists.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Fetches the lists of a suite.
    pub(super) fn open(workspace: &Workspace, archive: Archive, suite: &str) -> Result<Self> {
        let mut targets = Command::new("apt-get");
        targets.args([
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
        ]);
        let known = step::answer(&mut targets)
            .context("kernels are fetched by apt-get, which is not here")?;
        let mirror = mirror(&known, archive).with_context(|| {
            format!(
                "kernels come from Debian; this machine's apt has no {}",
                archive.folder()
            )
        })?;
        let folder = workspace.target("vm/apt").join(suite);
        for part in ["lists/partial", "cache/archives/partial", "state"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        }
        fs::write(
            folder.join("sources.list"),
            format!("deb {mirror} {suite} main\n"),
        )
        .context("write the list of sources")?;
        let repository = Self { folder };
        step::run_quietly(repository.apt("apt-get").args(["--quiet", "update"]))?;
        Ok(repository)
    }

    /// Names of packages that begin so.
    pub(super) fn packages(&self, prefix: &str) -> Result<Vec<String>> {
        let names = step::answer(self.apt("apt-cache").args(["pkgnames", prefix]))
            .context("ask apt-cache for the names of kernels")?;
        Ok(names.lines().map(str::to_string).collect())
    }

    /// Fetches a package and unpacks it into a folder.
    pub(super) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
        let mut download = self.apt("apt-get");
        download.args(["--quiet", "download", package]);
        step::run_quietly(download.current_dir(into))?;
        let fetched = fs::read_dir(into)
            .with_context(|| format!("read {}", into.display()))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let Some(fetched) = fetched else {
            bail!("{package} was not fetched");
        };
        let mut dpkg = Command::new("dpkg");
        step::run_quietly(dpkg.arg("--extract").arg(&fetched).arg(into))?;
        fs::remove_file(&fetched).with_context(|| format!("remove {}", fetched.display()))
    }

    /// A program of apt that knows this suite alone.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (key, part) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::SourceParts", "none"),
            ("Dir::State", "state"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            let path = self.folder.join(part);
            command
                .arg("--option")
                .arg(format!("{key}={}", path.display()));
        }
        // Its own user cannot write into a folder of ours.
        command.args(["--option", "APT::Sandbox::User=root"]);
        command.args(["--option", "Acquire::Languages=none"]);
        command
    }
}

/// The address of an archive among those that apt uses.
fn mirror(known: &str, archive: Archive) -> Option<&str> {
    known.lines().map(str::trim).find(|address| {
        let path = address.trim_end_matches('/');
        path.rsplit('/').next() == Some(archive.folder())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_the_one_that_apt_uses() {
        let known = "http://mirror.example/debian-security/\nhttps://example.com/apt/\n\
                     http://mirror.example/debian/\n";
        assert_eq!(
            mirror(known, Archive::Main),
            Some("http://mirror.example/debian/")
        );
        assert_eq!(
            mirror(known, Archive::Security),
            Some("http://mirror.example/debian-security/")
        );
        assert_eq!(
            mirror("http://mirror.example/ubuntu/\n", Archive::Main),
            None
        );
    }
}

//! Packages of the distribution, through `apt-get`.

use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::step;
use crate::toolchain::Installer;

/// Installs packages, or newer versions of those that are there.
pub(crate) fn install(installer: Option<Installer>, packages: &[&str]) -> Result<()> {
    let installer =
        installer.context("packages need apt-get and root, or sudo without password")?;
    let started = Instant::now();
    let what = packages.join(" ");
    println!("{:<14} installing {what}", "packages");
    renew_lists(installer);
    let mut apt = apt_get(installer);
    // Nothing that the machine's owner chose is removed to make room.
    apt.args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(packages);
    step::run_quietly(&mut apt)?;
    step::report("packages", what, started.elapsed());
    Ok(())
}

/// Unpacks one package into a directory without installing it: no service is started, no file of
/// the system changes. Privilege is needed only where the package lists have to be renewed.
pub(crate) fn unpack(installer: Option<Installer>, package: &str, into: &Path) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
    if let Some(installer) = installer {
        renew_lists(installer);
    }
    let mut apt = Command::new("apt-get");
    step::run_quietly(apt.args(["download", "--quiet", package]).current_dir(into))?;
    let prefix = format!("{package}_");
    let archive = std::fs::read_dir(into)
        .with_context(|| format!("read {}", into.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix))
                && path.extension().is_some_and(|extension| extension == "deb")
        })
        .with_context(|| format!("find the package {package} that was fetched"))?;
    step::run_quietly(
        Command::new("dpkg")
            .arg("--extract")
            .arg(&archive)
            .arg(into),
    )?;
    std::fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))
}

/// Unpacks a package, and all that it needs and that is not installed, into a directory. Packages whose names
/// begin with `family` are taken for absent: another version of them may be installed, and stays.
pub(crate) fn unpack_whole(
    installer: Option<Installer>,
    package: &str,
    family: &str,
    into: &Path,
) -> Result<()> {
    if let Some(installer) = installer {
        renew_lists(installer);
    }
    let archives = into.join("archives");
    std::fs::create_dir_all(archives.join("partial"))
        .with_context(|| format!("create {}", archives.display()))?;
    let status = into.join("status");
    let installed = std::fs::read_to_string("/var/lib/dpkg/status")
        .context("read which packages are installed")?;
    std::fs::write(&status, without(&installed, family))
        .with_context(|| format!("write {}", status.display()))?;
    let mut apt = Command::new("apt-get");
    apt.args([
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
        "--download-only",
    ])
    .arg("-o")
    .arg(format!("Dir::State::status={}", status.display()))
    .arg("-o")
    .arg(format!("Dir::Cache::archives={}/", archives.display()))
    .arg(package);
    step::run_quietly(&mut apt)?;
    let entries =
        std::fs::read_dir(&archives).with_context(|| format!("read {}", archives.display()))?;
    for archive in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if archive
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            let mut dpkg = Command::new("dpkg");
            step::run_quietly(dpkg.arg("--extract").arg(&archive).arg(into))?;
        }
    }
    std::fs::remove_dir_all(&archives).with_context(|| format!("remove {}", archives.display()))
}

/// What is installed, but for the packages of a family.
fn without(status: &str, family: &str) -> String {
    let is_of_family = |stanza: &&str| {
        let name = stanza
            .lines()
            .find_map(|line| line.strip_prefix("Package: "));
        name.is_some_and(|name| name.starts_with(family))
    };
    let kept = status.split("\n\n").filter(|stanza| !is_of_family(stanza));
    kept.collect::<Vec<_>>().join("\n\n")
}

/// Renews the package lists, once for all that this run installs: with old lists an install succeeds
/// and brings old versions. Where that fails, what the lists hold is tried all the same.
fn renew_lists(installer: Installer) {
    static RENEWED: Once = Once::new();
    RENEWED.call_once(|| {
        if let Err(error) = step::run_quietly(apt_get(installer).arg("update")) {
            step::skipped("package lists", format_args!("not renewed: {error:#}"));
        }
    });
}

fn apt_get(installer: Installer) -> Command {
    let mut command = match installer {
        Installer::Apt => Command::new("env"),
        Installer::SudoApt => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "env"]);
            sudo
        }
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_an_installer_are_refused() {
        let error = install(None, &["rustc-web"]).expect_err("nothing can install");
        assert!(error.to_string().contains("apt-get and root"), "{error}");
    }

    #[test]
    fn family_is_taken_for_absent() {
        let status = "Package: qemu-utils\nStatus: ok\n\nPackage: sed\nDepends: qemu-x\n";
        assert_eq!(without(status, "qemu-"), "Package: sed\nDepends: qemu-x\n");
    }

    #[test]
    fn sudo_passes_the_question_mode_on() {
        let command = apt_get(Installer::SudoApt);
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(command.get_program(), "sudo");
        assert_eq!(
            arguments,
            [
                "-n",
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "--quiet"
            ]
        );
    }
}

//! The initial file system of every machine: the tests, what they start, and a shell to start them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::test::environment::Environment;
use crate::workspace::Workspace;
use crate::{rootfs, step};

/// The test binary, where the machines have it.
pub(super) const TESTS: &str = "/host-tests";

/// The agent and the voice system, likewise.
pub(super) const AGENT: &str = "/voxprobe";
pub(super) const VOICELAB: &str = "/voicelab";

/// First program of a machine.
const INIT: &str = include_str!("init.sh");

/// Names that the tests look up.
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// Builds the test binary and puts everything together; gives the archive.
pub(super) fn build(
    workspace: &Workspace,
    environment: &Environment,
    busybox: &Path,
) -> Result<PathBuf> {
    let tests = host_tests(workspace, environment)?;
    let started = Instant::now();
    let folder = workspace.target("vm/image");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    rootfs::copy(busybox, &folder.join("bin/busybox"))?;
    write(&folder.join("init"), INIT)?;
    write(&folder.join("etc/hosts"), HOSTS)?;
    for (program, place) in [
        (&tests, TESTS),
        (&workspace.release("voxprobe"), AGENT),
        (&workspace.release("voicelab"), VOICELAB),
    ] {
        add(
            program,
            &folder.join(place.trim_start_matches('/')),
            &folder,
        )?;
    }
    // The tests look for it where the build put it.
    let peer = workspace.target("debug/socket-peer");
    add(&peer, &rootfs::place(&peer, &folder)?, &folder)?;
    let archive = workspace.target("vm/image.cpio");
    pack(&folder, busybox, &archive)?;
    step::report("vm image", archive.display(), started.elapsed());
    Ok(archive)
}

/// Packs a folder as a kernel takes its first file system.
pub(super) fn pack(folder: &Path, busybox: &Path, archive: &Path) -> Result<()> {
    let mut cpio = Command::new("sh");
    cpio.args(["-c", "find . | \"$0\" cpio -o -H newc -R 0:0 > \"$1\""])
        .arg(busybox)
        .arg(archive)
        .current_dir(folder);
    step::run_quietly(&mut cpio)
}

/// Puts a program at a place in the image, without symbols, and its libraries at theirs.
pub(super) fn add(program: &Path, place: &Path, image: &Path) -> Result<()> {
    rootfs::copy(program, place)?;
    rootfs::strip(place)?;
    for library in rootfs::libraries(program)? {
        rootfs::place(&library, image)?;
    }
    Ok(())
}

/// Writes a file that everybody may read and run.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text).with_context(|| format!("write {}", new.display()))?;
    rootfs::copy(&new, path)?;
    fs::remove_file(&new).with_context(|| format!("remove {}", new.display()))
}

/// Builds the host tests and gives their binary.
fn host_tests(workspace: &Workspace, environment: &Environment) -> Result<PathBuf> {
    let started = Instant::now();
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "-p", "probe-tests", "--test", "host", "--no-run"])
        .args(["--message-format", "json"]);
    environment.apply(&mut cargo);
    let built = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo test")?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let tests = executable(&messages).context("the host tests were not built")?;
    step::report("vm tests", tests.display(), started.elapsed());
    Ok(tests)
}

/// The test binary among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let target = message.get("target")?.get("name")?.as_str()?;
        let path = message.get("executable")?.as_str()?;
        (target == "host").then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_read_from_the_messages_of_cargo() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"socket-peer\"},\
                        \"executable\":\"/target/debug/socket-peer\"}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"host\"},\
                        \"executable\":\"/target/debug/deps/host-1\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        let expected = Some(PathBuf::from("/target/debug/deps/host-1"));
        assert_eq!(executable(messages), expected);
        assert_eq!(executable("{\"reason\":\"build-finished\"}"), None);
    }
}

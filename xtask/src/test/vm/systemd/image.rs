//! The file system of the machine: this host's systemd with the units of a bare system, what is installed, and
//! the walk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::super::image::{add, pack, write};
use crate::workspace::Workspace;
use crate::{dist, rootfs, setup, step};

/// First program of the machine, and the walk, which a unit starts.
const INIT: &str = include_str!("init.sh");
const WALK: &str = include_str!("walk.sh");
const UNIT: &str = include_str!("walk.service");

/// Where the checkout lies in the machine: what the README's lines name.
const CHECKOUT: &str = "root/voxprobe";

/// systemd's own programs, and its units.
const PROGRAMS: &str = "/usr/lib/systemd";
const UNITS: &str = "/usr/lib/systemd/system";

/// Of the first: the manager, the journal, and from version 255 on what starts services.
const NEEDED: [&str; 2] = ["systemd", "systemd-journald"];
const NEWER: &str = "systemd-executor";

/// Of the second, beside every target and slice: with which of them start them.
const WANTED: [(&str, &str); 4] = [
    ("sysinit.target", "systemd-journald.service"),
    ("sysinit.target", "sys-kernel-tracing.mount"),
    ("sockets.target", "systemd-journald.socket"),
    ("sockets.target", "systemd-journald-dev-log.socket"),
];

/// Programs that a newcomer uses and busybox lacks; `kill` is systemd's to reload.
const TOOLS: [&str; 4] = ["systemctl", "journalctl", "install", "kill"];

/// Files that say who is who, and that this is no first boot.
const ETC: [(&str, &str); 4] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
];

/// Puts everything together; gives the archive.
pub(super) fn build(workspace: &Workspace, busybox: &Path, lines: &str) -> Result<PathBuf> {
    let started = Instant::now();
    dist::context(workspace)?;
    let root = workspace.target("vm/systemd");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    // As Debian has it: every program and library is found by either path.
    for folder in ["bin", "sbin", "lib", "lib64"] {
        let real = root.join("usr").join(folder);
        fs::create_dir_all(&real).with_context(|| format!("create {}", real.display()))?;
        link(&format!("usr/{folder}"), &root.join(folder))?;
    }
    for folder in [
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "home",
        "var/tmp",
        "var/log",
        "etc/sysctl.d",
    ] {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("create {folder}"))?;
    }
    rootfs::copy(busybox, &root.join("bin/busybox"))?;
    link("busybox", &root.join("usr/bin/sh"))?;
    manager(workspace, &root)?;
    for (path, text) in ETC {
        write(&root.join(path), text)?;
    }
    write(&root.join("init"), INIT)?;
    write(&root.join("walk/walk.sh"), WALK)?;
    write(&root.join("walk/lines.sh"), lines)?;
    checkout(workspace, &root)?;
    let voicelab = workspace.release("voicelab");
    add(&voicelab, &root.join("usr/bin/voicelab"), &root)?;
    let archive = workspace.target("vm/systemd.cpio");
    pack(&root, busybox, &archive)?;
    step::report("systemd image", archive.display(), started.elapsed());
    Ok(archive)
}

/// systemd itself, its units and its tools.
fn manager(workspace: &Workspace, root: &Path) -> Result<()> {
    for name in NEEDED {
        let program = Path::new(PROGRAMS).join(name);
        program_of(&program, root).context("systemd of this host (Debian: package systemd)")?;
    }
    let newer = Path::new(PROGRAMS).join(NEWER);
    if newer.exists() {
        program_of(&newer, root)?;
    }
    for name in TOOLS {
        let program =
            setup::program(workspace, name).with_context(|| format!("this host has no {name}"))?;
        program_of(&program, root)?;
    }
    let entries = fs::read_dir(UNITS).with_context(|| format!("read {UNITS}"))?;
    for entry in entries {
        let path = entry.with_context(|| format!("read {UNITS}"))?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if matches!(kind, Some("target" | "slice")) && path.is_file() {
            unit(&path, root)?;
        }
    }
    let system = root.join("etc/systemd/system");
    for (by, name) in WANTED {
        unit(&Path::new(UNITS).join(name), root)?;
        want(&system, by, name)?;
    }
    let walk = root.join("usr/lib/systemd/system/walk.service");
    fs::write(&walk, UNIT).with_context(|| format!("write {}", walk.display()))?;
    want(&system, "multi-user.target", "walk.service")?;
    link(
        &format!("{UNITS}/multi-user.target"),
        &system.join("default.target"),
    )
}

fn want(system: &Path, by: &str, unit: &str) -> Result<()> {
    link(
        &format!("{UNITS}/{unit}"),
        &system.join(format!("{by}.wants")).join(unit),
    )
}

/// A unit at its own place; no program, which systemd would remark on.
fn unit(file: &Path, root: &Path) -> Result<()> {
    let place = rootfs::place(file, root)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644))
        .with_context(|| format!("set the mode of {}", place.display()))
}

/// A program at its own place, and its libraries at theirs.
fn program_of(program: &Path, root: &Path) -> Result<()> {
    let place = rootfs::place(program, root)?;
    add(program, &place, root)
}

/// What a newcomer has before the first line: the sources with what `cargo xtask dist` made of them.
fn checkout(workspace: &Workspace, root: &Path) -> Result<()> {
    let checkout = root.join(CHECKOUT);
    for file in ["config/voxprobe.toml", "config/systemd/voxprobe.service"] {
        rootfs::copy(&workspace.root().join(file), &checkout.join(file))?;
    }
    let agent = workspace.target("dist/voxprobe");
    add(&agent, &checkout.join("target/dist/voxprobe"), root)
}

fn link(to: &str, at: &Path) -> Result<()> {
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    symlink(to, at).with_context(|| format!("link {}", at.display()))
}

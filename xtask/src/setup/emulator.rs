//! The program that emulates other machines, unpacked with every library that it needs and this machine
//! lacks: beside an installed QEMU of another version it cannot be installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{packages, tools};
use crate::step;
use crate::toolchain::Facts;
use crate::workspace::Workspace;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// What its other packages' names begin with.
const FAMILY: &str = "qemu-";

/// Where the distribution has libraries, below a root.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// Finds it, or fetches it.
pub(super) fn get(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = tools::find(workspace, PROGRAM) {
        return Ok(path);
    }
    let started = Instant::now();
    let root = workspace.target("tools").join(PACKAGE);
    let installer = Facts::gather(workspace).installer;
    packages::unpack_whole(installer, PACKAGE, FAMILY, &root)?;
    let path = workspace.tools().join(PROGRAM);
    fs::create_dir_all(workspace.tools()).context("create the folder of tools")?;
    fs::write(&path, script(&root)).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("set the mode of {}", path.display()))?;
    step::report(PROGRAM, path.display(), started.elapsed());
    Ok(path)
}

/// Starts it with its own libraries, modules and firmware.
fn script(root: &Path) -> String {
    let root = root.display();
    let libraries = LIBRARIES.map(|folder| format!("$root/{folder}")).join(":");
    format!(
        "#!/bin/sh\nroot='{root}'\nexport LD_LIBRARY_PATH=\"{libraries}\"\n\
         export QEMU_MODULE_DIR=\"$root/{modules}/qemu\"\n\
         exec \"$root/usr/bin/{PROGRAM}\" -L \"$root/usr/share/qemu\" -L \"$root/usr/share/seabios\" \"$@\"\n",
        modules = LIBRARIES[0],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_started_with_what_was_unpacked() {
        let script = script(Path::new("/root of it"));
        assert!(
            script.starts_with("#!/bin/sh\nroot='/root of it'\n"),
            "{script}"
        );
        assert!(script.contains("$root/lib/x86_64-linux-gnu\""), "{script}");
        assert!(script.ends_with("\"$@\"\n"), "{script}");
    }
}

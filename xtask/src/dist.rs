//! `dist`: what is installed elsewhere: the stripped binary, and the container image.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{build, rootfs, step};

/// Containerfile of the image.
const CONTAINERFILE: &str = "config/container/Containerfile";

/// Libraries that NVML is linked to, beside those of the agent itself. From glibc 2.34 on the last three
/// are empty, and a driver is still linked to them.
const OF_NVML: [&str; 4] = ["libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];

/// What builds images.
const BUILDERS: [&str; 2] = ["podman", "docker"];

/// The whole task.
pub(crate) fn task(workspace: &Workspace) -> Result<()> {
    build::task(workspace, false)?;
    let context = context(workspace)?;
    image(&context)
}

/// The folder from which the image is built.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target("dist/image")
}

/// Makes that folder: the Containerfile, and the image's files in `rootfs/`.
pub(crate) fn context(workspace: &Workspace) -> Result<PathBuf> {
    let started = Instant::now();
    let context = folder(workspace);
    if context.exists() {
        fs::remove_dir_all(&context).with_context(|| format!("remove {}", context.display()))?;
    }
    let root = context.join("rootfs");
    let binary = workspace.target("dist/voxprobe");
    rootfs::copy(&workspace.release("voxprobe"), &binary)?;
    rootfs::strip(&binary)?;
    rootfs::copy(&binary, &root.join("usr/bin/voxprobe"))?;
    for library in libraries(&binary)? {
        rootfs::place(&library, &root)?;
    }
    rootfs::copy(
        &workspace.root().join(CONTAINERFILE),
        &context.join("Containerfile"),
    )?;
    step::report("image files", root.display(), started.elapsed());
    Ok(context)
}

/// Builds the image, where something can.
fn image(context: &Path) -> Result<()> {
    let Some(builder) = BUILDERS.into_iter().find(|builder| {
        let mut version = Command::new(builder);
        step::answer(version.arg("info")).is_some()
    }) else {
        step::skipped(
            "image",
            format!(
                "no podman and no docker: build it from {}",
                context.display()
            ),
        );
        return Ok(());
    };
    let tag = format!("voxprobe:{}", env!("CARGO_PKG_VERSION"));
    let mut command = Command::new(builder);
    command.args(["build", "--network=none", "--tag", &tag]);
    if builder == "podman" {
        // The same files give the same image.
        command.args(["--timestamp", "0"]);
    }
    step::run("image", command.arg(context))
}

/// Libraries that the agent and NVML are linked to, the loader among them.
fn libraries(binary: &Path) -> Result<Vec<PathBuf>> {
    let mut libraries = rootfs::libraries(binary)?;
    let folder = libraries
        .iter()
        .find(|path| path.file_name() == Some(OsStr::new("libc.so.6")))
        .and_then(|path| path.parent())
        .map(Path::to_path_buf);
    let Some(folder) = folder else {
        bail!("{} is not linked to glibc", binary.display());
    };
    let of_nvml = OF_NVML.iter().map(|name| folder.join(name));
    libraries.extend(of_nvml.filter(|path| path.exists()));
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

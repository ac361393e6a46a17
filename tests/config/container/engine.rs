//! Podman, with a storage of its own.

use std::path::PathBuf;
use std::process::{Command, Output};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::skip::{program, skip};

use super::CAPABILITIES;

/// What makes Podman work where a container may not raise limits (no `CAP_SYS_RESOURCE`), where systemd is
/// not process 1, and where both versions of cgroups are mounted, which crun refuses.
const SETTINGS: &str = "[containers]\n\
                        default_ulimits = []\n\
                        [engine]\n\
                        runtime = \"runc\"\n\
                        cgroup_manager = \"cgroupfs\"\n\
                        events_logger = \"none\"\n";

/// What the image is called.
const TAG: &str = "voxprobe:test";

/// Podman and the folder from which the image is built.
pub(super) struct Engine {
    podman: PathBuf,
    context: PathBuf,
    folder: PathBuf,
}

impl Engine {
    /// `None`, and said, where there is no Podman, no runc or no image.
    pub(super) fn find(lab: &Lab) -> Option<Self> {
        let podman = program("podman")?;
        program("runc")?;
        let Some(context) = artifacts::image() else {
            skip("the image's files are not made: `cargo xtask dist` makes them");
            return None;
        };
        lab.write("containers.conf", SETTINGS);
        Some(Self {
            podman,
            context,
            folder: lab.folder().to_path_buf(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.podman);
        command
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .arg("--root")
            .arg(self.folder.join("storage"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .args(["--storage-driver", "vfs"]);
        command
    }

    /// Builds the image from nothing that was built before; gives its id, a digest of all it holds.
    pub(super) fn build(&self) -> String {
        let mut command = self.command();
        command
            .args(["build", "--quiet", "--no-cache", "--network=none"])
            .args(["--timestamp", "0", "--tag", TAG])
            .arg(&self.context);
        text(&command.output().expect("run podman"))
    }

    /// A command that runs the image as the manifests do, with more arguments for Podman; what follows
    /// is for the agent.
    pub(super) fn agent(&self, arguments: &[String]) -> Command {
        let capabilities = CAPABILITIES.map(|name| format!("--cap-add={name}"));
        let mut command = self.command();
        command
            .args(["run", "--rm", "--pid=host", "--network=host", "--read-only"])
            .args(["--cap-drop=all", "--security-opt", "seccomp=unconfined"])
            .args(["--security-opt", "no-new-privileges", "--memory=256m"])
            .args(capabilities)
            .args(["--volume", "/sys/kernel/tracing:/sys/kernel/tracing:ro"])
            .args(arguments)
            .arg(TAG);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Mounts of the storage would keep the lab's folder from being removed.
        drop(self.command().args(["rm", "--all", "--force"]).output());
        drop(self.command().args(["rmi", "--all", "--force"]).output());
    }
}

fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

//! Podman, with a storage of its own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::skip::{program, skip};

use super::CAPABILITIES;

/// What makes Podman work where a container may not raise limits (no `CAP_SYS_RESOURCE`), where systemd is
/// not process 1, and where both versions of cgroups are mounted, which crun refuses.
const ENGINE: &str = "[engine]\n\
                      runtime = \"runc\"\n\
                      cgroup_manager = \"cgroupfs\"\n\
                      events_logger = \"none\"\n";
const CONTAINERS: &str = "[containers]\ndefault_ulimits = []\n";

/// What the image is called.
const TAG: &str = "voxprobe:test";

/// Podman and the folder from which the image is built.
pub(crate) struct Engine {
    podman: PathBuf,
    context: PathBuf,
    folder: PathBuf,
}

impl Engine {
    /// `None`, and said, where there is no Podman, no runc or no image.
    pub(super) fn find(lab: &Lab) -> Option<Self> {
        Self::told(lab, "")
    }

    /// The same, with more settings for its containers.
    pub(crate) fn told(lab: &Lab, settings: &str) -> Option<Self> {
        let podman = program("podman")?;
        program("runc")?;
        let Some(context) = artifacts::image() else {
            skip("the image's files are not made: `cargo xtask dist` makes them");
            return None;
        };
        // Networks are the lab's own: none is left behind.
        let networks = lab.path("networks");
        let network = format!(
            "[network]\nnetwork_config_dir = \"{}\"\n",
            networks.display()
        );
        let text = format!("{ENGINE}{network}{CONTAINERS}{settings}");
        lab.write("containers.conf", text);
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
        self.build_as(TAG)
    }

    /// The same with a name of its own.
    pub(crate) fn build_as(&self, tag: &str) -> String {
        let mut command = self.command();
        command
            .args(["build", "--quiet", "--no-cache", "--network=none"])
            .args(["--timestamp", "0", "--tag", tag])
            .arg(&self.context);
        text(&command.output().expect("run podman"))
    }

    /// Plays a file of Kubernetes' manifests, whose one pod has one container.
    pub(crate) fn play(&self, manifests: &Path) -> Pod {
        let played = self.ask(&["kube", "play", &manifests.to_string_lossy()]);
        // `Pod:` with its id below, then `Container:` likewise.
        let below = |heading: &str| {
            let mut lines = played.lines().skip_while(|line| *line != heading);
            lines
                .nth(1)
                .unwrap_or_else(|| panic!("no {heading} {played}"))
        };
        let (pod, container) = (below("Pod:"), below("Container:").to_owned());
        let inspect = |id: &str, format: &str| self.ask(&["inspect", "--format", format, id]);
        let infra = self.ask(&["pod", "inspect", "--format", "{{.InfraContainerID}}", pod]);
        let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = inspect(&infra, networks).parse();
        let pid = inspect(&container, "{{.State.Pid}}").parse();
        Pod {
            address: address.expect("the pod's address"),
            pid: pid.expect("the container's process"),
            container,
        }
    }

    /// What the pod's container said.
    pub(crate) fn logs(&self, pod: &Pod) -> String {
        let mut command = self.command();
        let output = command.args(["logs", &pod.container]).output();
        let output = output.expect("run podman");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Stops the pod's container as a kubelet does; gives its exit status.
    pub(crate) fn stop(&self, pod: &Pod) -> i32 {
        self.ask(&["stop", "--time", "30", &pod.container]);
        let status = self.ask(&["inspect", "--format", "{{.State.ExitCode}}", &pod.container]);
        status.parse().expect("an exit status")
    }

    fn ask(&self, arguments: &[&str]) -> String {
        text(&self.command().args(arguments).output().expect("run podman"))
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

/// A running pod of one container.
pub(crate) struct Pod {
    /// Of its network.
    pub(crate) address: IpAddr,
    /// The container's first process.
    pub(crate) pid: u32,
    container: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Mounts of the storage would keep the lab's folder from being removed.
        drop(
            self.command()
                .args(["pod", "rm", "--all", "--force"])
                .output(),
        );
        drop(self.command().args(["rm", "--all", "--force"]).output());
        drop(self.command().args(["rmi", "--all", "--force"]).output());
    }
}

fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

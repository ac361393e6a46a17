//! Which pod a watched process runs in: from its control group, and the names of the kubelet's links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::Server;
use probe_tests::probe::Probe;
use probe_tests::skip::{skip, unprivileged};

const INFO: &str = "voxprobe_container_info";

/// How soon a series must come or go.
const SOON: Duration = Duration::from_secs(15);

/// Where control groups can be made: version 1's memory controller and version 2 by convention.
const PARENTS: [&str; 2] = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];

/// A control group of a container as containerd names it; removed when dropped.
struct Container {
    id: String,
    group: PathBuf,
}

impl Container {
    fn new() -> Option<Self> {
        let id = format!("{:064x}", std::process::id());
        let name = format!("cri-containerd-{id}.scope");
        let made = PARENTS.iter().find_map(|parent| {
            let group = Path::new(parent).join(&name);
            fs::create_dir(&group).ok()?;
            Some(group)
        });
        if made.is_none() {
            skip("no control group can be made");
        }
        made.map(|group| Self { id, group })
    }

    fn take(&self, pid: u32) {
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).expect("join the group");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its processes have ended.
        fs::remove_dir(&self.group).ok();
    }
}

#[test]
fn workers_pod_is_told_while_it_lives_and_nothing_of_processes_in_none() {
    if unprivileged() {
        return;
    }
    let Some(container) = Container::new() else {
        return;
    };
    let lab = Lab::new();
    let inside = Server::tonic(&lab, &["--adapter", "inside"]);
    container.take(inside.pid());
    let outside = Server::tonic(&lab, &["--adapter", "outside"]);
    let logs = lab.path("containers");
    fs::create_dir(&logs).expect("make the folder");
    let config = lab.write(
        "voxprobe.toml",
        format!(
            "[discovery]\ncontainer_logs = {logs:?}\n\
             [[target]]\nrole = \"worker\"\npid = {}\nname = \"tts@0\"\n\
             [[target]]\nrole = \"worker\"\npid = {}\nname = \"tts@1\"\n",
            inside.pid(),
            outside.pid()
        ),
    );
    let mut command = Command::new(artifacts::voxprobe());
    command.args(["run", "--config"]).arg(config);
    let probe = Probe::start(&lab, command);
    probe.wait_watching(2);
    assert_eq!(probe.scrape().series(INFO, &[]).count(), 0, "no link yet");

    // The link leads nowhere, as for whoever sees only its folder.
    let link = format!("tts-0_voice_worker-{}.log", container.id);
    std::os::unix::fs::symlink("/nowhere", logs.join(link)).expect("make the link");
    let labels = [
        ("role", "worker"),
        ("worker", "tts@0"),
        ("namespace", "voice"),
        ("pod", "tts-0"),
        ("container", "worker"),
        ("container_id", container.id.as_str()),
    ];
    let told = probe.scrape_until(SOON, |scrape| scrape.series(INFO, &labels).count() == 1);
    assert_eq!(told.series(INFO, &labels).count(), 1, "{}", probe.log());
    assert_eq!(told.series(INFO, &[]).count(), 1, "nothing of the other");

    inside.kill();
    let left = probe.scrape_until(SOON, |scrape| scrape.series(INFO, &[]).count() == 0);
    assert_eq!(left.series(INFO, &[]).count(), 0, "it is gone");
}

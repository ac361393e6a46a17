//! Faults injected into a real worker, and what `voxprobe diagnose` names as their cause.
//!
//! The machine may be busy by itself: lateness below 60 ms is left out, and each fault is a third of a
//! second, so that the frame that was late by most is the fault's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::namespace::Namespace;
use probe_tests::peer::{Client, Kind, Server};
use probe_tests::process::{Process, eventually};
use probe_tests::skip::{skip, unprivileged};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long the agent may take to load its programs and find the worker.
const START: Duration = Duration::from_secs(30);

/// Frames seen before the fault: enough for the stream to be known as paced, and for what is usual.
const BEFORE: Duration = Duration::from_secs(2);

/// How long the agent watches after the fault.
const AFTER: Duration = Duration::from_secs(1);

/// How long the agent may take to end.
const END: Duration = Duration::from_secs(20);

/// How long a fault lasts.
const FAULT: Duration = Duration::from_millis(350);

/// The least by which the fault's frame must be late, milliseconds.
const LATE_MS: f64 = 150.0;

/// What the client has spoken: 18 s, sent at once, so that no text comes late, and with HTTP/2 windows
/// that are not used up.
const TEXT: [&str; 6] = [
    "--text-length",
    "300",
    "--chunk-length",
    "300",
    "--window-bytes",
    "67108864",
];

/// A worker that speaks, and what can be done to it.
struct Scene {
    lab: Lab,
    worker: Server,
    capture: PathBuf,
    /// Where worker and client are, if not on this host's network.
    namespace: Option<Namespace>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new();
        let socket = lab.path("faults");
        let socket = socket.to_string_lossy();
        let worker = Server::tonic(&lab, &["--fault-socket", &socket, "--load-ms", "20"]);
        Self {
            capture: lab.path("diagnosis.vxcap"),
            lab,
            worker,
            namespace: None,
        }
    }

    /// One whose sockets are full soon after nobody reads them.
    fn of_small_buffers() -> Option<Self> {
        let lab = Lab::new();
        let namespace = Namespace::of_small_buffers()?;
        let arguments = ["--load-ms", "20"];
        let worker = Server::in_namespace(&lab, &namespace.name, Kind::Tonic, &arguments)?;
        Some(Self {
            capture: lab.path("diagnosis.vxcap"),
            lab,
            worker,
            namespace: Some(namespace),
        })
    }

    fn client(&self) -> Client {
        let (lab, worker) = (&self.lab, &self.worker);
        match &self.namespace {
            Some(own) => Client::in_namespace(lab, &own.name, "localhost", worker, &TEXT),
            None => Client::tonic(lab, worker, &TEXT),
        }
    }

    /// Switches a fault of the worker's own.
    fn switch(&self, fault: &str) {
        let status = Command::new(artifacts::voicelab())
            .args(["fault", "--socket"])
            .arg(self.lab.path("faults"))
            .args(fault.split(' '))
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("switch a fault").success(), "{fault}");
    }

    /// Diagnoses while something happens; ended by SIGINT, it reports all the same.
    fn diagnose(&self, happens: impl FnOnce(&Self, &Client)) -> Value {
        let config = self.lab.write(
            "voxprobe.toml",
            "[diagnosis]\nthreshold = \"60ms\"\n[playout]\nprebuffer = \"200ms\"\n",
        );
        let (report, log) = (self.lab.path("report.json"), self.lab.path("diagnose.err"));
        let mut command = Command::new(artifacts::voxprobe());
        command
            .args(["diagnose", "--for", "5m", "--format", "json", "--pid"])
            .arg(self.worker.pid().to_string())
            .arg("--config")
            .arg(config)
            .arg("-o")
            .arg(&report)
            .arg("--record")
            .arg(&self.capture);
        let mut agent = Process::start(&mut command, &log);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let watched = || said().contains("process watched");
        assert!(eventually(START, watched), "{}", said());
        // After the agent: of a call that is older than it, nobody knows the method.
        let client = self.client();
        self.worker.wait_for_frames(20);
        std::thread::sleep(BEFORE);
        happens(self, &client);
        std::thread::sleep(AFTER);
        agent.signal(Signal::INT);
        let status = agent.wait(END);
        let report = read(&report);
        let findings = number(&report, "late_frames") > 0.0;
        assert_eq!(status.code(), Some(i32::from(findings)), "{}", said());
        assert_eq!(report["scheduling"], true, "{}", said());
        report
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process id");
    kill_process(pid, signal).expect("send a signal");
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the report");
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().expect("a number")
}

/// Asserts the cause of the frame that was late by most, and gives it.
#[track_caller]
fn assert_cause<'a>(report: &'a Value, cause: &str) -> &'a Value {
    let worst = &report["worst"][0];
    assert!(number(worst, "late_ms") >= LATE_MS, "no fault: {report:#}");
    assert_eq!(worst["cause"], cause, "{worst:#}");
    worst
}

/// Evidence of one kind.
#[track_caller]
fn evidence<'a>(frame: &'a Value, kind: &str) -> &'a Value {
    let parts = frame["evidence"].as_array().expect("a list");
    let found = parts.iter().find(|part| part["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}: {frame:#}"))
}

/// Ends when dropped.
struct Hog(Child);

impl Drop for Hog {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn stopped_worker_is_named_and_the_capture_says_the_same() {
    if unprivileged() {
        return;
    }
    let scene = Scene::new();
    let report = scene.diagnose(|scene, _| {
        signal(scene.worker.pid(), Signal::STOP);
        std::thread::sleep(FAULT);
        signal(scene.worker.pid(), Signal::CONT);
    });
    let worst = assert_cause(&report, "stopped");
    let waker = &evidence(worst, "stopped")["other"];
    assert_eq!(waker["process"], std::process::id(), "who continued it");
    let output = Command::new(artifacts::voxprobe())
        .arg("replay")
        .arg(&scene.capture)
        .args(["--diagnose", "--format", "json"])
        .output()
        .expect("replay the capture");
    assert_eq!(output.status.code(), Some(1));
    let replayed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(replayed, report);
}

#[test]
fn hog_on_the_workers_cpu_is_named_as_what_ran_instead() {
    if unprivileged() {
        return;
    }
    let scene = Scene::new();
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", "0", &scene.worker.pid().to_string()])
        .stdout(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        return skip("taskset (util-linux) cannot pin the worker");
    }
    let report = scene.diagnose(|_, _| {
        // Of real-time priority: a fair scheduler lets a worker that sleeps most of the time in at
        // once, however many others want the CPU.
        let hog = Command::new("taskset")
            .args(["-c", "0", "chrt", "-f", "10"])
            .args(["sh", "-c", "while :; do :; done"])
            .spawn();
        let _hog = Hog(hog.expect("start a hog"));
        std::thread::sleep(FAULT);
    });
    let worst = assert_cause(&report, "cpu_contention");
    let runner = &evidence(worst, "waiting_for_cpu")["other"];
    assert_eq!(runner["name"], "sh", "{worst:#}");
}

#[test]
fn lock_held_by_a_busy_thread_is_named_with_its_holder() {
    if unprivileged() {
        return;
    }
    let scene = Scene::new();
    let report = scene.diagnose(|scene, _| {
        scene.switch(&format!("hold {}", FAULT.as_millis()));
        std::thread::sleep(FAULT);
    });
    let worst = assert_cause(&report, "lock");
    assert_eq!(evidence(worst, "lock")["other"]["name"], "holder");
}

#[test]
fn frame_that_the_worker_itself_delays_blames_its_timer() {
    if unprivileged() {
        return;
    }
    let scene = Scene::new();
    let report = scene.diagnose(|scene, _| {
        scene.switch(&format!("stall {}", FAULT.as_millis()));
        std::thread::sleep(2 * FAULT);
    });
    assert_cause(&report, "own_timer");
}

#[test]
fn client_that_does_not_read_is_told_from_the_workers_own_timers() {
    if unprivileged() {
        return;
    }
    let Some(scene) = Scene::of_small_buffers() else {
        return;
    };
    let report = scene.diagnose(|_, client| {
        signal(client.pid(), Signal::STOP);
        // A third of a second fills the buffers.
        std::thread::sleep(3 * FAULT);
        signal(client.pid(), Signal::CONT);
    });
    let worst = assert_cause(&report, "socket_backpressure");
    assert!(
        number(&worst["blocked"], "socket_ms") >= LATE_MS,
        "{worst:#}"
    );
}

#[test]
fn used_up_cpu_quota_is_told_from_other_contention() {
    if unprivileged() {
        return;
    }
    let Some(group) = Group::new() else {
        return skip("no control group with a CPU quota can be made");
    };
    let scene = Scene::new();
    group.join(scene.worker.pid());
    let report = scene.diagnose(|scene, _| {
        group.limit("4000");
        scene.switch(&format!("burn 1 {}", 3 * FAULT.as_millis()));
        std::thread::sleep(3 * FAULT);
        group.limit("-1");
    });
    let worst = &report["worst"][0];
    assert_eq!(worst["cause"], "cgroup_throttled", "{worst:#}");
}

/// A control group (version 1) with a CPU quota; removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let path = format!("/sys/fs/cgroup/cpu/voxprobe-test-{}", std::process::id());
        let path = PathBuf::from(path);
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        group.0.join("cpu.cfs_quota_us").exists().then_some(group)
    }

    fn join(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("join the group");
    }

    /// Microseconds in each period of 100 ms; -1 for no limit.
    fn limit(&self, quota: &str) {
        std::fs::write(self.0.join("cpu.cfs_quota_us"), quota).expect("set the quota");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty once its processes have ended; they are killed before.
        std::fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn run_without_a_fault_names_none() {
    if unprivileged() {
        return;
    }
    let scene = Scene::new();
    let report = scene.diagnose(|_, _| std::thread::sleep(BEFORE));
    assert!(number(&report, "frames") > 100.0, "{report:#}");
    // What other processes of a busy machine do to the worker is no fault of the diagnosis.
    let foreign = ["cpu_contention", "timer_overshoot", "unexplained"];
    let causes = report["causes"].as_array().expect("a list");
    for cause in causes {
        let name = cause["cause"].as_str().expect("a name");
        assert!(foreign.contains(&name), "{report:#}");
    }
}

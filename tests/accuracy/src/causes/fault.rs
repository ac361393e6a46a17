//! The faults: what is done to the worker, and what is to be named.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use probe_tests::artifacts;
use rustix::process::{Pid, Signal, kill_process};

use super::cgroup::{Controller, Group};
use super::disk::SlowDisk;
use super::network::{Lossy, Path};
use super::timers::slacken;
use super::watch::{Subject, pin};

/// CPU time that the quota leaves in each 100 ms, microseconds.
const QUOTA_US: u32 = 4_000;

/// How long one stream needs to use up [`SMALL_WINDOWS`], or small buffers (98 KB a second).
const USING_UP: Duration = Duration::from_millis(700);

/// A fault.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Causes that are right. `none` is that no frame was late.
    pub(crate) right: &'static [&'static str],
    /// What the client has spoken, and how.
    pub(crate) client: &'static [&'static [&'static str]],
    /// What the stand-in NVML adds to its GPU; no GPU where it is `None`.
    pub(crate) gpu: Option<&'static str>,
    /// Whether worker and client are in a network namespace of their own, with small buffers: a stream
    /// takes half a minute to fill those that have grown.
    pub(crate) has_small_buffers: bool,
    /// Before the client; `None` where this machine cannot have the fault, which is said.
    pub(crate) prepare: fn(&Subject) -> Option<Prepared>,
    /// Does it, for this long.
    pub(crate) inject: fn(&Subject, &Prepared, Duration),
}

/// What a fault made beforehand; undone when dropped.
#[derive(Debug)]
pub(crate) enum Prepared {
    Nothing,
    Quota(Group),
    Disk(SlowDisk),
    Network(Path),
}

/// 36 s of speech, sent at once.
const AT_ONCE: &[&str] = &["--text-length", "600", "--chunk-length", "600"];

/// Text that comes half as fast as it is spoken: 0.6 s of speech every 1.2 s.
const SLOWLY: &[&str] = &[
    "--text-length",
    "120",
    "--chunk-length",
    "10",
    "--chunk-interval-ms",
    "1200",
];

/// Utterances of 6 s, each paused once, stopped, or heard out.
const COMMANDED: &[&str] = &[
    "--text-length",
    "100",
    "--chunk-length",
    "100",
    "--utterances",
    "4",
    "--controls",
];

/// HTTP/2 windows as they are by default (RFC 9113, 6.9.2), and such that the socket is full before.
const SMALL_WINDOWS: &[&str] = &["--window-bytes", "65535"];
const LARGE_WINDOWS: &[&str] = &["--window-bytes", "67108864"];

impl Fault {
    pub(crate) const ALL: &[Self] = &[
        Self {
            inject: |_, _, time| sleep(time),
            ..Self::new("none", &["none"])
        },
        Self {
            prepare: |subject| {
                pin(subject.pid);
                Some(Prepared::Nothing)
            },
            inject: |_, _, time| hog(time),
            ..Self::new("cpu_hog", &["cpu_contention"])
        },
        Self {
            prepare: |subject| {
                let group = Group::new(Controller::Cpu)?;
                group.join(subject.pid);
                Some(Prepared::Quota(group))
            },
            inject: |_, prepared, time| {
                let Prepared::Quota(group) = prepared else {
                    return;
                };
                group.limit_cpu(Some(QUOTA_US));
                let neighbour = Command::new("sh").args(["-c", BUSY]).spawn();
                let neighbour = neighbour.expect("start a busy process");
                group.join(neighbour.id());
                // A frame waits for a part of each period only.
                sleep(3 * time);
                end(neighbour);
                group.limit_cpu(None);
            },
            ..Self::new("cpu_quota", &["cgroup_throttled"])
        },
        Self {
            inject: |subject, _, time| hold(subject, time),
            ..Self::new("lock", &["lock"])
        },
        Self {
            inject: |subject, _, time| {
                subject.switch(&format!("stall {}", time.as_millis()));
                sleep(time + Duration::from_millis(50));
            },
            ..Self::new("own_delay", &["own_timer"])
        },
        Self {
            inject: |subject, _, time| slacken(subject.pid, time, 2 * time),
            ..Self::new("timer_slack", &["timer_overshoot"])
        },
        Self {
            inject: |subject, _, time| {
                signal(subject.pid, Signal::STOP);
                sleep(time);
                signal(subject.pid, Signal::CONT);
            },
            ..Self::new("sigstop", &["stopped"])
        },
        Self {
            client: &[SLOWLY],
            inject: |_, _, _| sleep(Duration::from_millis(1_200)),
            ..Self::new("late_text", &["late_upstream_text"])
        },
        Self {
            client: &[AT_ONCE, LARGE_WINDOWS],
            has_small_buffers: true,
            inject: |subject, _, time| stop_client(subject, USING_UP + time),
            ..Self::new("tcp_window", &["socket_backpressure"])
        },
        Self {
            client: &[AT_ONCE, SMALL_WINDOWS],
            inject: |subject, _, time| stop_client(subject, USING_UP + time),
            ..Self::new("http2_window", &["http2_window"])
        },
        Self {
            client: &[AT_ONCE, SMALL_WINDOWS],
            prepare: |subject| Lossy::new(subject.port).map(|_| Prepared::Nothing),
            inject: |subject, _, time| {
                let lossy = Lossy::new(subject.port);
                sleep(USING_UP + time);
                drop(lossy);
                // TCP tries again after up to twice the time that it has tried in vain.
                sleep(2 * (USING_UP + time));
            },
            ..Self::new("packet_loss", &["packet_loss"])
        },
        Self {
            client: &[AT_ONCE, SMALL_WINDOWS],
            prepare: |_| Some(Prepared::Network(Path::new()?)),
            inject: |_, prepared, time| {
                let Prepared::Network(path) = prepared else {
                    return;
                };
                path.hold(true);
                sleep(USING_UP + time);
                path.hold(false);
                // The queue goes on with the next packet, which TCP sends as with lost ones.
                sleep(2 * (USING_UP + time));
            },
            ..Self::new("packet_delay", &["packet_loss"])
        },
        Self {
            prepare: slow_disk,
            inject: |subject, prepared, time| wait_for_disk(subject, prepared, "read", time),
            ..Self::new("disk_stall", &["disk_or_page_fault"])
        },
        Self {
            prepare: slow_disk,
            inject: |subject, prepared, time| wait_for_disk(subject, prepared, "touch", time),
            ..Self::new("page_faults", &["disk_or_page_fault"])
        },
        Self {
            gpu: Some("[gpu.readings]\nutilization_percent = 90\nthrottle_reasons = 64\n"),
            inject: |subject, _, time| hold(subject, time),
            ..Self::new("gpu_throttle", &["gpu_throttle"])
        },
        Self {
            gpu: Some(
                "[gpu.readings]\nutilization_percent = 90\nthrottle_reasons = 0\n\
                 [[gpu.process]]\npid = 1\nmemory_bytes = 1073741824\nsm_percent = 60\n",
            ),
            inject: |subject, _, time| hold(subject, time),
            ..Self::new("gpu_neighbour", &["gpu_neighbour"])
        },
        Self {
            inject: |subject, _, time| {
                let ms = time.as_millis();
                subject.switch(&format!("slow-load {ms}"));
                let mut load = subject.load_a_model();
                sleep(Duration::from_millis(30));
                hold(subject, time.saturating_sub(Duration::from_millis(60)));
                // It ends by itself; what it says is of no interest.
                load.wait().ok();
            },
            ..Self::new("model_load", &["model_load"])
        },
        Self {
            client: &[COMMANDED],
            inject: |_, _, _| sleep(Duration::from_millis(1_200)),
            ..Self::new("pause", &["none", "pause"])
        },
    ];

    const fn new(name: &'static str, right: &'static [&'static str]) -> Self {
        Self {
            name,
            right,
            client: &[AT_ONCE],
            gpu: None,
            has_small_buffers: false,
            prepare: |_| Some(Prepared::Nothing),
            inject: |_, _, _| {},
        }
    }
}

/// A thread of the worker computes with the lock held that every frame needs: in Python, the
/// interpreter's.
fn hold(subject: &Subject, time: Duration) {
    subject.switch(&format!("hold {}", time.as_millis()));
    sleep(time);
}

/// The client reads nothing.
fn stop_client(subject: &Subject, time: Duration) {
    signal(subject.client, Signal::STOP);
    sleep(time);
    signal(subject.client, Signal::CONT);
}

fn slow_disk(subject: &Subject) -> Option<Prepared> {
    let folder = subject.faults.parent()?;
    SlowDisk::new(subject.pid, folder).map(Prepared::Disk)
}

/// A frame needs what is on a slow disk.
fn wait_for_disk(subject: &Subject, prepared: &Prepared, access: &str, time: Duration) {
    let Prepared::Disk(disk) = prepared else {
        return;
    };
    let file = disk.file.display();
    subject.switch(&format!("{access} {} {file}", time.as_millis()));
    sleep(time + Duration::from_millis(100));
}

/// A shell that computes.
const BUSY: &str = "while :; do :; done";

/// Of real-time priority: a fair scheduler lets a worker that sleeps most of the time in at once.
fn hog(time: Duration) {
    let hog = Command::new("taskset")
        .args(["-c", "0", "chrt", "-f", "10", "sh", "-c", BUSY])
        .spawn();
    sleep(time);
    end(hog.expect("start a hog"));
}

pub(super) fn end(mut child: Child) {
    // It may have ended already.
    child.kill().ok();
    child.wait().ok();
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process id");
    kill_process(pid, signal).expect("send a signal");
}

impl Subject {
    /// Switches a fault of the worker's own.
    fn switch(&self, fault: &str) {
        let status = Command::new(artifacts::voicelab())
            .args(["fault", "--socket"])
            .arg(&self.faults)
            .args(fault.split(' '))
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("switch a fault").success(), "{fault}");
    }

    /// A client that has one more model loaded, used by nobody.
    fn load_a_model(&self) -> Child {
        Command::new(artifacts::voicelab())
            .args([
                "client",
                "--inspect",
                "--sessions",
                "1",
                "--text-length",
                "1",
            ])
            .args(["--session-prefix", "inspector", "--target"])
            .arg(format!("localhost:{}", self.port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a client")
    }
}

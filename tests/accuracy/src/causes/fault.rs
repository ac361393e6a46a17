//! The faults: what is done to the worker, and what is to be named.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use probe_tests::artifacts;
use rustix::process::{Pid, Signal, kill_process};

use super::cgroup::Group;
use super::watch::{Subject, pin};

/// CPU time that the quota leaves in each 100 ms, microseconds.
const QUOTA_US: u32 = 4_000;

/// How long 16 streams need to fill the buffers of a socket (1.5 MB a second; a loopback socket takes
/// some 3 MB).
const FILLING: Duration = Duration::from_millis(2_500);

/// A fault.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Causes that are right. `none` is that no frame was late.
    pub(crate) right: &'static [&'static str],
    /// Whether it needs no help of the worker, so that any worker can have it.
    pub(crate) is_from_outside: bool,
    /// What the client has spoken, and how.
    pub(crate) client: &'static [&'static str],
    /// What the stand-in NVML adds to its GPU; no GPU where it is `None`.
    pub(crate) gpu: Option<&'static str>,
    /// Fewer do not send enough for it to matter.
    pub(crate) least_streams: u32,
    /// Before the frames; `None` where this machine cannot have the fault.
    pub(crate) prepare: fn(&Subject) -> Option<Prepared>,
    /// Does it, for this long.
    pub(crate) inject: fn(&Subject, &Prepared, Duration),
}

/// What a fault made beforehand; undone when dropped.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    group: Option<Group>,
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

impl Fault {
    pub(crate) const ALL: &[Self] = &[
        Self {
            inject: |_, _, time| sleep(time),
            ..Self::new("none", &["none"])
        },
        Self {
            is_from_outside: true,
            prepare: |subject| {
                pin(subject.pid);
                Some(Prepared::default())
            },
            inject: |_, _, time| hog(time),
            ..Self::new("cpu_hog", &["cpu_contention"])
        },
        Self {
            prepare: |subject| {
                let group = Group::new()?;
                group.join(subject.pid);
                Some(Prepared { group: Some(group) })
            },
            inject: |subject, prepared, time| {
                let Some(group) = &prepared.group else {
                    return;
                };
                // A frame waits for a part of each period only.
                let time = 3 * time;
                group.limit(Some(QUOTA_US));
                subject.switch(&format!("burn 1 {}", time.as_millis()));
                sleep(time);
                group.limit(None);
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
            is_from_outside: true,
            inject: |subject, _, time| {
                signal(subject.pid, Signal::STOP);
                sleep(time);
                signal(subject.pid, Signal::CONT);
            },
            ..Self::new("sigstop", &["stopped"])
        },
        Self {
            is_from_outside: true,
            client: SLOWLY,
            inject: |_, _, _| sleep(Duration::from_millis(1_200)),
            ..Self::new("late_text", &["late_upstream_text"])
        },
        Self {
            is_from_outside: true,
            least_streams: 16,
            inject: |subject, _, time| {
                signal(subject.client, Signal::STOP);
                sleep(FILLING + time);
                signal(subject.client, Signal::CONT);
            },
            ..Self::new("slow_reader", &["socket_backpressure"])
        },
        Self {
            is_from_outside: true,
            least_streams: 16,
            inject: |subject, _, time| {
                let lossy = Lossy::new(subject.port);
                sleep(FILLING + time);
                drop(lossy);
                // TCP tries again after up to twice the time that it has tried in vain.
                sleep(FILLING);
            },
            ..Self::new("packet_loss", &["packet_loss"])
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
            client: COMMANDED,
            is_from_outside: true,
            inject: |_, _, _| sleep(Duration::from_millis(1_200)),
            ..Self::new("pause", &["none", "pause"])
        },
    ];

    const fn new(name: &'static str, right: &'static [&'static str]) -> Self {
        Self {
            name,
            right,
            is_from_outside: false,
            client: AT_ONCE,
            gpu: None,
            least_streams: 1,
            prepare: |_| Some(Prepared { group: None }),
            inject: |_, _, _| {},
        }
    }
}

/// A thread of the worker computes with the lock held that every frame needs.
fn hold(subject: &Subject, time: Duration) {
    subject.switch(&format!("hold {}", time.as_millis()));
    sleep(time);
}

/// Of real-time priority: a fair scheduler lets a worker that sleeps most of the time in at once.
fn hog(time: Duration) {
    let hog = Command::new("taskset")
        .args([
            "-c",
            "0",
            "chrt",
            "-f",
            "10",
            "sh",
            "-c",
            "while :; do :; done",
        ])
        .spawn();
    sleep(time);
    end(hog.expect("start a hog"));
}

/// What the worker sends is thrown away; no more when dropped.
struct Lossy {
    port: String,
}

impl Lossy {
    fn new(port: u16) -> Self {
        let lossy = Self {
            port: port.to_string(),
        };
        assert!(lossy.rule("-I"), "iptables makes a rule");
        lossy
    }

    fn rule(&self, change: &str) -> bool {
        ["iptables", "ip6tables"].into_iter().all(|tables| {
            let status = Command::new(tables)
                .args(["-w", change, "INPUT", "-i", "lo", "-p", "tcp"])
                .args(["--sport", &self.port, "-j", "DROP"])
                .status();
            status.is_ok_and(|status| status.success())
        })
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.rule("-D");
    }
}

fn end(mut child: Child) {
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

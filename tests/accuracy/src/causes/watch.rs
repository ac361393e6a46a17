//! A worker that speaks, and a diagnosis of it while a fault is injected.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::namespace::Namespace;
use probe_tests::peer::{Client, Kind, Server};
use probe_tests::process::{Process, eventually};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::fault::{Fault, Prepared};
use super::network::HERE;

/// How long the agent may take to load its programs and find the worker, and to end.
const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(30);

/// Frames before the first injection: enough for streams to be known as paced, and for what is usual.
const BEFORE: Duration = Duration::from_secs(2);

/// After an injection: its late frames are sent, and the worker has caught up.
const AFTER: Duration = Duration::from_millis(700);

/// What the agent is told: what a busy machine does by itself is below the threshold.
const CONFIG: &str = "[diagnosis]\nthreshold = \"60ms\"\n[playout]\nprebuffer = \"200ms\"\n";

/// Which worker, and how many streams it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) worker: Kind,
    pub(crate) streams: u32,
}

/// What a fault is done to.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) pid: u32,
    /// Process id of its client; 0 before there is one.
    pub(crate) client: u32,
    pub(crate) port: u16,
    /// Socket that switches the worker's own faults.
    pub(crate) faults: PathBuf,
}

/// What was found in a watch.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The cause of each injection; `none` where no frame was late.
    pub(crate) named: Vec<String>,
    /// Late frames by the share of their interval that is unexplained, percent.
    pub(crate) unexplained: Vec<(u64, u64)>,
}

/// A watch that goes on. Fields are dropped in order: the agent goes before what it watches, and that
/// before what was prepared for it.
pub(crate) struct Watch {
    fault: &'static Fault,
    agent: Process,
    report: PathBuf,
    subject: Subject,
    _client: Client,
    _worker: Server,
    prepared: Prepared,
    _namespace: Option<Namespace>,
    _lab: Lab,
}

impl Watch {
    /// Starts it; `None` where the worker or the fault cannot be had, which is said.
    pub(crate) fn start(lab: Lab, fault: &'static Fault, setting: Setting) -> Option<Self> {
        let faults = lab.path("faults");
        let socket = faults.to_string_lossy();
        let arguments = ["--load-ms", "20", "--fault-socket", &socket];
        let namespace = if fault.has_small_buffers {
            Some(Namespace::of_small_buffers()?)
        } else {
            None
        };
        let worker = match &namespace {
            Some(own) => Server::in_namespace(&lab, &own.name, setting.worker, &arguments)?,
            None => Server::start(&lab, setting.worker, &arguments)?,
        };
        let mut subject = Subject {
            pid: worker.pid(),
            client: 0,
            port: worker.port,
            faults: faults.clone(),
        };
        let prepared = (fault.prepare)(&subject)?;
        let report = lab.path("report.json");
        let agent = agent(&lab, fault, &subject, &report);
        // After the agent: of a call that is older than it, nobody knows the method.
        let streams = setting.streams.to_string();
        let arguments = [&fault.client.concat()[..], &["--sessions", &streams]].concat();
        let client = match (&namespace, &prepared) {
            (Some(own), _) => {
                Client::in_namespace(&lab, &own.name, "localhost", &worker, &arguments)
            }
            (None, Prepared::Network(path)) => {
                Client::in_namespace(&lab, &path.there.name, HERE, &worker, &arguments)
            }
            _ => Client::tonic(&lab, &worker, &arguments),
        };
        subject.client = client.pid();
        worker.wait_for_frames(20);
        sleep(BEFORE);
        Some(Self {
            fault,
            agent,
            report,
            subject,
            _client: client,
            _worker: worker,
            prepared,
            _namespace: namespace,
            _lab: lab,
        })
    }

    /// Injects the fault at each strength, ends, and says what was found.
    pub(crate) fn inject(mut self, strengths_ms: &[u64]) -> Found {
        let mut times = Vec::new();
        for ms in strengths_ms {
            let from = now_ns();
            (self.fault.inject)(&self.subject, &self.prepared, Duration::from_millis(*ms));
            sleep(AFTER);
            times.push((from, now_ns()));
        }
        self.agent.signal(Signal::INT);
        self.agent.wait(END);
        let text = std::fs::read_to_string(&self.report).expect("the report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["scheduling"], true, "{report:#}");
        Found {
            named: times.iter().map(|time| named(&report, *time)).collect(),
            unexplained: pairs(&report["unexplained"], "percent", "late_frames"),
        }
    }
}

/// A diagnosis of the worker that has found it.
fn agent(lab: &Lab, fault: &Fault, subject: &Subject, report: &Path) -> Process {
    let config = lab.write("voxprobe.toml", CONFIG);
    let log = lab.path("diagnose.err");
    let mut command = Command::new(artifacts::voxprobe());
    command
        .args(["diagnose", "--for", "5m", "--format", "json", "--pid"])
        .arg(subject.pid.to_string())
        .arg("--config")
        .arg(config)
        .arg("-o")
        .arg(report);
    if lab.is_kept() {
        command.arg("--record").arg(lab.path("diagnosis.vxcap"));
    }
    if let Some(gpu) = fault.gpu {
        let scenario = format!(
            "driver = \"550.54.15\"\n[[gpu]]\nuuid = \"GPU-0\"\nname = \"NVIDIA A100-SXM4-80GB\"\n{gpu}\
             [[gpu.process]]\npid = {}\nmemory_bytes = 3221225472\nsm_percent = 25\n",
            subject.pid
        );
        let path = lab.write("scenario.toml", scenario);
        command
            .arg("--nvml-lib")
            .arg(artifacts::fake_nvml())
            .env("FAKE_NVML_SCENARIO", path);
    }
    let agent = Process::start(&mut command, &log);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(
        eventually(START, || said().contains("process watched")),
        "{}",
        said()
    );
    agent
}

/// The cause that has most of the lateness between two times.
fn named(report: &Value, (from, until): (u64, u64)) -> String {
    let start = report["started_ktime_ns"].as_u64().expect("a time");
    let column_ns = (report["course"]["column_ms"].as_f64().expect("a width") * 1e6) as u64;
    let mut sums: Vec<(String, f64)> = Vec::new();
    let streams = report["course"]["streams"].as_array().expect("streams");
    for late in streams
        .iter()
        .filter_map(|it| it["late"].as_array())
        .flatten()
    {
        let column = late["column"].as_u64().expect("a column");
        let at = start + column * column_ns;
        if at + column_ns < from || at > until {
            continue;
        }
        let cause = late["cause"].as_str().expect("a cause");
        let ms = late["ms"].as_f64().expect("a time");
        match sums.iter_mut().find(|(one, _)| one == cause) {
            Some((_, sum)) => *sum += ms,
            None => sums.push((cause.to_owned(), ms)),
        }
    }
    let most = sums.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    most.map_or_else(|| "none".to_owned(), |(cause, _)| cause)
}

fn pairs(list: &Value, first: &str, second: &str) -> Vec<(u64, u64)> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| Some((one[first].as_u64()?, one[second].as_u64()?)))
        .collect()
}

/// All threads of a process go to the first CPU.
pub(crate) fn pin(pid: u32) {
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", "0", &pid.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|status| status.success()), "taskset pins");
}

/// The clock of the kernel's records.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

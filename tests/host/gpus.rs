//! GPU readings through the stand-in NVML, joined with a watched worker.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::Probe;
use probe_tests::skip::unprivileged;

/// How soon a change in NVML must be in the metrics: GPUs are read every 200 ms here.
const SOON: Duration = Duration::from_secs(8);

/// GPU memory of the worker, in bytes.
const MEMORY_BYTES: u64 = 3_221_225_472;

/// One GPU that the worker uses; `more` is added to it.
fn scenario(pid: u32, gpu: &str, more: &str) -> String {
    format!(
        r#"
driver = "550.54.15"
[[gpu]]
uuid = "GPU-5a1e0c1d-0000-4000-8000-000000000001"
name = "NVIDIA A100-SXM4-80GB"
{gpu}
[gpu.readings]
memory_total_bytes = 85899345920
memory_used_bytes = 21474836480
utilization_percent = 37
temperature_celsius = 54
power_milliwatts = 187450
[[gpu.process]]
pid = {pid}
memory_bytes = {MEMORY_BYTES}
sm_percent = 25
{more}"#
    )
}

struct Watched {
    lab: Lab,
    worker: Server,
    probe: Probe,
    scenario: PathBuf,
}

impl Watched {
    fn start() -> Self {
        let lab = Lab::new();
        let worker = Server::tonic(&lab, &["--load-ms", "20"]);
        let path = lab.write("scenario.toml", scenario(worker.pid(), "", ""));
        let config = lab.write(
            "voxprobe.toml",
            "[gpu]\ninterval = \"200ms\"\ncall_timeout = \"200ms\"\n",
        );
        let mut command = Command::new(artifacts::voxprobe());
        command
            .args(["run", "--pid", &worker.pid().to_string(), "--config"])
            .arg(config)
            .arg("--nvml-lib")
            .arg(artifacts::fake_nvml())
            .env("FAKE_NVML_SCENARIO", &path);
        let probe = Probe::start(&lab, command);
        Self {
            lab,
            worker,
            probe,
            scenario: path,
        }
    }

    /// From now on NVML answers otherwise.
    fn change(&self, gpu: &str, more: &str) {
        let text = scenario(self.worker.pid(), gpu, more);
        // Renamed into place: never half read.
        let next = self.lab.write("next.toml", text);
        std::fs::rename(next, &self.scenario).expect("replace the scenario");
    }
}

const OF_GPU: &[(&str, &str)] = &[("gpu_id", "0")];

fn joined(scrape: &Exposition) -> bool {
    let used = scrape.series("worker_gpu_memory_used_bytes", OF_GPU);
    used.count() == 1
}

fn is_lost(scrape: &Exposition) -> bool {
    scrape.sum("voxprobe_gpu_state", &[("state", "lost")]) == 1.0
}

#[test]
fn worker_is_joined_with_its_gpu_memory_and_utilization() {
    if unprivileged() {
        return;
    }
    let watched = Watched::start();
    let scrape = watched.probe.scrape_until(SOON, joined);
    let memory: Vec<_> = scrape
        .series("worker_gpu_memory_used_bytes", OF_GPU)
        .collect();
    assert_eq!(memory.len(), 1, "{:?}", watched.probe.log());
    assert_eq!(memory[0].value, MEMORY_BYTES as f64);
    let worker = memory[0].labels["worker"].clone();
    let of_worker = [("worker", worker.as_str()), ("gpu_id", "0")];
    let value = |name: &str| scrape.sum(name, &of_worker);
    assert_eq!(value("worker_gpu_utilization_percent"), 37.0);
    assert_eq!(value("voxprobe_gpu_process_sm_ratio"), 0.25);
    let device = |name: &str| scrape.sum(name, OF_GPU);
    assert_eq!(device("worker_gpu_memory_total_bytes"), 85_899_345_920.0);
    assert_eq!(device("worker_gpu_temperature_celsius"), 54.0);
    assert_eq!(device("worker_gpu_power_watts"), 187.45);

    // The same label as that of the worker's voice metrics.
    Client::tonic(&watched.lab, &watched.worker, &["--text-length", "5"])
        .finish(Duration::from_secs(30));
    let frames = |scrape: &Exposition| {
        scrape.sum(
            "worker_audio_frames_emitted_total",
            &[("worker", worker.as_str())],
        )
    };
    let last = watched.probe.scrape_until(SOON, |s| frames(s) >= 15.0);
    assert_eq!(frames(&last), 15.0);
    watched.probe.stop();
}

#[test]
fn lost_gpu_takes_its_series_along_and_says_so_until_it_returns() {
    if unprivileged() {
        return;
    }
    let watched = Watched::start();
    assert!(joined(&watched.probe.scrape_until(SOON, joined)));
    watched.change("lost = [{ from_s = 0 }]", "");
    let gone = |scrape: &Exposition| is_lost(scrape) && !joined(scrape);
    let scrape = watched.probe.scrape_until(SOON, gone);
    assert!(is_lost(&scrape), "the state says so");
    for name in [
        "worker_gpu_memory_used_bytes",
        "worker_gpu_utilization_percent",
        "worker_gpu_temperature_celsius",
        "worker_gpu_power_watts",
    ] {
        assert_eq!(scrape.series(name, OF_GPU).count(), 0, "{name} is stale");
    }
    watched.change("", "");
    let back = |scrape: &Exposition| !is_lost(scrape) && joined(scrape);
    assert!(back(&watched.probe.scrape_until(SOON, back)), "it returns");
    watched.probe.stop();
}

#[test]
fn hanging_nvml_call_does_not_stall_the_agent() {
    if unprivileged() {
        return;
    }
    let watched = Watched::start();
    assert!(joined(&watched.probe.scrape_until(SOON, joined)));
    let fault = "[[fault]]\ncall = \"nvmlDeviceGetTemperature\"\nhang_ms = 20000\n";
    watched.change("", fault);
    let timed_out = |scrape: &Exposition| scrape.sum("voxprobe_nvml_timeouts_total", &[]) >= 1.0;
    let scrape = watched.probe.scrape_until(SOON, timed_out);
    assert!(timed_out(&scrape), "the call is given up");
    // Meanwhile frames are counted and scrapes answered.
    Client::tonic(&watched.lab, &watched.worker, &["--text-length", "5"])
        .finish(Duration::from_secs(30));
    let name = "worker_audio_frames_emitted_total";
    let last = watched
        .probe
        .scrape_until(SOON, |s| s.sum(name, &[]) >= 15.0);
    assert_eq!(last.sum(name, &[]), 15.0);
    let stale = last
        .series("worker_gpu_temperature_celsius", OF_GPU)
        .count();
    assert_eq!(stale, 0, "the reading that hangs is not kept");
    watched.probe.stop();
}

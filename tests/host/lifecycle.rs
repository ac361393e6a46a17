//! Workers and the probe itself come and go.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE};
use probe_tests::process::eventually;
use probe_tests::programs;
use probe_tests::skip::{program, unprivileged};
use rustix::time::{ClockId, clock_gettime};
use voicelab::truth::{Event, Line};

/// How soon a gone worker's series must have left and a new one's have come.
const SOON: Duration = Duration::from_secs(5);

/// How long a client may take.
const CLIENT_LIMIT: Duration = Duration::from_mins(1);

/// Values of the label `worker`.
fn workers(scrape: &Exposition) -> BTreeSet<String> {
    let samples = scrape.samples().iter();
    let names = samples.filter_map(|sample| sample.labels.get("worker"));
    names.cloned().collect()
}

#[test]
fn killed_worker_leaves_the_metrics_and_its_successor_appears() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    // Names of their own: a worker is found at its start, when it listens nowhere yet.
    let target = |adapter: &str| {
        format!(
            "[[target]]\nrole = \"worker\"\nname = \"{adapter}\"\n\
             cmdline = 'voicelab worker .*--adapter {adapter}'\n"
        )
    };
    let config = lab.write("voxprobe.toml", target("first") + &target("second"));
    let arguments = |adapter| ["--adapter", adapter, "--load-ms", "20"];
    let long = ["--text-length", "400", "--chunk-length", "400"];
    let first = Server::tonic(&lab, &arguments("first"));
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    let gone = "first".to_owned();
    let listening = Client::tonic(&lab, &first, &long);
    let seen = |name: &str| {
        let name = name.to_owned();
        move |scrape: &Exposition| {
            scrape.sum("worker_audio_frames_emitted_total", &[("worker", &name)]) >= 20.0
        }
    };
    let before = probe.scrape_until(SOON, seen(&gone));
    assert_eq!(workers(&before), [gone.clone()].into());

    first.kill();
    let killed = Instant::now();
    let second = Server::tonic(&lab, &arguments("second"));
    let successor = "second".to_owned();
    let only = BTreeSet::from([successor.clone()]);
    let left = || SOON.saturating_sub(killed.elapsed());
    let after = probe.scrape_until(left(), |scrape| workers(scrape) == only);
    assert_eq!(workers(&after), only, "{gone} was killed");
    let _listening = Client::tonic(&lab, &second, &long);
    let after = probe.scrape_until(left(), seen(&successor));
    assert!(seen(&successor)(&after), "frames of {successor}");
    drop(listening);
    probe.stop();
}

#[test]
fn killed_probe_leaves_the_worker_untouched_and_nothing_attached() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let mut worker = Server::tonic(&lab, &["--load-ms", "20"]);
    let probe = Probe::watch(&lab, &[worker.pid()], &[]);
    let held = programs::held_by(probe.pid());
    assert!(held.len() >= 5, "programs of the agent: {held:?}");
    let client = Client::tonic(&lab, &worker, &["--sessions", "4", "--text-length", "80"]);
    worker.wait_for_frames(100);
    probe.kill();
    // 80 characters of 60 ms are 240 frames of 20 ms.
    let client = client.finish(CLIENT_LIMIT);
    assert_eq!(client.summary.frames, 4 * 240);
    assert_eq!(client.summary.sequence_gaps, 0);
    assert_eq!(client.summary.failed_calls, 0);
    assert!(worker.is_running(), "the worker goes on");

    let Some(bpftool) = program("bpftool") else {
        return;
    };
    // The kernel frees programs a moment after the process.
    let mut left = held.clone();
    eventually(SOON, || {
        left = &programs::in_kernel(&bpftool) & &held;
        left.is_empty()
    });
    assert_eq!(left, BTreeSet::new(), "programs in the kernel");
}

#[test]
fn stopped_probe_leaves_nothing_attached() {
    if unprivileged() {
        return;
    }
    let Some(bpftool) = program("bpftool") else {
        return;
    };
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &[]);
    let probe = Probe::watch(&lab, &[worker.pid()], &[]);
    let held = programs::held_by(probe.pid());
    let attached = &programs::in_kernel(&bpftool) & &held;
    assert_eq!(attached, held, "the programs are in the kernel meanwhile");
    probe.stop();
    let mut left = held.clone();
    eventually(SOON, || {
        left = &programs::in_kernel(&bpftool) & &held;
        left.is_empty()
    });
    assert_eq!(left, BTreeSet::new(), "programs in the kernel");
}

#[test]
fn worker_that_starts_later_is_watched_from_its_first_connection() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let config = lab.write(
        "voxprobe.toml",
        "[[target]]\nrole = \"worker\"\ncmdline = 'voicelab worker .*--adapter newcomer'\n",
    );
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    let probe = Probe::start(&lab, command);
    let worker = Server::tonic(&lab, &["--adapter", "newcomer", "--load-ms", "20"]);
    // A real worker loads a model before it listens; this one listens within milliseconds.
    probe.wait_watching(1);
    let client = Client::tonic(&lab, &worker, &["--text-length", "10"]).finish(CLIENT_LIMIT);
    assert_eq!(client.summary.frames, 30);
    let name = "worker_audio_frames_emitted_total";
    let last = probe.scrape_until(SOON, |scrape| scrape.sum(name, &[]) >= 30.0);
    assert_eq!(last.sum(name, &[]), 30.0);
    let active = last.series("worker_sessions_active", &[("adapter_type", "newcomer")]);
    assert_eq!(active.count(), 1, "the adapter is known by its argument");
    probe.stop();
}

#[test]
fn probe_that_is_started_again_loses_only_the_time_between() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "20"]);
    let arguments = [
        "--sessions",
        "4",
        "--text-length",
        "160",
        "--chunk-length",
        "160",
    ];
    let client = Client::tonic(&lab, &worker, &arguments);
    worker.wait_for_frames(50);
    let frames = |scrape: &Exposition| scrape.sum("worker_audio_frames_emitted_total", &[]) as u64;

    let before = monotonic_ns();
    let first = Probe::watch(&lab, &[worker.pid()], &[]);
    let first_watches = monotonic_ns();
    std::thread::sleep(Duration::from_secs(2));
    let first_last = monotonic_ns();
    let first = frames(&first.stop());

    let second = Probe::watch(&lab, &[worker.pid()], &[]);
    let second_watches = monotonic_ns();
    assert!(frames(&second.scrape()) < first, "counters start again");
    let late = [("joined", "late"), ("protocol", "http2")];
    let found = |scrape: &Exposition| scrape.sum("voxprobe_connections", &late) == 1.0;
    assert!(found(&second.scrape_until(SETTLE, found)));
    client.finish(CLIENT_LIMIT);
    let ended = monotonic_ns();
    let last = second.stop();
    let truth = worker.terminate().truth;
    // What was sent while each surely watched is counted; what was sent outside is not. The framing of
    // a connection that is open is found by its third frame at the latest, and frames are read from
    // that one on. An open stream is named by three that are read, which are weighed every 20 ms: the
    // fourth may come a little sooner.
    let missed = 2 + 4 * (3 + 1);
    let (first, second) = (first as usize, frames(&last) as usize);
    let each = [
        (first, sent(&truth, first_watches, first_last)),
        (second, sent(&truth, second_watches, ended)),
    ];
    let whole = each.iter().all(|(seen, sent)| seen + missed >= *sent);
    assert!(whole, "seen and sent: {each:?}");
    assert!(first + second <= sent(&truth, before, ended), "{each:?}");
}

/// Frames that a worker sent in a time of the monotonic clock.
fn sent(truth: &[Line], from_ns: u64, to_ns: u64) -> usize {
    let within = truth
        .iter()
        .filter(|line| (from_ns..=to_ns).contains(&line.t_ns));
    within
        .filter(|line| matches!(line.event, Event::Frame { bytes, .. } if bytes > 0))
        .count()
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_nanos() as u64
}

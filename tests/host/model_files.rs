//! Loads that never cross the wire: a purpose-written peer loads weights files in every way there
//! is and says when by its own clock; what is exported must be the same loads.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{self, Probe, assert_lossless};
use probe_tests::process::Process;
use probe_tests::report::{FileLoad, WEIGHTS};
use probe_tests::skip::unprivileged;

/// How long the peer may take for all its loads.
const PEER: Duration = Duration::from_secs(30);

/// How long a load may take to show: files are quiet for two seconds first.
const SOON: Duration = Duration::from_secs(10);

/// Bytes of each weights file.
const BYTES: usize = 4 * 1024 * 1024;

/// How far a load's duration may be off, milliseconds: what the peer does around its calls, on a
/// machine with other work.
const TOLERANCE_MS: f64 = 5.0;

const LOADS: &str = "worker_model_manager_loads_total";

/// Folders that the peer loads; `header` and `noise` it only looks at.
const FOLDERS: [&str; 11] = [
    "read",
    "readv",
    "pread",
    "preadv",
    "mapped",
    "relative",
    "duplicated",
    "open",
    "openat2",
    "header",
    "noise",
];

/// Makes the models and gives their folder; a weights file outside of it lies beside.
fn models(lab: &Lab) -> PathBuf {
    let root = lab.path("models");
    let weights = vec![7; BYTES];
    for folder in FOLDERS.iter().map(|name| root.join(name)) {
        std::fs::create_dir_all(&folder).expect("make a folder");
        std::fs::write(folder.join(WEIGHTS), &weights).expect("write weights");
    }
    std::fs::write(root.join("noise/tokenizer.json"), &weights).expect("write a file");
    let elsewhere = lab.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("make a folder");
    std::fs::write(elsewhere.join(WEIGHTS), &weights).expect("write weights");
    root
}

/// Runs the peer under a probe; what the peer says, the last metrics, and the capture.
fn watch(lab: &Lab, hooks: &str) -> (Vec<FileLoad>, Exposition, PathBuf) {
    let root = models(lab);
    let mut command = Command::new(env!("CARGO_BIN_EXE_file-peer"));
    let mut peer = Process::start(command.arg(&root), &lab.path("peer.err"));
    assert_eq!(peer.line(PEER), "ready");
    let config = format!(
        "[hooks]\nsyscalls = \"{hooks}\"\n[models]\nroots = [{:?}]\n",
        root.display().to_string()
    );
    let config = lab.write("voxprobe.toml", config);
    let capture = lab.path("files.vxcap");
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    command.args(["--pid", &peer.pid().to_string(), "--record"]);
    let probe = Probe::start(lab, {
        command.arg(&capture);
        command
    });
    probe.wait_watching(1);
    peer.tell("go");
    let said: Vec<FileLoad> = serde_json::from_str(&peer.line(PEER)).expect("the peer's loads");
    let all = said.len() as f64;
    probe.scrape_until(SOON, |scrape| scrape.sum(LOADS, &[]) >= all);
    // What is no load would show by now as well.
    std::thread::sleep(Duration::from_secs(3));
    let metrics = probe.stop();
    assert_lossless(&metrics);
    (said, metrics, capture)
}

/// Asserts that what is exported are the loads of the peer, and nothing else.
#[track_caller]
fn assert_loads(said: &[FileLoad], metrics: &Exposition) {
    let counted = metrics.by_label(LOADS, "model_id");
    let expected = said.iter().map(|load| (load.model.clone(), 1)).collect();
    assert_eq!(counted, expected);
    let name = "worker_model_manager_load_duration_ms";
    for load in said {
        let labels = [("model_id", load.model.as_str())];
        let ours = metrics.sum(&format!("{name}_sum"), &labels);
        let own = (load.ended_ns - load.begun_ns) as f64 / 1e6;
        let difference = own - ours;
        assert!(
            difference.abs() < TOLERANCE_MS,
            "{}: own {own} ms, ours {ours} ms",
            load.model
        );
    }
    let resident = metrics.sum("worker_model_manager_resident_count", &[]);
    assert_eq!(resident, said.len() as f64);
}

#[test]
fn weights_files_are_loads_in_whatever_way_they_are_read() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let (said, metrics, capture) = watch(&lab, "tracepoints");
    assert_loads(&said, &metrics);
    let replayed = probe::replay(&capture);
    assert_eq!(
        replayed.by_label(LOADS, "model_id"),
        metrics.by_label(LOADS, "model_id")
    );
    let recorded = probe_tests::story::decompressed(&capture);
    let path = lab.path("models").join("read");
    let path = path.display().to_string();
    assert!(
        !probe_tests::story::contains(&recorded, path.as_bytes()),
        "a capture holds no paths"
    );
}

#[test]
fn weights_files_are_loads_under_raw_tracepoints_too() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let (said, metrics, _) = watch(&lab, "raw");
    assert_loads(&said, &metrics);
}

#[test]
fn files_are_passed_over_without_model_roots() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let root = models(&lab);
    let mut command = Command::new(env!("CARGO_BIN_EXE_file-peer"));
    let mut peer = Process::start(command.arg(&root), &lab.path("peer.err"));
    assert_eq!(peer.line(PEER), "ready");
    let probe = Probe::watch(&lab, &[peer.pid()], &[]);
    peer.tell("go");
    peer.line(PEER);
    let last = probe.stop();
    let files = last.sum("voxprobe_records_total", &[("kind", "file")]);
    assert_eq!(files, 0.0);
    assert_lossless(&last);
}

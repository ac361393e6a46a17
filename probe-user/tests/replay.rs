//! A recorded capture through the whole pipeline, without a kernel: the same metrics every time.

use std::{path::Path, process::Command};

/// Recorded by `cargo xtask demo --for 6s --record tests/data/demo.vxcap`: paced sessions of the
/// voicelab with one stall, on the stand-in GPU, an orchestrator in front and a real Redis. The demo
/// shows it where eBPF is refused.
const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/demo.vxcap");

/// What `voxprobe replay tests/data/demo.vxcap | grep -E '^(worker|orchestrator|redis)_'` printed for it.
const EXPECTED: &str = include_str!("../../tests/data/demo.metrics");

fn replay(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_voxprobe"))
        .arg("replay")
        .args(arguments)
        .output()
        .expect("voxprobe runs");
    // 1 says that frames were late.
    let findings = i32::from(arguments.contains(&"--diagnose"));
    assert_eq!(
        output.status.code(),
        Some(findings),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

fn guide_metrics(exposition: &str) -> Vec<&str> {
    let parts = ["worker_", "orchestrator_", "redis_"];
    let of_guide = |line: &&str| parts.iter().any(|part| line.starts_with(part));
    exposition.lines().filter(of_guide).collect()
}

#[test]
fn recorded_capture_gives_the_metrics_it_gave() {
    let replayed = replay(&[CAPTURE, "--metrics"]);
    let expected: Vec<&str> = EXPECTED.lines().collect();
    for metric in [
        "worker_audio_underruns_total{cause=\"own_timer\",",
        "orchestrator_sessions_started_total{",
        "orchestrator_latency_barge_in_ms_count{",
        "redis_command_latency_ms_count{",
    ] {
        let recorded = expected.iter().any(|line| line.starts_with(metric));
        assert!(recorded, "{metric}");
    }
    assert_eq!(guide_metrics(&replayed), expected);
}

/// A capture of `voxprobe diagnose --for 12s --record`, of a worker with four sessions and the stand-in
/// GPU: a lock held for 300 ms, SIGSTOP for 250 ms, one frame delayed by 400 ms, the GPU throttled
/// from the eighth second on.
const DIAGNOSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/diagnosis.vxcap");

#[test]
fn recorded_diagnosis_gives_the_report_it_gave() {
    let expected = include_str!("../../tests/data/diagnosis.txt");
    assert_eq!(replay(&[DIAGNOSED, "--diagnose"]), expected);
}

#[test]
fn replay_of_a_capture_is_the_same_every_time() {
    assert_eq!(replay(&[CAPTURE]), replay(&[CAPTURE]));
}

#[test]
fn events_carry_times_and_no_content() {
    let events = replay(&[CAPTURE, "--events"]);
    let chunks: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .filter_map(|mut event: serde_json::Value| Some(event.get_mut("Chunk")?.take()))
        .collect();
    assert!(!chunks.is_empty());
    for chunk in chunks {
        assert!(chunk["enter"].is_u64() && chunk["exit"].is_u64());
        let kept = chunk["bytes"].as_array().map_or(0, Vec::len) as u64;
        let length = chunk["length"].as_u64().expect("a length");
        // An audio message is 1 950 bytes; its framing and numbers are some dozens.
        assert!(kept < 600, "{kept} of {length} bytes kept");
    }
}

#[test]
fn file_that_is_no_capture_is_refused_in_one_line() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_voxprobe"))
        .arg("replay")
        .arg(manifest)
        .output()
        .expect("voxprobe runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("is no voxprobe capture"), "{text}");
}

#[test]
fn streams_at_the_end_of_the_recorded_demo_are_listed() {
    let rows: serde_json::Value =
        serde_json::from_str(&replay(&[CAPTURE, "--streams"])).expect("JSON");
    let (called, direct): (Vec<&str>, Vec<&str>) = rows
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["session"].as_str())
        .partition(|session| session.starts_with("ws-"));
    assert!(!called.is_empty(), "streams of the orchestrator's sessions");
    assert_eq!(
        direct,
        [
            "control-0",
            "control-1",
            "earlier-0",
            "earlier-1",
            "later-0",
            "later-1",
            "later-2"
        ]
    );
}

#[test]
fn recorded_demo_holds_no_text() {
    use std::io::Read as _;
    let bytes = std::fs::read(CAPTURE).expect("the capture");
    let compressed = bytes.get(probe_user::capture::MAGIC.len()..);
    let mut plain = Vec::new();
    lz4_flex::frame::FrameDecoder::new(compressed.expect("more than the magic"))
        .read_to_end(&mut plain)
        .expect("an LZ4 frame");
    // Words of the voice lab's texts. "river" is left out: NVML has a driver.
    for word in ["hello", "listen", "morning", "window", "garden", "yellow"] {
        let found = plain.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(!found, "{word}");
    }
}

#[test]
fn observations_are_the_values_in_the_histograms() {
    let metrics = replay(&[CAPTURE]);
    let told = replay(&[CAPTURE, "--observations"]);
    let jitters: Vec<f64> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .filter(|one: &serde_json::Value| one["metric"] == "worker_audio_frame_jitter_ms")
        .filter_map(|one| one["value"].as_f64())
        .collect();
    let sums = |name: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    };
    let count = sums("worker_audio_frame_jitter_ms_count");
    assert_eq!(jitters.len(), count.round() as usize);
    let sum: f64 = jitters.iter().sum();
    assert!((sum - sums("worker_audio_frame_jitter_ms_sum")).abs() < 1e-6 * sum);
}

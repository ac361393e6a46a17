//! The recorded capture that the demo shows where eBPF is refused: what `voxprobe` makes of it.

use std::path::Path;
use std::process::Command;

/// Standard output of `voxprobe replay` on the capture.
fn replay(what: &str) -> String {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/demo.vxcap");
    let output = Command::new(env!("CARGO_BIN_EXE_voxprobe"))
        .arg("replay")
        .arg(capture)
        .arg(what)
        .output()
        .expect("voxprobe starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Sum of a metric over its label values.
fn total(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn recorded_demo_gives_the_counts_of_its_live_run() {
    let metrics = replay("--metrics");
    let counts = [
        ("worker_audio_frames_emitted_total", 1_428.0),
        ("worker_audio_underruns_total", 1.0),
        ("worker_control_commands_total", 3.0),
        ("worker_model_manager_loads_total", 1.0),
        ("worker_synthesis_requests_total", 6.0),
        ("worker_sessions_active", 5.0),
        ("worker_gpu_memory_used_bytes", 17_179_869_184.0),
    ];
    for (name, count) in counts {
        let got = total(&metrics, name);
        assert!((got - count).abs() < f64::EPSILON, "{name}: {got}");
    }
}

#[test]
fn streams_at_the_end_of_the_recorded_demo_are_listed() {
    let rows: serde_json::Value = serde_json::from_str(&replay("--streams")).expect("JSON");
    let sessions: Vec<&str> = rows
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["session"].as_str())
        .collect();
    assert_eq!(
        sessions,
        ["control-0", "control-1", "later-0", "later-1", "later-2"]
    );
}

#[test]
fn recorded_demo_holds_no_text() {
    use std::io::Read as _;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/demo.vxcap");
    let bytes = std::fs::read(file).expect("the capture");
    let compressed = bytes.get(probe_user::capture::MAGIC.len()..);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(compressed.expect("more than the magic"))
        .read_to_end(&mut plain)
        .expect("gzip");
    // Words of the voice lab's texts. "river" is left out: NVML has a driver.
    for word in ["hello", "listen", "morning", "window", "garden", "yellow"] {
        let found = plain.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(!found, "{word}");
    }
}

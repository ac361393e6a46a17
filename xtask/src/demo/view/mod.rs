//! The live view: what the metrics add up to, the orchestrator's sessions, Redis, and one row for each
//! open audio stream.

mod calls;
mod table;

use std::time::Duration;

use super::exposition::{Sample, sum};
use super::streams::Stream;

/// Bytes in a gibibyte.
const GIB: f64 = 1_073_741_824.0;

/// Everything of one moment; `elapsed` since the start, where it is of interest.
pub(super) fn picture(
    elapsed: Option<Duration>,
    streams: &[Stream],
    metrics: &[Sample],
) -> Vec<String> {
    let mut lines = vec![summary(elapsed, streams, metrics)];
    lines.extend(gpu(metrics));
    lines.extend(calls::lines(metrics));
    lines.extend(table::lines(streams));
    lines
}

/// All streams on one line. Totals are the metrics'; jitter and lateness are the worst stream's.
pub(super) fn summary(elapsed: Option<Duration>, streams: &[Stream], metrics: &[Sample]) -> String {
    let worst = |value: fn(&Stream) -> Option<f64>| {
        number(streams.iter().filter_map(value).max_by(f64::total_cmp))
    };
    let at = elapsed.map_or_else(String::new, |elapsed| {
        format!("{:>3} s  ", elapsed.as_secs())
    });
    format!(
        "{at}{} streams  {} frames  {} underruns  jitter p95 {} ms  late {} ms",
        streams.len(),
        sum(metrics, "worker_audio_frames_emitted_total").unwrap_or(0.0),
        sum(metrics, "worker_audio_underruns_total").unwrap_or(0.0),
        worst(|stream| stream.jitter_p95_ms),
        worst(|stream| stream.lateness_ms),
    )
}

/// The first GPU and what the workers hold of it; nothing where there is none.
fn gpu(metrics: &[Sample]) -> Option<String> {
    let total = metrics
        .iter()
        .find(|sample| sample.name == "worker_gpu_memory_total_bytes")?;
    let id = total.label("gpu_id")?;
    let on_this: Vec<Sample> = metrics
        .iter()
        .filter(|sample| sample.label("gpu_id") == Some(id))
        .cloned()
        .collect();
    let read = |name: &str| sum(&on_this, name).map_or_else(|| "-".into(), |v| format!("{v:.0}"));
    let held = sum(&on_this, "worker_gpu_memory_used_bytes").unwrap_or(0.0);
    Some(format!(
        "GPU {id}: worker holds {:.1} of {:.1} GiB, {} % busy, {} °C, {} W",
        held / GIB,
        total.value / GIB,
        read("worker_gpu_utilization_percent"),
        read("worker_gpu_temperature_celsius"),
        read("worker_gpu_power_watts"),
    ))
}

/// A name made safe for a terminal: it comes from the wire.
fn name(name: Option<&str>, characters: usize) -> String {
    match name {
        Some(name) => name
            .chars()
            .filter(|c| !c.is_control())
            .take(characters)
            .collect(),
        None => "-".to_string(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use super::super::exposition;
    use super::super::streams::parse;
    use super::*;

    /// Columns that the view must fit.
    pub(super) const COLUMNS: usize = 80;

    pub(super) const TWO: &str = r#"[
        {"session": "a", "model": "m", "pacing": "paced", "frames": 50, "jitter_p50_ms": 0.1,
         "jitter_p95_ms": 0.4, "lateness_ms": 0, "underruns": 0, "state": "speaking"},
        {"session": "b", "frames": 7, "lateness_ms": 340.5, "underruns": 1, "jitter_p95_ms": null}
    ]"#;

    const METRICS: &str = "worker_audio_frames_emitted_total{session_id=\"a\"} 41234\n\
        worker_audio_underruns_total{cause=\"unknown\"} 12\n\
        worker_gpu_memory_total_bytes{gpu_id=\"0\"} 85899345920\n\
        worker_gpu_memory_used_bytes{gpu_id=\"0\",worker=\"w\"} 17179869184\n\
        worker_gpu_temperature_celsius{gpu_id=\"0\"} 61\n";

    #[test]
    fn summary_has_the_totals_and_the_worst_stream() {
        let streams = parse(TWO).expect("streams");
        let line = summary(
            Some(Duration::from_secs(3)),
            &streams,
            &exposition::parse(METRICS),
        );
        assert!(
            line.contains("2 streams  41234 frames  12 underruns"),
            "{line}"
        );
        assert!(line.ends_with("jitter p95 0.4 ms  late 340.5 ms"), "{line}");
        assert!(line.chars().count() <= COLUMNS, "{line}");
    }

    #[test]
    fn gpu_line_appears_only_with_a_gpu() {
        let line = gpu(&exposition::parse(METRICS)).expect("a GPU");
        assert_eq!(
            line,
            "GPU 0: worker holds 16.0 of 80.0 GiB, - % busy, 61 °C, - W"
        );
        assert_eq!(gpu(&[]), None);
    }

    #[test]
    fn escape_sequence_in_a_name_does_not_reach_the_terminal() {
        assert_eq!(name(Some("\x1b[2Jname"), 20), "[2Jname");
    }
}

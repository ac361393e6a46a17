//! The live view: one row for each open audio stream, and what the metrics add up to.

use std::time::Duration;

use super::exposition::{Sample, sum};
use super::streams::Stream;

/// Most rows: one screen of 24 lines, with the lines around the table.
const MAX_ROWS: usize = 18;
/// Most characters of a session.
const SESSION_CHARACTERS: usize = 12;
/// Most characters of a model.
const MODEL_CHARACTERS: usize = 11;
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
    lines.extend(table(streams));
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

/// A heading, and one row for each stream; times in milliseconds.
pub(super) fn table(streams: &[Stream]) -> Vec<String> {
    let heading = [
        "session",
        "model",
        "pacing",
        "frames",
        "jit p50",
        "jit p95",
        "late",
        "underruns",
        "state",
    ];
    let rows = streams.iter().take(MAX_ROWS).map(|stream| {
        row(&[
            &name(stream.session.as_ref(), SESSION_CHARACTERS),
            &name(stream.model.as_ref(), MODEL_CHARACTERS),
            &name(stream.pacing.as_ref(), 6),
            &stream.frames.to_string(),
            &number(stream.jitter_p50_ms),
            &number(stream.jitter_p95_ms),
            &number(stream.lateness_ms),
            &stream.underruns.to_string(),
            &name(stream.state.as_ref(), 8),
        ])
    });
    let left = streams.len().saturating_sub(MAX_ROWS);
    let rest = (left > 0).then(|| format!("… and {left} more"));
    std::iter::once(row(&heading))
        .chain(rows)
        .chain(rest)
        .collect()
}

/// 12 + 11 + 6 + 6 + 7 + 7 + 6 + 9 + 8 characters and eight spaces: 80 columns.
fn row(cells: &[&str; 9]) -> String {
    let [
        session,
        model,
        pacing,
        frames,
        p50,
        p95,
        late,
        underruns,
        state,
    ] = cells;
    format!(
        "{session:<12} {model:<11} {pacing:<6} {frames:>6} {p50:>7} {p95:>7} {late:>6} \
         {underruns:>9} {state}"
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
fn name(name: Option<&String>, characters: usize) -> String {
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
    const COLUMNS: usize = 80;

    const TWO: &str = r#"[
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
    fn unknown_value_is_a_dash() {
        let table = table(&parse(TWO).expect("streams"));
        let cells: Vec<&str> = table[2].split_whitespace().collect();
        assert_eq!(cells, ["b", "-", "-", "7", "-", "-", "340.5", "1", "-"]);
    }

    #[test]
    fn widest_row_fits_the_columns() {
        let long = || Some("x".repeat(100));
        let stream = Stream {
            session: long(),
            model: long(),
            pacing: long(),
            frames: 999_999,
            jitter_p50_ms: Some(99_999.94),
            jitter_p95_ms: Some(99_999.94),
            lateness_ms: Some(9_999.94),
            margin_ms: None,
            underruns: 999_999_999,
            state: long(),
        };
        for line in table(&[stream]) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn many_streams_are_cut_to_one_screen() {
        let streams = vec![Stream::default(); MAX_ROWS + 3];
        let table = table(&streams);
        assert_eq!(table.len(), 1 + MAX_ROWS + 1);
        assert_eq!(table.last().map(String::as_str), Some("… and 3 more"));
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
        let hostile = "\x1b[2Jname".to_string();
        assert_eq!(name(Some(&hostile), 20), "[2Jname");
    }
}

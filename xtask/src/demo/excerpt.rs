//! The part of `/metrics` that the demo prints.

use super::exposition::{Sample, sum};

/// Columns that a line should fit.
const COLUMNS: usize = 80;
/// Most lines of one section.
const MAX_LINES: usize = 48;

/// Most series of one metric: sessions have one each.
const MAX_SERIES: usize = 10;

/// What a section shows.
struct Section {
    heading: &'static str,
    /// Names that are shown, or begin with it when it ends in `_`.
    shown: &'static [&'static str],
    /// Names that are shown in another section.
    but: &'static str,
}

/// The guide's metrics, the GPU, the probe's own cost.
const SECTIONS: [Section; 5] = [
    Section {
        heading: "orchestrator",
        shown: &["orchestrator_"],
        but: "-",
    },
    Section {
        heading: "Redis",
        shown: &["redis_"],
        but: "-",
    },
    Section {
        heading: "worker",
        shown: &["worker_"],
        but: "worker_gpu_",
    },
    Section {
        heading: "GPU",
        shown: &["worker_gpu_"],
        but: "-",
    },
    Section {
        heading: "the probe's own cost",
        shown: &[
            "voxprobe_cpu_seconds_total",
            "voxprobe_resident_memory_bytes",
            "voxprobe_kernel_records_total",
            "voxprobe_stream_bytes_total",
            "voxprobe_flow_calls_total",
            "voxprobe_hook_backend",
        ],
        but: "-",
    },
];

/// What the kernel side could not record, by reason.
const LOSSES: &str = "voxprobe_kernel_losses_total";
/// Bytes missing from streams, by reason.
const GAP_BYTES: &str = "voxprobe_stream_gap_bytes_total";
/// The reason of bytes that nobody misses.
const UNREAD: &str = "unread";

/// Every section with samples. The label `worker` is left out where there is only one.
pub(super) fn lines(samples: &[Sample]) -> Vec<String> {
    let mut workers: Vec<&str> = samples.iter().filter_map(|s| s.label("worker")).collect();
    workers.sort_unstable();
    workers.dedup();
    let only = match workers.as_slice() {
        [worker] => Some(*worker),
        _ => None,
    };
    let mut lines = Vec::new();
    for section in &SECTIONS {
        let of_section: Vec<String> = samples
            .iter()
            .filter(|sample| section.shows(&sample.name))
            .filter_map(|sample| line(sample, samples, only.is_some()))
            .collect();
        if of_section.is_empty() {
            continue;
        }
        let label = only
            .filter(|_| section.heading == "worker")
            .map_or_else(String::new, |worker| {
                format!(", all with worker=\"{worker}\"")
            });
        lines.push(format!("\n# {}{label}", section.heading));
        let of_section = without_crowds(&of_section);
        let left = of_section.len().saturating_sub(MAX_LINES);
        lines.extend(of_section.iter().take(MAX_LINES).map(|line| folded(line)));
        if left > 0 {
            lines.push(format!("… and {left} more"));
        }
    }
    lines
}

/// What was lost, on one line; nothing when the agent did not tell.
pub(super) fn lost(samples: &[Sample]) -> Option<String> {
    let losses = sum(samples, LOSSES)?;
    let reasons: Vec<String> = samples
        .iter()
        .filter(|sample| sample.name == LOSSES && sample.value > 0.0)
        .filter_map(|sample| Some(format!("{} {}", sample.value, sample.label("reason")?)))
        .collect();
    let gaps: f64 = samples
        .iter()
        .filter(|sample| sample.name == GAP_BYTES && sample.label("reason") != Some(UNREAD))
        .map(|sample| sample.value)
        .sum();
    let why = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    Some(format!(
        "records lost: {losses}{why}; bytes missing from streams: {gaps}"
    ))
}

impl Section {
    fn shows(&self, name: &str) -> bool {
        let listed = self.shown.iter().any(|shown| {
            if shown.ends_with('_') {
                name.starts_with(shown)
            } else {
                name == *shown
            }
        });
        listed && !name.starts_with(self.but)
    }
}

/// Of a metric with many series, the first ones.
fn without_crowds(lines: &[String]) -> Vec<String> {
    let name = |line: &String| {
        line.split(['{', ' '])
            .next()
            .unwrap_or_default()
            .to_string()
    };
    lines
        .chunk_by(|a, b| name(a) == name(b))
        .flat_map(|series| {
            let left = series.len().saturating_sub(MAX_SERIES);
            let rest = (left > 0).then(|| format!("… and {left} more of them"));
            series.iter().take(MAX_SERIES).cloned().chain(rest)
        })
        .collect()
}

/// A line that is too long is broken between two labels.
fn folded(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_string();
    }
    let fits = line.char_indices().take(COLUMNS).collect::<Vec<_>>();
    let comma = fits.iter().rev().find(|(_, character)| *character == ',');
    let (begin, end) = line.split_at(comma.map_or(line.len(), |(at, _)| at + 1));
    if end.is_empty() {
        return begin.to_string();
    }
    format!("{begin}\n    {}", folded(end))
}

/// One sample as `/metrics` has it; of a histogram its count, with the mean. Buckets and sums are
/// left out.
fn line(sample: &Sample, all: &[Sample], without_worker: bool) -> Option<String> {
    if sample.name.ends_with("_bucket") || sample.name.ends_with("_sum") {
        return None;
    }
    let labels: Vec<String> = sample
        .labels
        .iter()
        .filter(|(name, _)| !(without_worker && name == "worker"))
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let Some(base) = sample.name.strip_suffix("_count") else {
        return Some(format!("{}{labels} {}", sample.name, sample.value));
    };
    let total = all.iter().find(|other| {
        other.name.strip_suffix("_sum") == Some(base) && other.labels == sample.labels
    });
    Some(match total {
        Some(total) if sample.value > 0.0 => format!(
            "{base}{labels} mean {:.2} of {}",
            total.value / sample.value,
            sample.value
        ),
        // `worker_model_manager_resident_count` is a gauge.
        _ => format!("{}{labels} {}", sample.name, sample.value),
    })
}

#[cfg(test)]
mod tests {
    use super::super::exposition::parse;
    use super::*;

    #[test]
    fn histogram_is_its_mean_and_count() {
        let samples = parse(
            "worker_jitter_ms_bucket{worker=\"w\",pacing=\"paced\",le=\"1\"} 3\n\
             worker_jitter_ms_sum{worker=\"w\",pacing=\"paced\"} 8\n\
             worker_jitter_ms_count{worker=\"w\",pacing=\"paced\"} 4\n\
             worker_resident_count{worker=\"w\"} 2\n",
        );
        assert_eq!(
            lines(&samples),
            [
                "\n# worker, all with worker=\"w\"",
                "worker_jitter_ms{pacing=\"paced\"} mean 2.00 of 4",
                "worker_resident_count 2",
            ]
        );
    }

    #[test]
    fn label_of_two_workers_stays() {
        let samples = parse("worker_x{worker=\"a\"} 1\nworker_x{worker=\"b\"} 2\n");
        assert_eq!(
            lines(&samples),
            [
                "\n# worker",
                "worker_x{worker=\"a\"} 1",
                "worker_x{worker=\"b\"} 2"
            ]
        );
    }

    #[test]
    fn sections_keep_their_order_and_what_is_in_none_is_left_out() {
        let samples = parse(
            "voxprobe_cpu_seconds_total 1.5\nvoxprobe_series_overflow_total 0\n\
             worker_gpu_power_watts{gpu_id=\"0\"} 190\nworker_sessions_active 3\n",
        );
        assert_eq!(
            lines(&samples),
            [
                "\n# worker",
                "worker_sessions_active 3",
                "\n# GPU",
                "worker_gpu_power_watts{gpu_id=\"0\"} 190",
                "\n# the probe's own cost",
                "voxprobe_cpu_seconds_total 1.5",
            ]
        );
    }

    #[test]
    fn long_line_is_broken_between_labels() {
        let samples = parse(
            "orchestrator_sessions_ended_total{model_id=\"tone-small\",reason=\"client_disconnect\",\
             transport=\"websocket\"} 3\n",
        );
        assert_eq!(
            lines(&samples).last().map(String::as_str),
            Some(
                "orchestrator_sessions_ended_total{model_id=\"tone-small\",\n    \
                 reason=\"client_disconnect\",transport=\"websocket\"} 3"
            )
        );
    }

    #[test]
    fn long_section_says_how_much_is_left() {
        use std::fmt::Write as _;
        let mut metrics = String::new();
        for metric in 0..MAX_LINES + 2 {
            writeln!(metrics, "worker_{metric} 1").expect("string");
        }
        let lines = lines(&parse(&metrics));
        assert_eq!(lines.len(), 1 + MAX_LINES + 1);
        assert_eq!(lines.last().map(String::as_str), Some("… and 2 more"));
    }

    #[test]
    fn metric_of_many_sessions_leaves_room_for_others() {
        use std::fmt::Write as _;
        let mut metrics = String::new();
        for session in 0..MAX_SERIES + 3 {
            writeln!(metrics, "worker_frames{{session=\"{session}\"}} 1").expect("string");
        }
        metrics.push_str("worker_underruns 2\n");
        let lines = lines(&parse(&metrics));
        assert_eq!(lines.len(), 1 + MAX_SERIES + 2);
        assert_eq!(
            lines[1 + MAX_SERIES..],
            ["… and 3 more of them", "worker_underruns 2"]
        );
    }

    #[test]
    fn loss_names_its_reason() {
        let samples = parse(
            "voxprobe_kernel_losses_total{reason=\"ring_full\"} 7\n\
             voxprobe_kernel_losses_total{reason=\"read_fault\"} 0\n\
             voxprobe_stream_gap_bytes_total{reason=\"lost\"} 90\n\
             voxprobe_stream_gap_bytes_total{reason=\"unread\"} 1900\n",
        );
        assert_eq!(
            lost(&samples).as_deref(),
            Some("records lost: 7 (7 ring_full); bytes missing from streams: 90")
        );
        assert_eq!(lost(&[]), None);
    }
}

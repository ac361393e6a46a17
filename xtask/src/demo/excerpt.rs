//! The part of `/metrics` that the demo prints.

/// Most lines of one family prefix: two screens in all.
const MAX_LINES: usize = 40;

/// Prefixes of what is shown: the guide's worker metrics, then the probe's own.
const SHOWN: [&str; 2] = ["worker_", "voxprobe_"];

/// Samples of the shown families. Buckets are left out, their sums and counts stay.
pub(super) fn choose(metrics: &str) -> Vec<String> {
    let mut chosen = Vec::new();
    for prefix in SHOWN {
        let of_prefix: Vec<&str> = metrics
            .lines()
            .filter(|line| line.starts_with(prefix) && !is_bucket(line))
            .collect();
        chosen.extend(
            of_prefix
                .iter()
                .take(MAX_LINES)
                .map(|line| (*line).to_string()),
        );
        let left = of_prefix.len().saturating_sub(MAX_LINES);
        if left > 0 {
            chosen.push(format!("… and {left} more of {prefix}*"));
        }
    }
    chosen
}

fn is_bucket(line: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or(line);
    name.ends_with("_bucket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_metrics_come_first_and_buckets_are_left_out() {
        let metrics = "# HELP worker_x help\n\
                       voxprobe_up 1\n\
                       other 1\n\
                       worker_jitter_ms_bucket{le=\"1\"} 4\n\
                       worker_jitter_ms_count{worker=\"a_bucket\"} 4\n";
        assert_eq!(
            choose(metrics),
            [
                "worker_jitter_ms_count{worker=\"a_bucket\"} 4",
                "voxprobe_up 1"
            ],
        );
    }

    #[test]
    fn long_excerpt_says_how_much_is_left() {
        use std::fmt::Write as _;
        let mut metrics = String::new();
        for series in 0..MAX_LINES + 2 {
            writeln!(metrics, "worker_frames{{session=\"{series}\"}} 1").expect("string");
        }
        let chosen = choose(&metrics);
        assert_eq!(chosen.len(), MAX_LINES + 1);
        assert_eq!(
            chosen.last().map(String::as_str),
            Some("… and 2 more of worker_*")
        );
    }
}

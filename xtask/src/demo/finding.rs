//! What the metrics say about late audio, between two readings of them.

use super::exposition::{Sample, sum};

/// The guide's name for playout gaps.
const UNDERRUNS: &str = "worker_audio_underruns_total";
/// The histogram of how late frames were.
const LATENESS: &str = "worker_audio_frame_lateness_ms";
/// A frame that is later than this, in milliseconds, was late because of the fault, not of the
/// machine: one of the histogram's bounds, half the fault's size.
const SEEN_MS: f64 = 200.0;

/// Late audio between two readings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// Playout gaps.
    pub(super) underruns: f64,
    /// Frames by lateness: lower bound, upper bound, count; times in milliseconds, the latest first,
    /// without those in time.
    pub(super) late: Vec<(f64, f64, f64)>,
}

/// Compares two readings; everything counts when there is nothing before.
pub(super) fn between(before: &[Sample], after: &[Sample]) -> Finding {
    let grown = |name: &str| sum(after, name).unwrap_or(0.0) - sum(before, name).unwrap_or(0.0);
    let old = buckets(before);
    let mut late = Vec::new();
    let mut below = (0.0, 0.0);
    for (bound, cumulative) in buckets(after) {
        let known = old
            .iter()
            .find(|(other, _)| other.total_cmp(&bound).is_eq());
        let cumulative = cumulative - known.map_or(0.0, |(_, count)| *count);
        let count = cumulative - below.1;
        // The first bucket holds the frames that were in time.
        if below.0 > 0.0 && count > 0.0 {
            late.push((below.0, bound, count));
        }
        below = (bound, cumulative);
    }
    late.reverse();
    Finding {
        underruns: grown(UNDERRUNS),
        late,
    }
}

impl Finding {
    /// Whether a frame was held back and its listener ran out of audio.
    pub(super) fn shows_a_stall(&self) -> bool {
        self.underruns >= 1.0 && self.late.iter().any(|(from, _, _)| *from >= SEEN_MS)
    }

    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "  {UNDERRUNS:<31} +{}  gaps that a listener hears",
            self.underruns
        )];
        for (from, to, count) in &self.late {
            let to = if to.is_finite() {
                format!("to {to} ms")
            } else {
                "ms and more".to_string()
            };
            lines.push(format!(
                "  {LATENESS:<31} +{count}  sent {from} {to} after they were due"
            ));
        }
        lines
    }
}

/// Upper bounds and cumulative counts over all workers, by bound.
fn buckets(samples: &[Sample]) -> Vec<(f64, f64)> {
    let name = format!("{LATENESS}_bucket");
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.name == name) {
        let Some(bound) = sample.label("le").and_then(|bound| bound.parse().ok()) else {
            continue;
        };
        match buckets
            .iter_mut()
            .find(|(other, _)| other.total_cmp(&bound).is_eq())
        {
            Some((_, count)) => *count += sample.value,
            None => buckets.push((bound, sample.value)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

#[cfg(test)]
mod tests {
    use super::super::exposition::parse;
    use super::*;

    fn reading(underruns: u32, counts: [u32; 4]) -> Vec<Sample> {
        let [one, two_hundred, five_hundred, all] = counts;
        parse(&format!(
            "{UNDERRUNS}{{cause=\"unknown\",worker=\"w\"}} {underruns}\n\
             {LATENESS}_bucket{{worker=\"w\",le=\"1\"}} {one}\n\
             {LATENESS}_bucket{{worker=\"w\",le=\"200\"}} {two_hundred}\n\
             {LATENESS}_bucket{{worker=\"w\",le=\"500\"}} {five_hundred}\n\
             {LATENESS}_bucket{{worker=\"w\",le=\"+Inf\"}} {all}\n"
        ))
    }

    #[test]
    fn late_frame_is_found_in_its_bucket() {
        let finding = between(
            &reading(2, [100, 102, 102, 102]),
            &reading(3, [150, 152, 153, 153]),
        );
        assert_eq!(
            finding,
            Finding {
                underruns: 1.0,
                late: vec![(200.0, 500.0, 1.0)]
            }
        );
        assert!(finding.shows_a_stall());
    }

    #[test]
    fn everything_counts_without_a_reading_before() {
        let finding = between(&[], &reading(3, [100, 102, 102, 103]));
        assert_eq!(
            finding.late,
            [(500.0, f64::INFINITY, 1.0), (1.0, 200.0, 2.0)]
        );
    }

    #[test]
    fn quiet_time_shows_no_stall() {
        let reading = reading(1, [100, 101, 101, 101]);
        let finding = between(&reading, &reading);
        assert!(!finding.shows_a_stall());
        assert_eq!(finding.late, []);
    }

    #[test]
    fn lateness_of_a_busy_machine_is_no_stall() {
        let finding = between(&reading(0, [10, 10, 10, 10]), &reading(1, [20, 21, 21, 21]));
        assert!(!finding.shows_a_stall());
    }
}

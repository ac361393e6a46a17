//! One row of the table: what was measured from outside, beside what the process says itself.

use std::collections::BTreeMap;

use super::truth::{Figure, Labels};

/// Most milliseconds by which a latency's percentile may differ …
const LATENCY_TOLERANCE: f64 = 1.0;
/// … and a ratio's …
const RATIO_TOLERANCE: f64 = 0.01;
/// … or this share of it, whichever is more.
const RELATIVE_TOLERANCE: f64 = 0.05;
/// Percentiles that are compared.
const PERCENTILES: [f64; 2] = [0.5, 0.99];

/// A series, as measured and as it was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) metric: String,
    pub(crate) labels: Labels,
    pub(crate) measured: Option<Figure>,
    pub(crate) true_figure: Option<Figure>,
}

/// How a series compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal,
    Close,
    Wrong,
    /// The process says it, and nothing was measured.
    Missing,
    /// It was measured, and the process knows nothing of it.
    Unfounded,
}

impl Comparison {
    pub(crate) fn verdict(&self) -> Verdict {
        match (&self.measured, &self.true_figure) {
            (None, Some(Figure::Value(value))) if *value == 0.0 => Verdict::Equal,
            (None, Some(Figure::Samples(samples))) if samples.is_empty() => Verdict::Equal,
            (Some(Figure::Value(value)), None) if *value == 0.0 => Verdict::Equal,
            (Some(Figure::Samples(samples)), None) if samples.is_empty() => Verdict::Equal,
            (None, _) => Verdict::Missing,
            (_, None) => Verdict::Unfounded,
            (Some(Figure::Value(measured)), Some(Figure::Value(truth))) => {
                if (measured - truth).abs() < f64::EPSILON * truth.abs().max(1.0) {
                    Verdict::Equal
                } else {
                    Verdict::Wrong
                }
            }
            (Some(Figure::Samples(measured)), Some(Figure::Samples(truth))) => {
                let tolerance = if self.metric.ends_with("_ms") {
                    LATENCY_TOLERANCE
                } else {
                    RATIO_TOLERANCE
                };
                let close = PERCENTILES.iter().all(|share| {
                    let (measured, truth) =
                        (percentile(measured, *share), percentile(truth, *share));
                    (measured - truth).abs() <= tolerance.max(RELATIVE_TOLERANCE * truth.abs())
                });
                if close && measured.len() == truth.len() {
                    Verdict::Close
                } else {
                    Verdict::Wrong
                }
            }
            _ => Verdict::Wrong,
        }
    }
}

/// The nearest-rank percentile; NaN of nothing.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Puts both sides together, series by series.
pub(crate) fn pair(
    measured: BTreeMap<(String, Labels), Figure>,
    mut truth: BTreeMap<(String, Labels), Figure>,
) -> Vec<Comparison> {
    let mut rows: Vec<_> = measured
        .into_iter()
        .map(|((metric, labels), figure)| {
            let key = (metric, labels);
            let true_figure = truth.remove(&key);
            Comparison {
                metric: key.0,
                labels: key.1,
                measured: Some(figure),
                true_figure,
            }
        })
        .collect();
    rows.extend(
        truth
            .into_iter()
            .map(|((metric, labels), figure)| Comparison {
                metric,
                labels,
                measured: None,
                true_figure: Some(figure),
            }),
    );
    rows.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(measured: Option<Figure>, true_figure: Option<Figure>) -> Verdict {
        Comparison {
            metric: "m_ms".into(),
            labels: Labels::new(),
            measured,
            true_figure,
        }
        .verdict()
    }

    #[test]
    fn counters_are_equal_or_wrong() {
        let value = |it| Some(Figure::Value(it));
        assert_eq!(verdict(value(3.0), value(3.0)), Verdict::Equal);
        assert_eq!(verdict(value(3.0), value(4.0)), Verdict::Wrong);
        assert_eq!(verdict(None, value(1.0)), Verdict::Missing);
        assert_eq!(verdict(value(1.0), None), Verdict::Unfounded);
        assert_eq!(verdict(None, value(0.0)), Verdict::Equal);
    }

    #[test]
    fn latencies_are_close_within_a_millisecond_or_a_twentieth() {
        let samples = |it: &[f64]| Some(Figure::Samples(it.to_vec()));
        assert_eq!(verdict(samples(&[10.9]), samples(&[10.0])), Verdict::Close);
        assert_eq!(verdict(samples(&[11.1]), samples(&[10.0])), Verdict::Wrong);
        assert_eq!(
            verdict(samples(&[104.0]), samples(&[100.0])),
            Verdict::Close
        );
        let twice = samples(&[10.0, 10.0]);
        assert_eq!(verdict(twice, samples(&[10.0])), Verdict::Wrong);
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let percentiles = PERCENTILES.map(|share| percentile(&values, share).round() as u32);
        assert_eq!(percentiles, [50, 99]);
        assert!(percentile(&[], 0.5).is_nan());
    }
}

//! The table for a person.

use super::compare::{Comparison, Verdict, percentile};
use super::truth::Figure;

/// One row per series: metric and labels, measured, true, difference, verdict.
pub(crate) fn lines(rows: &[Comparison]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<72} {:>19} {:>19} {:>9}",
        "series", "voxprobe", "the process itself", "apart"
    )];
    lines.extend(rows.iter().map(|row| {
        let labels: Vec<_> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let series = format!("{}{{{}}}", row.metric, labels.join(","));
        format!(
            "{series:<72} {:>19} {:>19} {:>9}{}",
            figure(row.measured.as_ref()),
            figure(row.true_figure.as_ref()),
            apart(row),
            match row.verdict() {
                Verdict::Equal | Verdict::Close => "",
                Verdict::Wrong => "  WRONG",
                Verdict::Missing => "  MISSING",
                Verdict::Unfounded => "  UNFOUNDED",
            }
        )
    }));
    lines
}

/// `n p50 p99` of samples, or the value.
fn figure(figure: Option<&Figure>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(Figure::Value(value)) => format!("{value}"),
        Some(Figure::Samples(samples)) => format!(
            "{} {:.2} {:.2}",
            samples.len(),
            percentile(samples, 0.5),
            percentile(samples, 0.99)
        ),
    }
}

/// The difference; of samples the larger one of the two percentiles'.
fn apart(row: &Comparison) -> String {
    match (&row.measured, &row.true_figure) {
        (Some(Figure::Value(measured)), Some(Figure::Value(truth))) => {
            format!("{}", (measured - truth).abs())
        }
        (Some(Figure::Samples(measured)), Some(Figure::Samples(truth))) => {
            let apart = |share| (percentile(measured, share) - percentile(truth, share)).abs();
            format!("{:.2}", f64::max(apart(0.5), apart(0.99)))
        }
        _ => "-".to_owned(),
    }
}

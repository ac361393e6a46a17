//! What a truth file says about each metric of the observability guide: the process's own value at
//! the catalogue's definition, with the guide's names and labels.
//!
//! Counters and gauges have a `value` (a gauge that of the end); latencies have `samples`, in
//! milliseconds (`worker_inference_rtf`: ratios), in no order. A metric without evidence is absent.
//! One measure is one line of JSON: `{"metric":…,"labels":{…},"value":…}` or
//! `{"metric":…,"labels":{…},"samples":[…]}`.

mod orchestrator;
mod redis;
mod session;
mod stream;
mod worker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Event, Line, Orchestration};

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;

/// Label value of what is not known.
const UNKNOWN: &str = "unknown";

/// One series of the guide as the process itself knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Name of the metric, without the suffixes of a histogram.
    pub metric: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What it is.
    #[serde(flatten)]
    pub reading: Reading,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A counter, or a gauge at the end.
    Value(f64),
    /// What a histogram observed, in milliseconds (a ratio where the metric is one).
    Samples(Vec<f64>),
}

/// Every measure that `lines`, in any order, have evidence for. `worker` names the worker whose own
/// file it is.
pub fn measures(lines: &[Line], worker: &str) -> Vec<Measure> {
    let mut ordered: Vec<&Line> = lines.iter().collect();
    ordered.sort_by_key(|line| line.t_ns);
    let mut book = Book::default();
    let is_orchestrator = ordered.iter().any(|line| {
        matches!(
            line.event,
            Event::Orchestration(
                Orchestration::SessionOpened { .. } | Orchestration::Upgraded { .. }
            )
        )
    });
    if is_orchestrator {
        orchestrator::measure(&ordered, &mut book);
    } else {
        worker::measure(&ordered, worker, &mut book);
    }
    redis::measure(&ordered, &mut book);
    book.close()
}

type Series = (String, BTreeMap<String, String>);

/// Collects series.
#[derive(Default)]
struct Book {
    values: BTreeMap<Series, f64>,
    samples: BTreeMap<Series, Vec<f64>>,
}

fn series(metric: &str, labels: &[(&str, &str)]) -> Series {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (metric.to_owned(), labels.collect())
}

impl Book {
    /// Adds to a counter or a gauge.
    fn add(&mut self, metric: &str, labels: &[(&str, &str)], by: f64) {
        *self.values.entry(series(metric, labels)).or_default() += by;
    }

    /// Counts one.
    fn count(&mut self, metric: &str, labels: &[(&str, &str)]) {
        self.add(metric, labels, 1.0);
    }

    /// Observes a value of a histogram.
    fn observe(&mut self, metric: &str, labels: &[(&str, &str)], value: f64) {
        let samples = self.samples.entry(series(metric, labels)).or_default();
        samples.push(value);
    }

    /// Observes the time between two stamps, in milliseconds.
    fn latency(&mut self, metric: &str, labels: &[(&str, &str)], from_ns: u64, to_ns: u64) {
        let elapsed_ns = to_ns.saturating_sub(from_ns);
        self.observe(metric, labels, elapsed_ns as f64 / NS_PER_MS);
    }

    fn close(self) -> Vec<Measure> {
        let values = self.values.into_iter();
        let samples = self.samples.into_iter();
        let measure = |(metric, labels): Series, reading| Measure {
            metric,
            labels,
            reading,
        };
        values
            .map(|(series, value)| measure(series, Reading::Value(value)))
            .chain(samples.map(|(series, samples)| measure(series, Reading::Samples(samples))))
            .collect()
    }
}

#[cfg(test)]
mod tests;

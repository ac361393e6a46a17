//! What voxprobe says: the values of its counters and gauges, and every value behind its histograms.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use probe_tests::exposition::{Exposition, Sample};
use serde::Deserialize;

use super::guide::{Kind, Metric};
use super::truth::{Figure, Labels};

/// The last value of every series that was ever there: a session's series leave some time after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(BTreeMap<(String, Labels), f64>);

impl Series {
    /// Takes a scrape.
    pub(crate) fn take(&mut self, scrape: &Exposition) {
        for Sample {
            name,
            labels,
            value,
        } in scrape.samples()
        {
            self.0.insert((name.clone(), labels.clone()), *value);
        }
    }

    /// The series of a counter or gauge.
    pub(crate) fn figures(&self, metric: &Metric) -> BTreeMap<(String, Labels), Figure> {
        let named = self.0.iter().filter(|((name, _), _)| name == metric.name);
        named
            .map(|(key, value)| (key.clone(), Figure::Value(*value)))
            .collect()
    }

    /// Adds another scene's series; of one that both have the other's value counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }

    /// All series as one scrape, in no particular order but a histogram's buckets by their bound.
    pub(crate) fn exposition(&self) -> Exposition {
        let mut samples: Vec<_> = self
            .0
            .iter()
            .map(|((name, labels), value)| Sample {
                name: name.clone(),
                labels: labels.clone(),
                value: *value,
            })
            .collect();
        let bound = |sample: &Sample| {
            let bound = sample.labels.get("le").and_then(|it| it.parse().ok());
            bound.unwrap_or(f64::INFINITY)
        };
        samples.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
        Exposition::from_samples(samples)
    }
}

/// One value of one histogram, as `voxprobe replay --observations` prints it.
#[derive(Deserialize)]
struct Observation {
    metric: String,
    labels: Labels,
    value: f64,
}

/// Every value behind the histograms of a run, from its capture.
pub(crate) fn observations(
    voxprobe: &Path,
    capture: &Path,
) -> Result<BTreeMap<(String, Labels), Vec<f64>>> {
    let output = Command::new(voxprobe)
        .args(["replay", "--observations"])
        .arg(capture)
        .output()
        .context("start voxprobe replay")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "voxprobe replay: {}", said.trim());
    let mut values: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Observation {
            metric,
            labels,
            value,
        } = serde_json::from_str(line).with_context(|| format!("an observation: {line}"))?;
        values.entry((metric, labels)).or_default().push(value);
    }
    Ok(values)
}

/// The values behind one histogram.
pub(crate) fn samples(
    observations: &BTreeMap<(String, Labels), Vec<f64>>,
    metric: &Metric,
) -> BTreeMap<(String, Labels), Figure> {
    debug_assert_eq!(metric.kind, Kind::Histogram);
    let named = observations
        .iter()
        .filter(|((name, _), _)| name == metric.name);
    named
        .map(|(key, values)| (key.clone(), Figure::Samples(values.clone())))
        .collect()
}

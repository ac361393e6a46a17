//! What one scene left behind: voxprobe's side and the processes'.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use probe_tests::lab::Lab;

use super::compare::{self, Comparison};
use super::guide::{self, Kind};
use super::measured::{self, Series};
use super::truth::{Figure, Labels, Row};

/// Both sides of one scene.
pub(crate) struct Account {
    /// Every series that voxprobe exported, at its last value.
    pub(crate) series: Series,
    /// Gauges at a moment when the system was busy and nothing changed, by voxprobe.
    pub(crate) gauges: Series,
    /// What voxprobe recorded meanwhile.
    pub(crate) capture: PathBuf,
    /// What the processes say, counters and samples, of all of them together.
    pub(crate) truth: Vec<Row>,
    /// Gauges at that moment, by the processes.
    pub(crate) true_gauges: Vec<Row>,
    /// Records that voxprobe lost.
    pub(crate) lost: u64,
    /// Holds the files until the comparison is made.
    pub(crate) _lab: Lab,
}

impl Account {
    /// One row per series of the guide's metrics.
    pub(crate) fn compare(&self) -> Result<Vec<Comparison>> {
        let observations =
            measured::observations(&probe_tests::artifacts::voxprobe(), &self.capture)?;
        let (mut all, mut truth) = (BTreeMap::new(), BTreeMap::new());
        for metric in guide::metrics() {
            let (figures, rows) = match metric.kind {
                Kind::Counter => (self.series.figures(&metric), &self.truth),
                Kind::Gauge => (self.gauges.figures(&metric), &self.true_gauges),
                Kind::Histogram => (measured::samples(&observations, &metric), &self.truth),
            };
            all.extend(figures);
            for row in rows.iter().filter(|row| row.metric == metric.name) {
                merge(&mut truth, row);
            }
        }
        Ok(compare::pair(all, truth))
    }
}

/// Adds what one process says to what others said of the same series.
fn merge(truth: &mut BTreeMap<(String, Labels), Figure>, row: &Row) {
    let key = (row.metric.clone(), row.labels.clone());
    match (truth.get_mut(&key), &row.reading) {
        (Some(Figure::Value(sum)), Figure::Value(value)) => *sum += value,
        (Some(Figure::Samples(all)), Figure::Samples(samples)) => all.extend(samples),
        _ => {
            truth.insert(key, row.reading.clone());
        }
    }
}

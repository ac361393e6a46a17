//! What the watched processes say they did, by their own clocks.

use std::collections::BTreeMap;

use voicelab::truth::{Line, Measure, Reading, measures};

use super::guide::{self, Kind};

/// Labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;
/// A value, or the values behind a histogram.
pub(crate) type Figure = Reading;
/// A series as its process knows it.
pub(crate) type Row = Measure;

/// One process's account.
#[derive(Debug)]
pub(crate) struct Truth {
    /// Label `worker`, of a worker.
    name: String,
    lines: Vec<Line>,
}

impl Truth {
    /// An account of the process with this name.
    pub(crate) fn new(name: &str, mut lines: Vec<Line>) -> Self {
        lines.sort_by_key(|line| line.t_ns);
        Self {
            name: name.to_owned(),
            lines,
        }
    }

    /// Everything it says at its end.
    pub(crate) fn rows(&self) -> Vec<Row> {
        measures(&self.lines, &self.name)
    }

    /// Whether it did nothing from one moment of the monotonic clock to another.
    fn is_still(&self, from_ns: u64, to_ns: u64) -> bool {
        let until = |ns| self.lines.partition_point(|line| line.t_ns <= ns);
        until(from_ns) == until(to_ns)
    }

    /// Gauges as they were at a moment of the monotonic clock.
    fn gauges(&self, at_ns: u64) -> Vec<Row> {
        let until = self.lines.partition_point(|line| line.t_ns <= at_ns);
        let before = self.lines.get(..until).unwrap_or_default();
        let gauges = guide::metrics();
        let gauges = gauges.iter().filter(|metric| metric.kind == Kind::Gauge);
        let gauges: Vec<_> = gauges.map(|metric| metric.name).collect();
        let mut rows = measures(before, &self.name);
        rows.retain(|row| gauges.contains(&row.metric.as_str()));
        rows
    }
}

/// Gauges of all processes at a time when none of them did anything; `None` where one did.
pub(crate) fn steady_gauges(truths: &[Truth], from_ns: u64, to_ns: u64) -> Option<Vec<Row>> {
    let is_still = truths.iter().all(|truth| truth.is_still(from_ns, to_ns));
    is_still.then(|| {
        truths
            .iter()
            .flat_map(|truth| truth.gauges(to_ns))
            .collect()
    })
}

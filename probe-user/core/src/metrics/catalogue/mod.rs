//! Every metric that exists, declared once: name, help with its unit, labels, buckets and what
//! bounds its series. The registry, the tests and the documentation all read these entries.
//!
//! Names, labels, `_ms` units and buckets of `orchestrator_*`, `worker_*` and `redis_*` are the observability guide's, so that its
//! dashboards and alerts work unchanged; `voxprobe_*` follow the Prometheus naming rules (base
//! units, counters in `_total`).

pub mod gpu;
pub mod hooks;
pub mod orchestrator;
pub mod probe;
pub mod redis;
pub mod worker;

use super::Bound;

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Full name.
    pub name: &'static str,
    /// What it measures, with its unit.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names, in the order in which code gives their values.
    pub labels: &'static [&'static str],
    /// The label whose number of live values has to be bounded; `None` where every label comes
    /// from a closed list.
    pub bounded: Option<(&'static str, Bound)>,
}

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution with these upper bounds, `+Inf` left out.
    Histogram(&'static [f64]),
}

/// Every metric, in the order of the guide, then the GPU's, then the probe's own.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    orchestrator::ALL
        .iter()
        .chain(worker::ALL)
        .chain(redis::ALL)
        .chain(hooks::ALL)
        .chain(gpu::ALL)
        .chain(probe::ALL)
        .copied()
}

const fn counter(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounded: Option<(&'static str, Bound)>,
) -> Entry {
    Entry {
        name,
        help,
        kind: Kind::Counter,
        labels,
        bounded,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounded: Option<(&'static str, Bound)>,
) -> Entry {
    Entry {
        name,
        help,
        kind: Kind::Gauge,
        labels,
        bounded,
    }
}

const fn histogram(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounded: Option<(&'static str, Bound)>,
    buckets: &'static [f64],
) -> Entry {
    Entry {
        name,
        help,
        kind: Kind::Histogram(buckets),
        labels,
        bounded,
    }
}

//! A histogram that can also tell each value it was given: buckets say how many, and not what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::HistogramOpts;
use prometheus::core::Metric;
use prometheus::proto::{self, MetricType};

use super::catalogue::{Entry, Kind};
use super::family::Series;

/// One value of one histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Metric.
    pub metric: &'static str,
    /// Labels and their values, in the order of the entry's labels.
    pub labels: Arc<[(&'static str, Box<str>)]>,
    /// Value, in the metric's unit.
    pub value: f64,
}

/// Every value that histograms were given since it was last taken. It grows until then: for replays
/// and tests, not for an agent.
#[derive(Clone, Debug, Default)]
pub struct Observations(Arc<Mutex<Vec<Observation>>>);

impl Observations {
    /// What was observed since the last call, in order.
    pub fn take(&self) -> Vec<Observation> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, observation: Observation) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(observation);
    }
}

/// A distribution in buckets.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: prometheus::Histogram,
    told: Option<Told>,
}

/// Where values are told, and as whose.
#[derive(Clone, Debug)]
struct Told {
    to: Observations,
    metric: &'static str,
    labels: Arc<[(&'static str, Box<str>)]>,
}

impl Histogram {
    /// Counts a value.
    pub fn observe(&self, value: f64) {
        self.buckets.observe(value);
        if let Some(told) = &self.told {
            told.to.add(Observation {
                metric: told.metric,
                labels: Arc::clone(&told.labels),
                value,
            });
        }
    }

    /// Values counted so far.
    pub fn get_sample_count(&self) -> u64 {
        self.buckets.get_sample_count()
    }

    /// Their sum.
    pub fn get_sample_sum(&self) -> f64 {
        self.buckets.get_sample_sum()
    }
}

impl Metric for Histogram {
    fn metric(&self) -> proto::Metric {
        self.buckets.metric()
    }
}

impl Series for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn build(
        entry: &'static Entry,
        values: &[Box<str>],
        observations: Option<&Observations>,
    ) -> prometheus::Result<Self> {
        let Kind::Histogram(buckets) = entry.kind else {
            return Err(prometheus::Error::Msg(format!(
                "{} has no buckets",
                entry.name
            )));
        };
        let labels = entry.labels.iter().copied().zip(values.iter().cloned());
        let named: HashMap<_, _> = labels
            .clone()
            .map(|(name, value)| (name.to_owned(), value.into_string()))
            .collect();
        let options = HistogramOpts::new(entry.name, entry.help)
            .const_labels(named)
            .buckets(buckets.to_vec());
        Ok(Self {
            buckets: prometheus::Histogram::with_opts(options)?,
            told: observations.map(|to| Told {
                to: to.clone(),
                metric: entry.name,
                labels: labels.collect(),
            }),
        })
    }
}

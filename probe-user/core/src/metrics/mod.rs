//! What is exported: the catalogue of metrics, and families of series that keep to their bounds.
//!
//! Takes observations from the model and the pipeline; gives a [`prometheus::Registry`] that the
//! shell encodes on request. Clones share all series. Nothing here reads a clock.

pub mod catalogue;
mod family;
mod gpu;
mod histogram;
mod hooks;
mod limits;
mod orchestrator;
mod probe;
mod redis;
mod worker;

pub use family::{Family, OTHER, Replace, Series};
pub use gpu::{GpuMetrics, throttle_reasons};
pub use histogram::{Histogram, Observation, Observations};
pub use hooks::HookMetrics;
pub use limits::{Bound, Limits};
pub use orchestrator::OrchestratorMetrics;
pub use probe::{Measure, ProbeMetrics, SkipReason};
pub use redis::RedisMetrics;
pub use worker::WorkerMetrics;

use prometheus::{IntCounter, Registry};

/// Label value for what could not be told.
pub const UNKNOWN: &str = "unknown";

/// Every metric of the catalogue.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    limits: Limits,
    /// The orchestrators' metrics.
    pub orchestrator: OrchestratorMetrics,
    /// The workers' metrics.
    pub worker: WorkerMetrics,
    /// The metrics of Redis connections.
    pub redis: RedisMetrics,
    /// The metrics of library hooks.
    pub hooks: HookMetrics,
    /// The GPUs' metrics.
    pub gpu: GpuMetrics,
    /// The probe's own metrics that the core counts.
    pub probe: ProbeMetrics,
}

impl Metrics {
    /// All families, registered, without series.
    ///
    /// # Panics
    ///
    /// When the catalogue contradicts itself (two entries of one name, an invalid label): it is
    /// constant, and a test registers all of it.
    pub fn new(limits: Limits) -> Self {
        Self::build(limits, None)
    }

    /// The same, and every value that a histogram will be given.
    ///
    /// # Panics
    ///
    /// As [`Metrics::new`].
    pub fn observed(limits: Limits) -> (Self, Observations) {
        let observations = Observations::default();
        (
            Self::build(limits, Some(observations.clone())),
            observations,
        )
    }

    fn build(limits: Limits, observations: Option<Observations>) -> Self {
        let mut builder = Builder {
            registry: Registry::new(),
            limits,
            overflow: None,
            observations,
        };
        let overflow = builder.family(&catalogue::probe::SERIES_OVERFLOW);
        builder.overflow = Some(overflow.clone());
        Self {
            orchestrator: OrchestratorMetrics::new(&builder),
            worker: WorkerMetrics::new(&builder),
            redis: RedisMetrics::new(&builder),
            hooks: HookMetrics::new(&builder),
            gpu: GpuMetrics::new(&builder),
            probe: ProbeMetrics::new(&builder, overflow),
            registry: builder.registry,
            limits,
        }
    }

    /// How many values labels may have.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What to gather and encode.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// Makes and registers families.
struct Builder {
    registry: Registry,
    limits: Limits,
    overflow: Option<Family<IntCounter>>,
    observations: Option<Observations>,
}

impl Builder {
    fn family<M: Series>(&self, entry: &'static catalogue::Entry) -> Family<M> {
        let most = entry
            .bounded
            .map_or(usize::MAX, |(_, bound)| self.limits.most(bound));
        let overflow = entry
            .bounded
            .and_then(|_| Some(self.overflow.as_ref()?.with(&[entry.name])));
        Family::new(entry, most, overflow, self.observations.clone())
            .and_then(|family| {
                self.registry.register(Box::new(family.clone()))?;
                Ok(family)
            })
            .expect("the catalogue is constant, and a test registers all of it")
    }
}

#[cfg(test)]
mod tests;

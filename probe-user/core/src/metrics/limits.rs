//! How many values a label may have. A label value comes from the watched processes' own bytes, so
//! without a bound a client could make the probe and its Prometheus grow without end.

/// Which limit bounds a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::sessions`].
    Sessions,
    /// [`Limits::models`].
    Models,
    /// [`Limits::workers`].
    Workers,
    /// [`Limits::gpus`].
    Gpus,
    /// [`Limits::OTHER`].
    Other,
}

/// Most distinct live values of the labels that are not closed lists, per metric. Beyond them a
/// new value is written as `other` and counted in `voxprobe_series_overflow_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values of `session_id`. One counter series each; a thousand live sessions are far more
    /// than one worker serves.
    pub sessions: usize,
    /// Values of `model_id`. A histogram has about eight series per value; a model manager holds
    /// a handful of models.
    pub models: usize,
    /// Values of `worker`: names of watched workers on one host.
    pub workers: usize,
    /// Values of `gpu_id`: 16 GPUs with 7 MIG devices each are 128 ids.
    pub gpus: usize,
}

impl Limits {
    /// Values of labels that a library or decoder names (NVML functions, XID codes, driver
    /// versions, wire problems): some dozens exist.
    pub const OTHER: usize = 128;

    /// The most values for a bound.
    pub fn most(&self, bound: Bound) -> usize {
        match bound {
            Bound::Sessions => self.sessions,
            Bound::Models => self.models,
            Bound::Workers => self.workers,
            Bound::Gpus => self.gpus,
            Bound::Other => Self::OTHER,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1000,
            models: 128,
            workers: 64,
            gpus: 128,
        }
    }
}

//! Live streams, as other threads see them.

use std::sync::{Arc, Mutex, PoisonError};

use probe_core::{
    flow::CallId,
    model::{Model, Pacing},
};
use serde::Serialize;

/// One live synthesis stream. `null` is unknown. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamRow {
    /// Its call: tells it from every other one.
    #[serde(skip)]
    pub call: CallId,
    /// Label `worker`.
    pub worker: String,
    /// Session id.
    pub session: Option<String>,
    /// Model id.
    pub model: Option<String>,
    /// `paced` or `burst`.
    pub pacing: Option<&'static str>,
    /// Frames with audio sent.
    pub frames: u64,
    /// Last interval between two frames.
    pub interval_ms: Option<f64>,
    /// Median of the last jitters.
    pub jitter_p50_ms: Option<f64>,
    /// 95th percentile of the last jitters.
    pub jitter_p95_ms: Option<f64>,
    /// By how much the last frame was late.
    pub lateness_ms: Option<f64>,
    /// How long before its deadline the last frame came.
    pub margin_ms: Option<f64>,
    /// Playout gaps so far.
    pub underruns: u64,
    /// `waiting`, `speaking`, `paused`, `stopped` or `finished`.
    pub state: &'static str,
}

/// The last published rows.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<Vec<StreamRow>>>);

impl Streams {
    /// Replaces the rows by the streams that are open now.
    pub fn publish(&self, model: &Model) {
        let mut rows: Vec<_> = model
            .streams()
            .map(|view| StreamRow {
                call: view.call,
                worker: view.worker.to_owned(),
                session: view.session.map(str::to_owned),
                model: view.model.map(str::to_owned),
                pacing: view.pacing.map(Pacing::as_str),
                frames: view.frames,
                interval_ms: view.last_interval_ms,
                jitter_p50_ms: view.jitter_p50_ms,
                jitter_p95_ms: view.jitter_p95_ms,
                lateness_ms: view.lateness_ms,
                margin_ms: view.margin_ms,
                underruns: view.underruns,
                state: view.state.as_str(),
            })
            .collect();
        rows.sort_by(|a, b| (&a.worker, &a.session).cmp(&(&b.worker, &b.session)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// A copy of the rows.
    pub fn rows(&self) -> Vec<StreamRow> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

//! What all calls of one worker share, and the life of its models.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::faults::{Fault, Faults};
use super::models::{ModelError, Models};
use super::pacing::Pace;
use super::sessions::Sessions;
use super::timer::Timer;
use super::weights::Weights;
use crate::clock::{NS_PER_MS, monotonic_ns};
use crate::truth::{Event, Truth};

/// How the synthetic model behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// How frames are handed out.
    pub(crate) pace: Pace,
    /// Time one run of the model takes, in nanoseconds, a quarter more or less.
    pub(crate) think_ns: u64,
    /// Audio that one character of text becomes, in milliseconds.
    pub(crate) ms_per_character: u64,
    /// Time to load a model, in nanoseconds.
    pub(crate) load_ns: u64,
    /// Where every pseudo-random choice starts.
    pub(crate) seed: u64,
}

/// The state of one worker.
pub(crate) struct Engine {
    pub(crate) behaviour: Behaviour,
    pub(crate) sessions: Sessions,
    pub(crate) faults: Faults,
    pub(crate) timer: Timer,
    pub(crate) truth: Truth,
    /// One permit per model run that fits the accelerator at a time.
    pub(crate) inference: Semaphore,
    models: Mutex<Models>,
    weights: Weights,
    /// Held while a model loads or leaves, so that loads happen one after the other.
    loading: tokio::sync::Mutex<()>,
    streams: AtomicU64,
    controls: AtomicU64,
}

impl Engine {
    /// A worker with no session and no model loaded.
    pub(crate) fn new(
        behaviour: Behaviour,
        models: Models,
        weights: Weights,
        sessions: Sessions,
        inference: Semaphore,
        timer: Timer,
        truth: Truth,
    ) -> Self {
        Self {
            behaviour,
            sessions,
            faults: Faults::default(),
            timer,
            truth,
            inference,
            models: Mutex::new(models),
            weights,
            loading: tokio::sync::Mutex::default(),
            streams: AtomicU64::new(0),
            controls: AtomicU64::new(0),
        }
    }

    /// Switches a fault, and does what happens at once.
    pub(crate) fn obey(&self, fault: &Fault) {
        self.faults.switch(fault);
        match *fault {
            Fault::Burn { threads, ns } => {
                let until_ns = monotonic_ns().saturating_add(ns);
                for _ in 0..threads {
                    std::thread::spawn(move || {
                        while monotonic_ns() < until_ns {
                            std::hint::spin_loop();
                        }
                    });
                }
            }
            Fault::Abort => {
                // What is lost with the file does not change that the process must go.
                drop(self.truth.finish());
                std::process::abort();
            }
            _ => {}
        }
    }

    /// Counts a Synthesize call; the first is 1.
    pub(crate) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a Control call; the first is 1.
    pub(crate) fn next_control(&self) -> u64 {
        self.controls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The models.
    pub(crate) fn models(&self) -> MutexGuard<'_, Models> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads `model` unless it is resident. Gives how long the load took, in nanoseconds.
    pub(crate) async fn load(&self, model: &str) -> Result<u64, ModelError> {
        let _one_at_a_time = self.loading.lock().await;
        self.load_alone(model).await
    }

    /// Loads `model` if need be and takes it into use for a session.
    pub(crate) async fn acquire(&self, model: &str) -> Result<(), ModelError> {
        let _one_at_a_time = self.loading.lock().await;
        self.load_alone(model).await?;
        self.models().acquire(model, monotonic_ns())
    }

    /// Loads a resident model again; its sessions keep it.
    pub(crate) async fn reload(&self, model: &str) -> Result<u64, ModelError> {
        let _one_at_a_time = self.loading.lock().await;
        if !self.models().is_resident(model) {
            return Err(ModelError::NotLoaded);
        }
        self.record_unload(model, "reload");
        self.read_weights(model).await
    }

    /// Unloads `model` on request.
    pub(crate) async fn unload(&self, model: &str) -> Result<(), ModelError> {
        let _one_at_a_time = self.loading.lock().await;
        self.models().unload(model)?;
        self.record_unload(model, "manual");
        Ok(())
    }

    /// Unloads the models that nothing has used for the time to live.
    pub(crate) async fn expire_models(&self) {
        let _one_at_a_time = self.loading.lock().await;
        for model in self.models().expire(monotonic_ns()) {
            self.record_unload(&model, "ttl_eviction");
        }
    }

    async fn load_alone(&self, model: &str) -> Result<u64, ModelError> {
        let evicted = {
            let mut models = self.models();
            if models.is_resident(model) {
                return Ok(0);
            }
            models.make_room(model)?
        };
        for evicted in evicted {
            self.record_unload(&evicted, "lru_eviction");
        }
        self.read_weights(model).await
    }

    async fn read_weights(&self, model: &str) -> Result<u64, ModelError> {
        let start_ns = monotonic_ns();
        self.truth.record_at(
            start_ns,
            Event::ModelLoadStart {
                model: model.to_owned(),
            },
        );
        let load_ns = self.behaviour.load_ns + self.faults.slow_load_ns();
        let read = self
            .weights
            .read(model, start_ns, load_ns, &self.timer)
            .await;
        let end_ns = read.map_err(|_| ModelError::Unreadable)?;
        self.models().loaded(model, end_ns);
        let duration_ns = end_ns - start_ns;
        self.truth.record_at(
            end_ns,
            Event::ModelLoadEnd {
                model: model.to_owned(),
                duration_ns,
            },
        );
        Ok(duration_ns)
    }

    fn record_unload(&self, model: &str, reason: &str) {
        let (model, reason) = (model.to_owned(), reason.to_owned());
        self.truth.record(Event::ModelUnload { model, reason });
    }
}

/// Whole milliseconds of a duration in nanoseconds, for the protocol's fields.
pub(crate) fn whole_ms(duration_ns: u64) -> i64 {
    (duration_ns / NS_PER_MS) as i64
}

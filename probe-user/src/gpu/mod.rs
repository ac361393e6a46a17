//! GPU readings through NVML, in rounds, without ever waiting for a driver that hangs.
//!
//! The library is loaded at run time; where there is none, or it fails, the sample says so and the
//! attempt is repeated at a growing interval.
//!
//! # Threads
//!
//! The *supervisor* never calls NVML: it starts rounds, watches, and delivers one [`GpuSample`] a
//! round. A *worker* makes the calls. When a call outruns [`Settings::call_timeout`], the worker is
//! abandoned (it ends by itself when the call returns), the GPU is delivered as `Failing`, and a new
//! worker finishes the round without that GPU. A GPU holds up at most one thread, as it is not asked
//! again before its call has returned; a call that concerns no GPU (initialisation, counting) has a
//! new worker only at a growing interval. In all, at most
//! `worker::MAX_STUCK` abandoned threads, one worker and the supervisor exist.
//!
//! [`GpuSample`]: probe_core::record::GpuSample

mod backoff;
mod calls;
mod check;
mod device;
mod fault;
mod library;
mod meter;
mod processes;
mod registry;
mod round;
mod supervisor;
mod worker;
mod xid;

use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use probe_core::record::{GpuSample, KtimeNs, NvmlState, Tgid};

pub use check::{Check, check};

/// How GPUs are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// NVML's library; the driver's default names when `None`.
    pub library: Option<PathBuf>,
    /// Time between the starts of two rounds. One PCIe throughput reading alone takes the driver
    /// 20 ms (`nvml.h`, `nvmlDeviceGetPcieThroughput`), and there are two a GPU.
    pub interval: Duration,
    /// How long one NVML call may take before its GPU counts as failing.
    pub call_timeout: Duration,
    /// Whether GPUs are sampled at all.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            library: None,
            interval: Duration::from_secs(1),
            call_timeout: Duration::from_millis(500),
            enabled: true,
        }
    }
}

/// The running sampler. Dropping it ends the sampling without waiting, neither for the round under
/// way nor for a call that hangs; at most one more sample is delivered after.
#[derive(Debug)]
pub struct Handle {
    stop: Option<Sender<worker::Report>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            // An error means that the supervisor has ended already.
            stop.send(worker::Report::Stop).ok();
        }
    }
}

/// Starts sampling.
///
/// - `resolve` tells the watched process in whose tree a process id is;
/// - `now` is the kernel's monotonic clock;
/// - `deliver` takes each round's sample, on the sampler's thread. While it blocks, no round starts.
///
/// When sampling is disabled, one sample that says so is delivered before this returns.
pub fn start(
    settings: Settings,
    resolve: impl Fn(u32) -> Option<Tgid> + Send + 'static,
    now: impl Fn() -> KtimeNs + Send + 'static,
    mut deliver: impl FnMut(GpuSample) + Send + 'static,
) -> Handle {
    if !settings.enabled {
        deliver(GpuSample {
            at: now(),
            ..GpuSample::default()
        });
        return Handle { stop: None };
    }
    let (reports, inbox) = mpsc::channel();
    let stop = reports.clone();
    // The closures are handed over only when the thread exists, so that a failure can be delivered.
    let (hand_over, take_over) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new()
        .name("gpu".to_owned())
        .spawn(move || {
            if let Ok((resolve, now, deliver)) = take_over.recv() {
                supervisor::Supervisor::new(settings, reports, inbox, resolve, now, deliver).run();
            }
        });
    match spawned {
        Ok(_detached) => {
            // The thread's first act is to receive this.
            hand_over.send((resolve, now, deliver)).ok();
            Handle { stop: Some(stop) }
        }
        Err(error) => {
            deliver(GpuSample {
                at: now(),
                nvml: NvmlState::Failed(format!("cannot start the sampler's thread: {error}")),
                ..GpuSample::default()
            });
            Handle { stop: None }
        }
    }
}

//! A single look at the GPUs, for `voxprobe check`.

use std::sync::mpsc;
use std::time::Duration;

use probe_core::record::{Gpu, KtimeNs, NvmlState};

use super::{Settings, start};

/// How long the look may take. Initialising a driver without its persistence daemon takes seconds,
/// and each GPU may hang once for the bound of a call.
const BOUND: Duration = Duration::from_secs(15);

/// What a look at the GPUs found.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Whether NVML can be used; where not, the text says why and what would help.
    pub state: NvmlState,
    /// The GPUs and MIG devices, with their readings.
    pub gpus: Vec<Gpu>,
}

/// Loads NVML as the sampler does, and reads every GPU once.
pub fn check(settings: &Settings) -> Check {
    let (found, inbox) = mpsc::channel();
    let settings = Settings {
        // One round is wanted; a second one would not be waited for.
        interval: BOUND,
        ..settings.clone()
    };
    let sampler = start(
        settings,
        |_| None,
        || KtimeNs(0),
        move |sample| {
            // An error means that the look is over.
            found.send(sample).ok();
        },
    );
    let sample = inbox.recv_timeout(BOUND);
    drop(sampler);
    match sample {
        Ok(sample) => Check {
            state: sample.nvml,
            gpus: sample.gpus,
        },
        Err(_) => Check {
            state: NvmlState::Failed(format!(
                "the driver did not answer within {} s; look for NVRM in the kernel log",
                BOUND.as_secs()
            )),
            gpus: Vec::new(),
        },
    }
}

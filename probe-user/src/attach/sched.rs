//! Following the scheduling of watched threads: optional, and its absence stops nothing else.

use std::time::Duration;

use aya::{Ebpf, EbpfLoader};
use probe_abi::{global, map, program};

use super::programs;

/// Whether scheduling is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Following {
    /// Switched off in the configuration.
    #[default]
    Off,
    /// Yes: stretches of at least this many nanoseconds have records of their own.
    On(u64),
    /// The kernel refuses. With the reason and what would fix it.
    Unavailable(String),
}

/// The bound in nanoseconds.
pub(super) fn stretch_ns(stretch: Option<Duration>) -> Option<u64> {
    stretch.map(|stretch| u64::try_from(stretch.as_nanos()).unwrap_or(u64::MAX))
}

/// Sets the bound, or makes the map as small as can be where nothing will be followed.
pub(super) fn prepare<'a>(loader: &mut EbpfLoader<'a>, stretch_ns: Option<&'a u64>) {
    match stretch_ns {
        Some(ns) => {
            loader.override_global(global::SCHED_STRETCH, ns, false);
        }
        None => {
            loader.map_max_entries(map::SCHED_THREADS, 1);
        }
    }
}

/// Loads and attaches the programs: waking first, so that a thread that left is seen to wake.
pub(super) fn attach(ebpf: &mut Ebpf, stretch_ns: u64) -> Following {
    let attached = programs::raw_tracepoint(ebpf, program::SCHED_WAKING, "sched_waking")
        .and_then(|()| programs::raw_tracepoint(ebpf, program::SCHED_SWITCH, "sched_switch"));
    match attached {
        Ok(()) => Following::On(stretch_ns),
        Err(error) => {
            let reason = format!(
                "scheduling cannot be followed ({error}): it needs Linux 5.19; causes that depend \
                 on it stay unknown"
            );
            tracing::warn!("{reason}");
            Following::Unavailable(reason)
        }
    }
}

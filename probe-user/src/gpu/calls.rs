//! What NVML's calls cost, by function.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use probe_core::record::NvmlCall;

/// Statistics of every NVML function called since start. Bounded by the functions in the code.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<BTreeMap<&'static str, NvmlCall>>);

impl Calls {
    /// A call begins. It counts from here on, so that one which hangs is seen.
    pub(super) fn began(&self, name: &'static str) {
        self.lock().entry(name).or_default().count += 1;
    }

    /// A call returned.
    pub(super) fn ended(&self, name: &'static str, took: Duration, failed: bool) {
        let mut calls = self.lock();
        let call = calls.entry(name).or_default();
        call.seconds += took.as_secs_f64();
        call.failures += u64::from(failed);
    }

    /// A call outran its bound.
    pub(super) fn timed_out(&self, name: &'static str) {
        self.lock().entry(name).or_default().timeouts += 1;
    }

    /// The statistics now.
    pub(super) fn snapshot(&self) -> BTreeMap<String, NvmlCall> {
        let calls = self.lock();
        calls
            .iter()
            .map(|(name, call)| ((*name).to_owned(), *call))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, NvmlCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

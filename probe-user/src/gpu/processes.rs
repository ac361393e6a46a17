//! Processes on a device: their memory and their share of the SM time.

use std::collections::BTreeMap;

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use probe_core::record::GpuProcess;

use super::device::Asker;

/// Processes kept of one device; the driver itself gives no bound. A GPU runs tens at most.
const MAX_PROCESSES: usize = 512;

/// Processes on `device`. `gpu_idle` is whether the whole device did nothing since the last round.
///
/// A process with a compute and a graphics context is listed in both lists with the same memory,
/// and counted once.
pub(super) fn read(asker: &mut Asker<'_>, device: &Device<'_>, gpu_idle: bool) -> Vec<GpuProcess> {
    let compute = asker.ask(("nvmlDeviceGetComputeRunningProcesses_v3", ""), || {
        device.running_compute_processes()
    });
    let graphics = asker.ask(("nvmlDeviceGetGraphicsRunningProcesses_v3", ""), || {
        device.running_graphics_processes()
    });
    let mut memory: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    for process in compute.into_iter().chain(graphics).flatten() {
        let bytes = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        if memory.len() < MAX_PROCESSES || memory.contains_key(&process.pid) {
            let known = memory.entry(process.pid).or_default();
            *known = bytes.max(*known);
        }
    }
    if memory.is_empty() {
        return Vec::new();
    }
    let shares = shares(asker, device);
    memory
        .into_iter()
        .map(|(pid, memory_bytes)| GpuProcess {
            pid,
            watched: None,
            memory_bytes,
            sm_percent: shares.of(pid, gpu_idle),
        })
        .collect()
}

/// SM shares by process id, from the latest sample of each.
struct Shares(BTreeMap<u32, (u64, u32)>);

impl Shares {
    /// The driver samples only processes that used the GPU (`nvml.h`,
    /// `nvmlDeviceGetProcessUtilization`): without a sample of its own, a process used nothing if
    /// others have samples or the GPU was idle; otherwise there is no new sample, and no answer.
    fn of(&self, pid: u32, gpu_idle: bool) -> Option<u32> {
        match self.0.get(&pid) {
            Some(&(_, percent)) => Some(percent),
            None if gpu_idle || !self.0.is_empty() => Some(0),
            None => None,
        }
    }
}

fn shares(asker: &mut Asker<'_>, device: &Device<'_>) -> Shares {
    let since = asker.memory.last_sample;
    let samples = asker.ask(("nvmlDeviceGetProcessUtilization", ""), || {
        device.process_utilization_stats(since)
    });
    let mut latest: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
    for sample in samples.into_iter().flatten() {
        // Some drivers fill the list up with empty samples, and repeat old ones.
        if sample.timestamp <= since || sample.pid == 0 {
            continue;
        }
        asker.memory.last_sample = asker.memory.last_sample.max(sample.timestamp);
        let newest = latest.entry(sample.pid).or_default();
        *newest = (*newest).max((sample.timestamp, sample.sm_util));
    }
    Shares(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_without_a_sample_is_zero_only_when_that_is_known() {
        let some = Shares(BTreeMap::from([(7, (1, 40))]));
        assert_eq!(some.of(7, false), Some(40));
        assert_eq!(some.of(8, false), Some(0));
        let none = Shares(BTreeMap::new());
        assert_eq!(none.of(7, false), None);
        assert_eq!(none.of(7, true), Some(0));
    }
}

//! One round of NVML readings to series.

use std::collections::BTreeMap;

use super::GpuMetrics;
use crate::metrics::Replace as _;
use crate::record::{Gpu, GpuProcess, GpuReadings, GpuSample, GpuState, NvmlCall, NvmlState, Tgid};

/// NVML's names for the bits of `nvmlDeviceGetCurrentClocksThrottleReasons`.
///
/// # Source
///
/// `nvml.h`, `nvmlClocksThrottleReason*` (later `nvmlClocksEventReason*`).
const THROTTLE_REASONS: [(u64, &str); 9] = [
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
];

/// NVML's names for the reasons in a mask, in the order of their bits.
pub fn throttle_reasons(mask: u64) -> impl Iterator<Item = &'static str> {
    let named = THROTTLE_REASONS.into_iter();
    named.filter_map(move |(bit, name)| (mask & bit != 0).then_some(name))
}

/// The `state` values of a GPU.
const GPU_STATES: [&str; 4] = ["ok", "lost", "vanished", "failing"];

/// The `state` values of NVML.
const NVML_STATES: [&str; 4] = ["off", "active", "unavailable", "failed"];

/// Series of one gauge family: label values and reading.
type Series<'a, V = f64> = Vec<(Vec<&'a str>, V)>;

impl GpuMetrics {
    /// Replaces all readings by those of this round. `worker_of` names the worker a watched process
    /// belongs to.
    ///
    /// Readings count only while they are fresh: of a GPU that is `Ok`, or `Failing`, whose record
    /// holds what this round did read. What is `None` leaves its series.
    pub fn update(&self, sample: &GpuSample, worker_of: &dyn Fn(Tgid) -> Option<String>) {
        let fresh: Vec<&Gpu> = sample
            .gpus
            .iter()
            .filter(|gpu| matches!(gpu.state, GpuState::Ok | GpuState::Failing(_)))
            .collect();
        self.update_guide(&fresh);
        self.update_device(&fresh);
        self.update_pcie_and_errors(&fresh);
        self.update_workers(&fresh, worker_of);
        self.update_states(sample);
        self.update_calls(sample);
    }

    fn update_guide(&self, gpus: &[&Gpu]) {
        let device = |read: fn(&GpuReadings) -> Option<f64>| -> Series<'_> {
            gpus.iter()
                .filter_map(|gpu| Some((vec![&*gpu.id], read(&gpu.readings)?)))
                .collect()
        };
        self.memory_total
            .replace(&device(|r| r.memory_total_bytes.map(|v| v as f64)));
        self.temperature
            .replace(&device(|r| r.temperature_celsius.map(f64::from)));
        self.power.replace(&device(|r| r.power_watts));
    }

    fn update_device(&self, gpus: &[&Gpu]) {
        let device = |read: fn(&GpuReadings) -> Option<f64>| -> Series<'_> {
            gpus.iter()
                .filter_map(|gpu| Some((vec![&*gpu.id, &*gpu.uuid], read(&gpu.readings)?)))
                .collect()
        };
        self.device_memory_used
            .replace(&device(|r| r.memory_used_bytes.map(|v| v as f64)));
        self.device_utilization
            .replace(&device(|r| r.utilization_percent.map(ratio)));
        self.memory_utilization
            .replace(&device(|r| r.memory_utilization_percent.map(ratio)));
        self.power_limit.replace(&device(|r| r.power_limit_watts));
        self.sm_clock
            .replace(&device(|r| r.sm_clock_hertz.map(|v| v as f64)));
        self.sm_clock_max
            .replace(&device(|r| r.max_sm_clock_hertz.map(|v| v as f64)));
        self.memory_clock
            .replace(&device(|r| r.memory_clock_hertz.map(|v| v as f64)));
        self.pcie_generation
            .replace(&device(|r| r.pcie_generation.map(f64::from)));
        self.pcie_width
            .replace(&device(|r| r.pcie_width.map(f64::from)));

        let mut throttle = Vec::new();
        for gpu in gpus {
            if let Some(bits) = gpu.readings.throttle_reasons {
                throttle.extend(THROTTLE_REASONS.iter().map(|(bit, reason)| {
                    (vec![&*gpu.id, &*gpu.uuid, reason], flag(bits & bit != 0))
                }));
            }
        }
        self.throttle.replace(&throttle);
    }

    fn update_pcie_and_errors(&self, gpus: &[&Gpu]) {
        let mut throughput = Vec::new();
        let mut ecc: Series<'_, u64> = Vec::new();
        let mut replays: Series<'_, u64> = Vec::new();
        for gpu in gpus {
            let (id, uuid, r) = (&*gpu.id, &*gpu.uuid, &gpu.readings);
            for (direction, bytes) in [
                ("sent", r.pcie_sent_bytes_per_second),
                ("received", r.pcie_received_bytes_per_second),
            ] {
                throughput.extend(bytes.map(|v| (vec![id, uuid, direction], v as f64)));
            }
            for (kind, errors) in [
                ("corrected", r.ecc_corrected),
                ("uncorrected", r.ecc_uncorrected),
            ] {
                ecc.extend(errors.map(|v| (vec![id, uuid, kind], v)));
            }
            replays.extend(r.pcie_replays.map(|v| (vec![id, uuid], v)));
        }
        self.pcie_throughput.replace(&throughput);
        self.ecc_errors.replace(&ecc);
        self.pcie_replays.replace(&replays);
    }

    fn update_workers(&self, gpus: &[&Gpu], worker_of: &dyn Fn(Tgid) -> Option<String>) {
        let mut used: BTreeMap<(String, &str), Usage> = BTreeMap::new();
        for gpu in gpus {
            for process in &gpu.processes {
                if let Some(worker) = process.watched.and_then(worker_of) {
                    used.entry((worker, &*gpu.id))
                        .or_insert_with(|| Usage::new(gpu.readings.utilization_percent))
                        .add(process);
                }
            }
        }
        let series = |read: fn(&Usage) -> Option<f64>| -> Series<'_> {
            used.iter()
                .filter_map(|((worker, gpu), usage)| Some((vec![&**worker, *gpu], read(usage)?)))
                .collect()
        };
        self.memory_used.replace(&series(Usage::memory));
        self.process_sm.replace(&series(Usage::sm));
        self.utilization.replace(&series(|u| u.device_percent));
    }

    fn update_states(&self, sample: &GpuSample) {
        let mut states = Vec::new();
        let mut info = Vec::new();
        let mut xids: Vec<([String; 3], u64)> = Vec::new();
        for gpu in &sample.gpus {
            let now = match gpu.state {
                GpuState::Ok => "ok",
                GpuState::Lost => "lost",
                GpuState::Vanished => "vanished",
                GpuState::Failing(_) => "failing",
            };
            states.extend(
                GPU_STATES
                    .iter()
                    .map(|state| (vec![&*gpu.id, &*gpu.uuid, *state], flag(*state == now))),
            );
            info.push((vec![&*gpu.id, &*gpu.uuid, &*gpu.name], 1.0));
            xids.extend(
                gpu.xids
                    .iter()
                    .map(|(xid, n)| ([gpu.id.clone(), gpu.uuid.clone(), xid.to_string()], *n)),
            );
        }
        self.state.replace(&states);
        self.info.replace(&info);
        let xids: Series<'_, u64> = xids
            .iter()
            .map(|(labels, n)| (labels.iter().map(String::as_str).collect(), *n))
            .collect();
        self.xid_errors.replace(&xids);

        let (now, driver) = match &sample.nvml {
            NvmlState::Off => ("off", None),
            NvmlState::Active { driver } => ("active", Some(&**driver)),
            NvmlState::Unavailable(_) => ("unavailable", None),
            NvmlState::Failed(_) => ("failed", None),
        };
        let nvml: Series<'_> = NVML_STATES
            .iter()
            .map(|state| (vec![*state], flag(*state == now)))
            .collect();
        self.nvml_state.replace(&nvml);
        let driver: Series<'_> = driver.map(|v| (vec![v], 1.0)).into_iter().collect();
        self.nvml_info.replace(&driver);
    }

    fn update_calls(&self, sample: &GpuSample) {
        let counts = |read: fn(&NvmlCall) -> u64| -> Series<'_, u64> {
            sample
                .calls
                .iter()
                .map(|(call, cost)| (vec![&**call], read(cost)))
                .collect()
        };
        self.nvml_calls.replace(&counts(|c| c.count));
        self.nvml_failures.replace(&counts(|c| c.failures));
        self.nvml_timeouts.replace(&counts(|c| c.timeouts));
        let seconds: Series<'_> = sample
            .calls
            .iter()
            .map(|(call, cost)| (vec![&**call], cost.seconds))
            .collect();
        self.nvml_seconds.replace(&seconds);
    }
}

/// What the processes of one worker use of one GPU.
struct Usage {
    /// Utilisation of the whole GPU, percent.
    device_percent: Option<f64>,
    /// Bytes; `None` once one process' share is unknown, because the sum then is.
    memory_bytes: Option<u64>,
    /// Percent of SM time of those processes NVML has samples for; it lists no idle process.
    sm_percent: Option<u64>,
}

impl Usage {
    fn new(device_percent: Option<u32>) -> Self {
        Self {
            device_percent: device_percent.map(f64::from),
            memory_bytes: Some(0),
            sm_percent: None,
        }
    }

    fn add(&mut self, process: &GpuProcess) {
        self.memory_bytes = self
            .memory_bytes
            .zip(process.memory_bytes)
            .map(|(sum, bytes)| sum.saturating_add(bytes));
        if let Some(percent) = process.sm_percent {
            self.sm_percent = Some(self.sm_percent.unwrap_or(0) + u64::from(percent));
        }
    }

    fn memory(&self) -> Option<f64> {
        self.memory_bytes.map(|bytes| bytes as f64)
    }

    fn sm(&self) -> Option<f64> {
        self.sm_percent.map(|percent| percent as f64 / 100.0)
    }
}

fn ratio(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

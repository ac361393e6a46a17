//! GPU readings. The shell samples NVML; the core joins the readings with the workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KtimeNs, Tgid};

/// One round over every GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// When the round ended.
    pub at: KtimeNs,
    /// Whether NVML answers at all.
    pub nvml: NvmlState,
    /// Every GPU (and MIG device) seen since start, vanished ones included.
    pub gpus: Vec<Gpu>,
    /// What NVML's calls cost since start, by function name (`nvmlDeviceGetMemoryInfo` …).
    pub calls: BTreeMap<String, NvmlCall>,
}

/// Cost of one NVML function since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NvmlCall {
    /// Calls made.
    pub count: u64,
    /// Calls that returned an error other than "not supported".
    pub failures: u64,
    /// Calls given up because they outran their time bound.
    pub timeouts: u64,
    /// Time spent in them, in seconds.
    pub seconds: f64,
}

/// Whether NVML can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NvmlState {
    /// Not tried yet, or switched off in the configuration.
    #[default]
    Off,
    /// Loaded and answering.
    Active {
        /// Driver version.
        driver: String,
    },
    /// Not there: no library, no driver. With the reason and what would fix it.
    Unavailable(String),
    /// There, but failing (initialisation error, wedged call). With the reason.
    Failed(String),
}

/// State of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuState {
    /// Readings are fresh.
    #[default]
    Ok,
    /// NVML says "GPU is lost" (fallen off the bus or inaccessible).
    Lost,
    /// It was there and is no longer listed.
    Vanished,
    /// Some call fails or hangs. With the reason.
    Failing(String),
}

/// One GPU or MIG device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Label `gpu_id`: NVML index (`0`), or `0:1` for MIG device 1 of GPU 0.
    pub id: String,
    /// NVML UUID.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// State. Readings are empty unless it is `Ok` or `Failing`.
    pub state: GpuState,
    /// What this round read; `None` for what this GPU does not support or did not answer.
    pub readings: GpuReadings,
    /// Processes that use it.
    pub processes: Vec<GpuProcess>,
    /// XID errors since start: code → count.
    pub xids: BTreeMap<u64, u64>,
}

/// Readings of one GPU in base units, with the NVML call each comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuReadings {
    /// `nvmlDeviceGetMemoryInfo`, bytes.
    pub memory_used_bytes: Option<u64>,
    /// `nvmlDeviceGetMemoryInfo`, bytes.
    pub memory_total_bytes: Option<u64>,
    /// `nvmlDeviceGetUtilizationRates`, percent of time with a kernel running.
    pub utilization_percent: Option<u32>,
    /// `nvmlDeviceGetUtilizationRates`, percent of time memory was read or written.
    pub memory_utilization_percent: Option<u32>,
    /// `nvmlDeviceGetTemperature`, Celsius.
    pub temperature_celsius: Option<u32>,
    /// `nvmlDeviceGetPowerUsage`, watts.
    pub power_watts: Option<f64>,
    /// `nvmlDeviceGetEnforcedPowerLimit`, watts.
    pub power_limit_watts: Option<f64>,
    /// `nvmlDeviceGetClockInfo(SM)`, hertz.
    pub sm_clock_hertz: Option<u64>,
    /// `nvmlDeviceGetClockInfo(MEM)`, hertz.
    pub memory_clock_hertz: Option<u64>,
    /// `nvmlDeviceGetMaxClockInfo(SM)`, hertz.
    pub max_sm_clock_hertz: Option<u64>,
    /// `nvmlDeviceGetCurrentClocksThrottleReasons`, bit mask as NVML defines it.
    pub throttle_reasons: Option<u64>,
    /// `nvmlDeviceGetTotalEccErrors(CORRECTED, VOLATILE)`.
    pub ecc_corrected: Option<u64>,
    /// `nvmlDeviceGetTotalEccErrors(UNCORRECTED, VOLATILE)`.
    pub ecc_uncorrected: Option<u64>,
    /// `nvmlDeviceGetPcieThroughput(TX)`, bytes per second.
    pub pcie_sent_bytes_per_second: Option<u64>,
    /// `nvmlDeviceGetPcieThroughput(RX)`, bytes per second.
    pub pcie_received_bytes_per_second: Option<u64>,
    /// `nvmlDeviceGetPcieReplayCounter`.
    pub pcie_replays: Option<u64>,
    /// `nvmlDeviceGetCurrPcieLinkGeneration`.
    pub pcie_generation: Option<u32>,
    /// `nvmlDeviceGetCurrPcieLinkWidth`, lanes.
    pub pcie_width: Option<u32>,
}

/// A process on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Process id in the host's pid namespace.
    pub pid: u32,
    /// The watched process in whose tree it is; `None` for a neighbour.
    pub watched: Option<Tgid>,
    /// `nvmlDeviceGetComputeRunningProcesses`, bytes; `None` where NVML cannot tell.
    pub memory_bytes: Option<u64>,
    /// `nvmlDeviceGetProcessUtilization`, percent of the GPU's SM time.
    pub sm_percent: Option<u32>,
}

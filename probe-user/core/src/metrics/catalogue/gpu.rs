//! Metrics of the GPUs: the guide's `worker_gpu_*`, and everything else NVML tells as `voxprobe_gpu_*`
//! in base units.

use super::{Entry, counter, gauge};
use crate::metrics::Bound;

const GPU: Option<(&str, Bound)> = Some(("gpu_id", Bound::Gpus));
const XID: Option<(&str, Bound)> = Some(("xid", Bound::Other));
const CALL: Option<(&str, Bound)> = Some(("call", Bound::Other));
const DRIVER: Option<(&str, Bound)> = Some(("driver_version", Bound::Other));

/// Memory the worker's processes use on a GPU.
pub const MEMORY_USED: Entry = gauge(
    "worker_gpu_memory_used_bytes",
    "GPU memory used by the worker's processes, in bytes.",
    &["worker", "gpu_id"],
    GPU,
);

/// Memory of a GPU.
pub const MEMORY_TOTAL: Entry = gauge(
    "worker_gpu_memory_total_bytes",
    "GPU memory in all, in bytes.",
    &["gpu_id"],
    GPU,
);

/// Utilisation of the GPU a worker uses.
pub const UTILIZATION: Entry = gauge(
    "worker_gpu_utilization_percent",
    "Time the GPU that the worker uses had a kernel running, in percent.",
    &["worker", "gpu_id"],
    GPU,
);

/// Temperature of a GPU.
pub const TEMPERATURE: Entry = gauge(
    "worker_gpu_temperature_celsius",
    "GPU temperature, in degrees Celsius.",
    &["gpu_id"],
    GPU,
);

/// Power draw of a GPU.
pub const POWER: Entry = gauge(
    "worker_gpu_power_watts",
    "GPU power draw, in watts.",
    &["gpu_id"],
    GPU,
);

/// SM time of the worker's processes.
pub const PROCESS_SM: Entry = gauge(
    "voxprobe_gpu_process_sm_ratio",
    "Share of the GPU's SM time that the worker's processes used, 0 to 1.",
    &["worker", "gpu_id"],
    GPU,
);

/// Memory in use on a GPU, whoever uses it.
pub const DEVICE_MEMORY_USED: Entry = gauge(
    "voxprobe_gpu_memory_used_bytes",
    "GPU memory in use by everybody, in bytes.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Utilisation of a GPU, whoever uses it.
pub const DEVICE_UTILIZATION: Entry = gauge(
    "voxprobe_gpu_utilization_ratio",
    "Share of time the GPU had a kernel running, 0 to 1.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Memory activity.
pub const MEMORY_UTILIZATION: Entry = gauge(
    "voxprobe_gpu_memory_utilization_ratio",
    "Share of time GPU memory was read or written, 0 to 1.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Enforced power limit.
pub const POWER_LIMIT: Entry = gauge(
    "voxprobe_gpu_power_limit_watts",
    "Enforced GPU power limit, in watts.",
    &["gpu_id", "uuid"],
    GPU,
);

/// SM clock.
pub const SM_CLOCK: Entry = gauge(
    "voxprobe_gpu_sm_clock_hertz",
    "GPU SM clock, in hertz.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Highest SM clock.
pub const SM_CLOCK_MAX: Entry = gauge(
    "voxprobe_gpu_sm_clock_max_hertz",
    "Highest GPU SM clock, in hertz.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Memory clock.
pub const MEMORY_CLOCK: Entry = gauge(
    "voxprobe_gpu_memory_clock_hertz",
    "GPU memory clock, in hertz.",
    &["gpu_id", "uuid"],
    GPU,
);

/// Reasons that hold the clocks back.
pub const THROTTLE: Entry = gauge(
    "voxprobe_gpu_throttle_reason",
    "1 while NVML names this reason for lower clocks, else 0.",
    &["gpu_id", "uuid", "reason"],
    GPU,
);

/// ECC errors.
pub const ECC_ERRORS: Entry = counter(
    "voxprobe_gpu_ecc_errors_total",
    "ECC errors since the driver was loaded, corrected and uncorrected.",
    &["gpu_id", "uuid", "type"],
    GPU,
);

/// PCIe throughput.
pub const PCIE_THROUGHPUT: Entry = gauge(
    "voxprobe_gpu_pcie_bytes_per_second",
    "PCIe throughput of the GPU, in bytes per second.",
    &["gpu_id", "uuid", "direction"],
    GPU,
);

/// PCIe replays.
pub const PCIE_REPLAYS: Entry = counter(
    "voxprobe_gpu_pcie_replays_total",
    "PCIe packets sent again.",
    &["gpu_id", "uuid"],
    GPU,
);

/// PCIe link generation.
pub const PCIE_GENERATION: Entry = gauge(
    "voxprobe_gpu_pcie_link_generation",
    "Current PCIe link generation.",
    &["gpu_id", "uuid"],
    GPU,
);

/// PCIe link width.
pub const PCIE_WIDTH: Entry = gauge(
    "voxprobe_gpu_pcie_link_lanes",
    "Current PCIe link width, in lanes.",
    &["gpu_id", "uuid"],
    GPU,
);

/// XID errors.
pub const XID_ERRORS: Entry = counter(
    "voxprobe_gpu_xid_errors_total",
    "XID errors since the probe started, by code.",
    &["gpu_id", "uuid", "xid"],
    XID,
);

/// State of a GPU.
pub const STATE: Entry = gauge(
    "voxprobe_gpu_state",
    "1 for the state the GPU is in, 0 for the others.",
    &["gpu_id", "uuid", "state"],
    GPU,
);

/// What a GPU is.
pub const INFO: Entry = gauge(
    "voxprobe_gpu_info",
    "1, with what the GPU is in its labels.",
    &["gpu_id", "uuid", "name"],
    GPU,
);

/// Whether NVML answers.
pub const NVML_STATE: Entry = gauge(
    "voxprobe_nvml_state",
    "1 for the state NVML is in, 0 for the others.",
    &["state"],
    None,
);

/// Driver version.
pub const NVML_INFO: Entry = gauge(
    "voxprobe_nvml_info",
    "1, with the NVIDIA driver version in its label.",
    &["driver_version"],
    DRIVER,
);

/// NVML calls made.
pub const NVML_CALLS: Entry = counter(
    "voxprobe_nvml_calls_total",
    "NVML calls made, by function.",
    &["call"],
    CALL,
);

/// NVML calls that failed.
pub const NVML_FAILURES: Entry = counter(
    "voxprobe_nvml_failures_total",
    "NVML calls that failed, by function.",
    &["call"],
    CALL,
);

/// NVML calls given up.
pub const NVML_TIMEOUTS: Entry = counter(
    "voxprobe_nvml_timeouts_total",
    "NVML calls given up because they outran their time bound, by function.",
    &["call"],
    CALL,
);

/// Time in NVML calls.
pub const NVML_SECONDS: Entry = counter(
    "voxprobe_nvml_call_seconds_total",
    "Time spent in NVML calls, in seconds, by function.",
    &["call"],
    CALL,
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[
    &MEMORY_USED,
    &MEMORY_TOTAL,
    &UTILIZATION,
    &TEMPERATURE,
    &POWER,
    &PROCESS_SM,
    &DEVICE_MEMORY_USED,
    &DEVICE_UTILIZATION,
    &MEMORY_UTILIZATION,
    &POWER_LIMIT,
    &SM_CLOCK,
    &SM_CLOCK_MAX,
    &MEMORY_CLOCK,
    &THROTTLE,
    &ECC_ERRORS,
    &PCIE_THROUGHPUT,
    &PCIE_REPLAYS,
    &PCIE_GENERATION,
    &PCIE_WIDTH,
    &XID_ERRORS,
    &STATE,
    &INFO,
    &NVML_STATE,
    &NVML_INFO,
    &NVML_CALLS,
    &NVML_FAILURES,
    &NVML_TIMEOUTS,
    &NVML_SECONDS,
];

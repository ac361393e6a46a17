//! Families of the GPUs' metrics, as `catalogue::gpu` declares them, and how a round of readings
//! fills them: each round replaces the one before, so no reading outlives its source.

mod readings;

pub use readings::throttle_reasons;

use prometheus::{Counter, Gauge, IntCounter};

use super::catalogue::gpu as entry;
use super::{Builder, Family};

/// The GPUs' metrics. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct GpuMetrics {
    /// `worker_gpu_memory_used_bytes`: `worker`, `gpu_id`.
    pub memory_used: Family<Gauge>,
    /// `worker_gpu_memory_total_bytes`: `gpu_id`.
    pub memory_total: Family<Gauge>,
    /// `worker_gpu_utilization_percent`: `worker`, `gpu_id`.
    pub utilization: Family<Gauge>,
    /// `worker_gpu_temperature_celsius`: `gpu_id`.
    pub temperature: Family<Gauge>,
    /// `worker_gpu_power_watts`: `gpu_id`.
    pub power: Family<Gauge>,
    /// `voxprobe_gpu_process_sm_ratio`: `worker`, `gpu_id`.
    pub process_sm: Family<Gauge>,
    /// `voxprobe_gpu_memory_used_bytes`: `gpu_id`, `uuid`.
    pub device_memory_used: Family<Gauge>,
    /// `voxprobe_gpu_utilization_ratio`: `gpu_id`, `uuid`.
    pub device_utilization: Family<Gauge>,
    /// `voxprobe_gpu_memory_utilization_ratio`: `gpu_id`, `uuid`.
    pub memory_utilization: Family<Gauge>,
    /// `voxprobe_gpu_power_limit_watts`: `gpu_id`, `uuid`.
    pub power_limit: Family<Gauge>,
    /// `voxprobe_gpu_sm_clock_hertz`: `gpu_id`, `uuid`.
    pub sm_clock: Family<Gauge>,
    /// `voxprobe_gpu_sm_clock_max_hertz`: `gpu_id`, `uuid`.
    pub sm_clock_max: Family<Gauge>,
    /// `voxprobe_gpu_memory_clock_hertz`: `gpu_id`, `uuid`.
    pub memory_clock: Family<Gauge>,
    /// `voxprobe_gpu_throttle_reason`: `gpu_id`, `uuid`, `reason`.
    pub throttle: Family<Gauge>,
    /// `voxprobe_gpu_ecc_errors_total`: `gpu_id`, `uuid`, `type`.
    pub ecc_errors: Family<IntCounter>,
    /// `voxprobe_gpu_pcie_bytes_per_second`: `gpu_id`, `uuid`, `direction`.
    pub pcie_throughput: Family<Gauge>,
    /// `voxprobe_gpu_pcie_replays_total`: `gpu_id`, `uuid`.
    pub pcie_replays: Family<IntCounter>,
    /// `voxprobe_gpu_pcie_link_generation`: `gpu_id`, `uuid`.
    pub pcie_generation: Family<Gauge>,
    /// `voxprobe_gpu_pcie_link_lanes`: `gpu_id`, `uuid`.
    pub pcie_width: Family<Gauge>,
    /// `voxprobe_gpu_xid_errors_total`: `gpu_id`, `uuid`, `xid`.
    pub xid_errors: Family<IntCounter>,
    /// `voxprobe_gpu_state`: `gpu_id`, `uuid`, `state`.
    pub state: Family<Gauge>,
    /// `voxprobe_gpu_info`: `gpu_id`, `uuid`, `name`.
    pub info: Family<Gauge>,
    /// `voxprobe_nvml_state`: `state`.
    pub nvml_state: Family<Gauge>,
    /// `voxprobe_nvml_info`: `driver_version`.
    pub nvml_info: Family<Gauge>,
    /// `voxprobe_nvml_calls_total`: `call`.
    pub nvml_calls: Family<IntCounter>,
    /// `voxprobe_nvml_failures_total`: `call`.
    pub nvml_failures: Family<IntCounter>,
    /// `voxprobe_nvml_timeouts_total`: `call`.
    pub nvml_timeouts: Family<IntCounter>,
    /// `voxprobe_nvml_call_seconds_total`: `call`.
    pub nvml_seconds: Family<Counter>,
}

impl GpuMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            memory_used: builder.family(&entry::MEMORY_USED),
            memory_total: builder.family(&entry::MEMORY_TOTAL),
            utilization: builder.family(&entry::UTILIZATION),
            temperature: builder.family(&entry::TEMPERATURE),
            power: builder.family(&entry::POWER),
            process_sm: builder.family(&entry::PROCESS_SM),
            device_memory_used: builder.family(&entry::DEVICE_MEMORY_USED),
            device_utilization: builder.family(&entry::DEVICE_UTILIZATION),
            memory_utilization: builder.family(&entry::MEMORY_UTILIZATION),
            power_limit: builder.family(&entry::POWER_LIMIT),
            sm_clock: builder.family(&entry::SM_CLOCK),
            sm_clock_max: builder.family(&entry::SM_CLOCK_MAX),
            memory_clock: builder.family(&entry::MEMORY_CLOCK),
            throttle: builder.family(&entry::THROTTLE),
            ecc_errors: builder.family(&entry::ECC_ERRORS),
            pcie_throughput: builder.family(&entry::PCIE_THROUGHPUT),
            pcie_replays: builder.family(&entry::PCIE_REPLAYS),
            pcie_generation: builder.family(&entry::PCIE_GENERATION),
            pcie_width: builder.family(&entry::PCIE_WIDTH),
            xid_errors: builder.family(&entry::XID_ERRORS),
            state: builder.family(&entry::STATE),
            info: builder.family(&entry::INFO),
            nvml_state: builder.family(&entry::NVML_STATE),
            nvml_info: builder.family(&entry::NVML_INFO),
            nvml_calls: builder.family(&entry::NVML_CALLS),
            nvml_failures: builder.family(&entry::NVML_FAILURES),
            nvml_timeouts: builder.family(&entry::NVML_TIMEOUTS),
            nvml_seconds: builder.family(&entry::NVML_SECONDS),
        }
    }

    /// Removes every series of a worker.
    pub fn remove_worker(&self, worker: &str) {
        for family in [&self.memory_used, &self.utilization, &self.process_sm] {
            family.remove_where("worker", worker);
        }
    }
}

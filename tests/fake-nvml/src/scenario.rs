//! The scenario file: which GPUs there are, what they read, what goes wrong.

use serde::Deserialize;

use crate::fault::{ErrorCode, Fault, Window};
use crate::value::Value;

/// A whole scenario. Times are seconds since NVML was initialised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What `nvmlSystemGetDriverVersion` gives.
    pub(crate) driver: String,
    /// What `nvmlSystemGetNVMLVersion` gives.
    #[serde(default = "nvml_version")]
    pub(crate) nvml: String,
    /// What `nvmlSystemGetCudaDriverVersion_v2` gives: 1000 · major + 10 · minor.
    #[serde(default = "cuda_version")]
    pub(crate) cuda: i32,
    /// What `nvmlInit_v2` and `nvmlInitWithFlags` fail with.
    pub(crate) init_error: Option<ErrorCode>,
    /// The GPUs in NVML's order.
    #[serde(default, rename = "gpu")]
    pub(crate) gpus: Vec<Gpu>,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub(crate) faults: Vec<Fault>,
    /// XID errors.
    #[serde(default, rename = "xid")]
    pub(crate) xids: Vec<Xid>,
}

fn nvml_version() -> String {
    "12.550.54.15".to_owned()
}

fn cuda_version() -> i32 {
    12_040
}

/// A GPU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gpu {
    pub(crate) uuid: String,
    pub(crate) name: String,
    /// `domain:bus:device.function` in hexadecimal.
    #[serde(default = "bus_id")]
    pub(crate) pci_bus_id: String,
    #[serde(default)]
    pub(crate) readings: Readings,
    #[serde(default, rename = "process")]
    pub(crate) processes: Vec<Process>,
    /// MIG devices; with any, MIG mode is on.
    #[serde(default, rename = "mig")]
    pub(crate) migs: Vec<Mig>,
    /// When it has fallen off the bus: every call on it gives `GPU_IS_LOST`.
    #[serde(default)]
    pub(crate) lost: Vec<Window>,
    /// When it is not listed.
    #[serde(default)]
    pub(crate) absent: Vec<Window>,
}

fn bus_id() -> String {
    "00000000:07:00.0".to_owned()
}

/// A MIG device.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mig {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
    #[serde(default)]
    pub(crate) readings: Readings,
    #[serde(default, rename = "process")]
    pub(crate) processes: Vec<Process>,
}

/// What a GPU reads, in NVML's own units. What is left out is not supported.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Readings {
    pub(crate) memory_total_bytes: Option<Value>,
    /// As `nvmlDeviceGetMemoryInfo_v2` counts it: without the reserved part.
    pub(crate) memory_used_bytes: Option<Value>,
    pub(crate) memory_reserved_bytes: Option<Value>,
    pub(crate) bar1_total_bytes: Option<Value>,
    pub(crate) bar1_used_bytes: Option<Value>,
    pub(crate) utilization_percent: Option<Value>,
    pub(crate) memory_utilization_percent: Option<Value>,
    pub(crate) temperature_celsius: Option<Value>,
    pub(crate) power_milliwatts: Option<Value>,
    pub(crate) power_limit_milliwatts: Option<Value>,
    pub(crate) energy_millijoules: Option<Value>,
    pub(crate) performance_state: Option<Value>,
    pub(crate) graphics_clock_mhz: Option<Value>,
    pub(crate) sm_clock_mhz: Option<Value>,
    pub(crate) memory_clock_mhz: Option<Value>,
    pub(crate) max_sm_clock_mhz: Option<Value>,
    pub(crate) max_memory_clock_mhz: Option<Value>,
    pub(crate) throttle_reasons: Option<Value>,
    pub(crate) ecc_corrected: Option<Value>,
    pub(crate) ecc_uncorrected: Option<Value>,
    pub(crate) pcie_sent_kib_per_second: Option<Value>,
    pub(crate) pcie_received_kib_per_second: Option<Value>,
    pub(crate) pcie_replays: Option<Value>,
    pub(crate) pcie_generation: Option<Value>,
    pub(crate) pcie_width: Option<Value>,
    pub(crate) max_pcie_generation: Option<Value>,
    pub(crate) max_pcie_width: Option<Value>,
}

/// A process that uses a GPU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Left out: NVML cannot tell (`NVML_VALUE_NOT_AVAILABLE`).
    pub(crate) memory_bytes: Option<Value>,
    /// Share of the SM time in percent; left out, it has no utilisation samples.
    pub(crate) sm_percent: Option<Value>,
    /// When it runs; always when left out.
    #[serde(default)]
    pub(crate) during: Window,
}

/// What a process does on the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Compute,
    Graphics,
    /// Both: NVML lists it twice.
    Both,
}

/// A process id, or `env:NAME` for the one in an environment variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pid {
    Number(u32),
    Named(String),
}

impl Pid {
    /// The number; `None` when the variable is not set to one.
    pub(crate) fn resolve(&self) -> Option<u32> {
        match self {
            Self::Number(pid) => Some(*pid),
            Self::Named(name) => std::env::var(name.strip_prefix("env:")?).ok()?.parse().ok(),
        }
    }
}

/// An XID error, seen once by every event set that the GPU was registered with before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Xid {
    /// Position of the GPU in the scenario.
    pub(crate) gpu: usize,
    pub(crate) code: u64,
    pub(crate) at_s: f64,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// TOML's own message, with the line.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_files_of_the_tests_are_valid() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/nvml");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen += 1;
        }
        assert!(seen >= 3);
    }

    #[test]
    fn misspelt_reading_is_refused() {
        let text = "driver = \"1\"\n[[gpu]]\nuuid = \"G\"\nname = \"N\"\nreadings.temprature = 1\n";
        assert!(Scenario::parse(text).is_err());
    }

    #[test]
    fn error_name_is_its_number_in_nvml_h() {
        let text = "driver = \"1\"\ninit_error = \"DRIVER_NOT_LOADED\"";
        assert_eq!(Scenario::parse(text).unwrap().init_error.unwrap().0, 9);
        let text = "driver = \"1\"\ninit_error = \"NO_SUCH_ERROR\"";
        assert!(Scenario::parse(text).is_err());
    }
}

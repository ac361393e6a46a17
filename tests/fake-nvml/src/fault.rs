//! What goes wrong in a scenario, and when.

use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::nvmlReturn_t;
use serde::Deserialize;

/// A span of time in seconds since NVML was initialised; open where a bound is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    #[serde(default)]
    from_s: f64,
    until_s: Option<f64>,
}

impl Window {
    pub(crate) fn contains(&self, t: f64) -> bool {
        t >= self.from_s && self.until_s.is_none_or(|until| t < until)
    }
}

/// A call that returns an error, hangs, or both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// NVML function, e.g. `nvmlDeviceGetTemperature`.
    pub(crate) call: String,
    /// Position of the GPU in the scenario; every GPU when left out.
    pub(crate) gpu: Option<usize>,
    /// Error to return; none when left out.
    pub(crate) error: Option<ErrorCode>,
    /// How long the call hangs before it goes on, in milliseconds.
    #[serde(default)]
    pub(crate) hang_ms: u64,
    #[serde(default)]
    from_s: f64,
    until_s: Option<f64>,
}

impl Fault {
    /// Whether the fault strikes `call` on the GPU at `t` seconds.
    pub(crate) fn strikes(&self, call: &str, gpu: Option<usize>, t: f64) -> bool {
        let window = Window {
            from_s: self.from_s,
            until_s: self.until_s,
        };
        self.call == call && (self.gpu.is_none() || self.gpu == gpu) && window.contains(t)
    }
}

/// An error as the scenario writes it: the number, or `nvml.h`'s name without `NVML_ERROR_`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct ErrorCode(pub(crate) nvmlReturn_t);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(nvmlReturn_t),
    Name(String),
}

impl TryFrom<Written> for ErrorCode {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(code) => Ok(Self(code)),
            Written::Name(name) => ERRORS
                .iter()
                .find(|(_, known, _)| known.to_str().is_ok_and(|known| known == name))
                .map(|&(code, _, _)| Self(code))
                .ok_or_else(|| format!("no NVML error is named {name:?}")),
        }
    }
}

/// Errors by code, name and the text that `nvmlErrorString` gives.
pub(crate) const ERRORS: [(nvmlReturn_t, &std::ffi::CStr, &std::ffi::CStr); 17] = [
    (nvml::nvmlReturn_enum_NVML_SUCCESS, c"SUCCESS", c"Success"),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED,
        c"UNINITIALIZED",
        c"Uninitialized",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
        c"INVALID_ARGUMENT",
        c"Invalid Argument",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        c"NOT_SUPPORTED",
        c"Not Supported",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
        c"NO_PERMISSION",
        c"Insufficient Permissions",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND,
        c"NOT_FOUND",
        c"Not Found",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE,
        c"INSUFFICIENT_SIZE",
        c"Insufficient Size",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
        c"DRIVER_NOT_LOADED",
        c"Driver Not Loaded",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT,
        c"TIMEOUT",
        c"Timeout",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_IRQ_ISSUE,
        c"IRQ_ISSUE",
        c"Interrupt Request Issue",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
        c"GPU_IS_LOST",
        c"GPU is lost",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
        c"RESET_REQUIRED",
        c"GPU requires reset",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_OPERATING_SYSTEM,
        c"OPERATING_SYSTEM",
        c"The operating system has blocked the request.",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        c"LIB_RM_VERSION_MISMATCH",
        c"RM has detected an NVML/RM version mismatch.",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_NO_DATA,
        c"NO_DATA",
        c"No data",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        c"ARGUMENT_VERSION_MISMATCH",
        c"Argument version mismatch",
    ),
    (
        nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN,
        c"UNKNOWN",
        c"Unknown Error",
    ),
];

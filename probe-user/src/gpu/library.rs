//! Loading and initialising NVML.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use probe_core::record::NvmlState;

use super::fault::Fault;
use super::meter::Meter;

/// Names that the driver installs, the one of the run-time package first.
const DEFAULT_NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];

/// What helps when no library is found.
const NO_LIBRARY: &str = "install the NVIDIA driver, or name its library with --nvml-lib; \
    in a container, ask the NVIDIA runtime for the `utility` capability \
    (NVIDIA_DRIVER_CAPABILITIES=utility)";

/// NVML, initialised. Safe to drop: its library has `nvmlShutdown`, without which dropping panics.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) nvml: Nvml,
    /// Driver version.
    pub(super) driver: String,
}

/// Why there is no [`Session`].
#[derive(Debug)]
pub(super) enum Refusal {
    /// NVML cannot be used.
    State(NvmlState),
    /// The thread has been given up meanwhile.
    Abandoned,
}

/// Loads and initialises NVML.
pub(super) fn open(library: Option<&Path>, meter: &Meter) -> Result<Session, Refusal> {
    let names: Vec<PathBuf> = match library {
        Some(path) => vec![path.to_owned()],
        None => DEFAULT_NAMES.iter().map(PathBuf::from).collect(),
    };
    let mut first_refusal = None;
    for name in &names {
        match load(name.as_os_str(), meter)? {
            Ok(nvml) => return session(nvml, name, meter),
            Err(state @ NvmlState::Failed(_)) => return Err(Refusal::State(state)),
            Err(state) => first_refusal = first_refusal.or(Some(state)),
        }
    }
    Err(Refusal::State(first_refusal.unwrap_or_default()))
}

fn load(name: &OsStr, meter: &Meter) -> Result<Result<Nvml, NvmlState>, Refusal> {
    // The call is made inside for the watch and the statistics; its error is kept whole outside.
    let mut error = None;
    let nvml = meter.call("nvmlInit_v2", None, || {
        match Nvml::builder().lib_path(name).init() {
            Ok(nvml) => Ok(Some(nvml)),
            Err(NvmlError::LibloadingError(refused)) => {
                error = Some(NvmlError::LibloadingError(refused));
                Ok(None)
            }
            Err(NvmlError::FailedToLoadSymbol(symbol)) => {
                error = Some(NvmlError::FailedToLoadSymbol(symbol));
                Ok(None)
            }
            Err(NvmlError::DriverNotLoaded) => {
                error = Some(NvmlError::DriverNotLoaded);
                Err(NvmlError::DriverNotLoaded)
            }
            Err(other) => Err(other),
        }
    });
    let path = name.to_string_lossy();
    match (nvml, error) {
        (Err(Fault::Abandoned), _) => Err(Refusal::Abandoned),
        (Ok(Some(nvml)), _) => Ok(Ok(nvml)),
        (_, Some(error)) => Ok(Err(unavailable(&path, &error))),
        (Ok(None), None) => Ok(Err(NvmlState::Unavailable(NO_LIBRARY.to_owned()))),
        (Err(fault), None) => Ok(Err(NvmlState::Failed(format!(
            "nvmlInit_v2: {fault}; {}",
            remedy(&fault)
        )))),
    }
}

fn unavailable(path: &str, error: &NvmlError) -> NvmlState {
    NvmlState::Unavailable(match error {
        NvmlError::LibloadingError(error) => {
            // dlopen's text is in the source of the error.
            let reason = std::error::Error::source(error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            format!("{path} cannot be loaded ({reason}): {NO_LIBRARY}")
        }
        NvmlError::FailedToLoadSymbol(_) => {
            format!("{path} is not an NVML library (it has no nvmlInit_v2): {NO_LIBRARY}")
        }
        other => format!(
            "nvmlInit_v2: {other}: load the driver (modprobe nvidia); \
             in a container, pass the GPUs in"
        ),
    })
}

/// What helps when initialisation fails.
fn remedy(fault: &Fault) -> &'static str {
    match fault {
        Fault::Denied => "run as root, or give this user /dev/nvidiactl and /dev/nvidia*",
        _ => {
            "look for NVRM in the kernel log; after a driver update, reload the module or reboot so \
             that library and kernel module have one version"
        }
    }
}

fn session(nvml: Nvml, name: &Path, meter: &Meter) -> Result<Session, Refusal> {
    if nvml.lib().nvmlShutdown.is_err() {
        // Dropping it would panic; the library stays loaded instead.
        std::mem::forget(nvml);
        let name = name.display();
        let reason =
            format!("{name} is not an NVML library (it has no nvmlShutdown): {NO_LIBRARY}");
        return Err(Refusal::State(NvmlState::Unavailable(reason)));
    }
    let version = meter.call("nvmlSystemGetDriverVersion", None, || {
        nvml.sys_driver_version()
    });
    match version {
        Ok(driver) => Ok(Session { nvml, driver }),
        Err(Fault::Abandoned) => Err(Refusal::Abandoned),
        Err(_) => Ok(Session {
            nvml,
            driver: "unknown".to_owned(),
        }),
    }
}

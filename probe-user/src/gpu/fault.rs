//! Why an NVML call gave no value.

use nvml_wrapper::error::NvmlError;
use probe_core::record::GpuState;
use thiserror::Error;

/// What a failed call means for the sampler.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Fault {
    /// The device or the driver does not have this reading.
    #[error("not supported")]
    Unsupported,
    /// There is nothing to tell right now (no sample yet, no event, no MIG device at a position).
    #[error("nothing to tell")]
    Nothing,
    /// This user may not read it.
    #[error("no permission")]
    Denied,
    /// The GPU has fallen off the bus.
    #[error("GPU is lost")]
    Lost,
    /// Any other error, in words.
    #[error("{0}")]
    Failed(String),
    /// The supervisor has given this thread up.
    #[error("given up after its time bound")]
    Abandoned,
}

impl Fault {
    /// Whether it counts as a failure of the call.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Denied | Self::Lost | Self::Failed(_))
    }

    /// State of a GPU on which `call` ended so.
    pub(super) fn state(&self, call: &str) -> GpuState {
        match self {
            Self::Lost => GpuState::Lost,
            other => GpuState::Failing(format!("{call}: {other}")),
        }
    }
}

impl From<NvmlError> for Fault {
    fn from(error: NvmlError) -> Self {
        match error {
            // An older driver's library lacks the symbol.
            NvmlError::NotSupported
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::FunctionNotFound => Self::Unsupported,
            NvmlError::NotFound | NvmlError::NoData | NvmlError::Timeout => Self::Nothing,
            NvmlError::NoPermission => Self::Denied,
            NvmlError::GpuLost => Self::Lost,
            other => Self::Failed(other.to_string()),
        }
    }
}

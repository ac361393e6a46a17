//! Stand-in NVML.

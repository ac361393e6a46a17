//! Stand-in `libnvidia-ml.so`: exports the NVML symbols that a sampler needs and answers them from
//! a scenario file, so that hangs, lost GPUs and XID errors can be tried without a GPU.
//!
//! The scenario is the TOML file named by `FAKE_NVML_SCENARIO`; without it, the file beside the
//! library with the library's name and the extension `toml`, so that two copies of the library in
//! one process can play two scenarios. It is read again when it changes.

mod api;
mod call;
mod fault;
mod scenario;
mod state;
mod value;

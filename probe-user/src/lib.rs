//! voxprobe's shell: the only place with eBPF, NVML, files, sockets, threads and clocks.
//!
//! The modules are the stages of the agent; what the bytes mean is `probe-core`'s business.

pub mod agent;
pub mod attach;
pub mod capture;
pub mod cli;
pub mod discover;
pub mod export;
pub mod gpu;
pub mod ingest;
pub mod privileges;
pub mod report;
pub mod settings;
pub mod telemetry;
pub mod top;

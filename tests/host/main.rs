//! The whole agent on this machine's kernel: real eBPF programs, real processes.
//!
//! One test at a time (`--test-threads=1`): they share the kernel and the machine's cores.

#![allow(
    clippy::float_cmp,
    reason = "counts are whole numbers and readings pass unchanged: f64 holds both exactly"
)]

mod causes;
mod containers;
mod deflate;
mod endings;
mod endurance;
mod exact_counts;
mod gpus;
mod hooks;
mod hostile;
mod kernel_side;
mod lifecycle;
mod load;
mod losses;
mod metrics_lint;
mod model_files;
mod naming;
mod observation;
mod privileges;
mod processes;
mod redis;
mod refusals;
mod reload;
mod report;
mod tiers;
mod timing;
mod top;
mod traces;

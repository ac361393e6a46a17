//! The GPU sampler on the stand-in NVML (`tests/fake-nvml`), and beside NVIDIA's own client.
//!
//! Each test has a copy of the library: the copies have states of their own, and each plays the
//! scenario beside it.

#![allow(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, but not in the functions they share"
)]

mod availability;
mod fake;
mod faults;
mod peer;
mod readings;

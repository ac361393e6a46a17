//! The exported symbols, named and typed as in NVIDIA's `nvml.h`.
//!
//! Contract of each of them, as in `nvml.h`: every pointer is null (refused as an invalid argument)
//! or valid for what the function reads or writes there; a buffer has the length given beside it.

#![allow(
    non_snake_case,
    reason = "the symbols and their parameters are named as in nvml.h"
)]

mod device;
mod events;
mod mig;
mod processes;
mod readings;
mod system;

#[cfg(test)]
mod tests;

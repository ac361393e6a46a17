//! Peers on Python: what the agent sees of them is what they did, and what they say they did adds
//! up.

#![allow(
    clippy::float_cmp,
    reason = "counts are whole numbers: f64 holds them exactly"
)]

mod deflate;
mod exactness;
mod grpc_aio;
mod grpc_sync;
mod keep_alive;
mod orchestrators;

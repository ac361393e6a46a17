//! Shared parts of the tests against real peers: the programs under test as guards that end with
//! the test, and readers of what they say.

#![allow(
    clippy::float_cmp,
    reason = "counts are whole numbers and readings pass unchanged: f64 holds both exactly"
)]

pub mod account;
pub mod artifacts;
pub mod authority;
pub mod capture;
pub mod collector;
pub mod compression;
pub mod exposition;
pub mod garbage;
pub mod http2;
pub mod lab;
pub mod namespace;
pub mod orchestra;
pub mod peer;
pub mod picture;
pub mod probe;
pub mod process;
pub mod programs;
pub mod redis;
pub mod report;
pub mod skip;
pub mod statistics;
pub mod story;
pub mod traffic;

//! The shipped configuration of Prometheus and Alertmanager: read, checked with their own tools, and
//! run by the real servers against a live agent.

#![allow(
    clippy::float_cmp,
    reason = "rule thresholds and counts are exact in f64"
)]

mod alertmanager;
mod container;
mod endpoint;
mod expressions;
mod grafana;
mod help;
mod kubernetes;
mod live;
mod log;
mod metrics;
mod names;
mod promtool;
mod readme;
mod rules;
mod runbooks;
mod walk;

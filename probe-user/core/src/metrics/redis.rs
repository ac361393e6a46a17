//! Families of the metrics of Redis connections, as `catalogue::redis` declares them.

use prometheus::{Gauge, IntCounter};

use super::catalogue::redis as entry;
use super::{Builder, Family, Histogram};

/// The metrics of Redis connections. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct RedisMetrics {
    /// `redis_connections_active`, without labels.
    pub connections_active: Family<Gauge>,
    /// `redis_command_latency_ms`: `command`.
    pub command_latency: Family<Histogram>,
    /// `redis_command_errors_total`: `command`, `error_type`.
    pub command_errors: Family<IntCounter>,
}

impl RedisMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            connections_active: builder.family(&entry::CONNECTIONS_ACTIVE),
            command_latency: builder.family(&entry::COMMAND_LATENCY),
            command_errors: builder.family(&entry::COMMAND_ERRORS),
        }
    }
}

//! Metrics of Redis connections, computed from the clients' ends, and from the server's end where the
//! client is not watched. All labels come from closed lists.

use super::{Entry, counter, gauge, histogram};

/// Connections open now.
pub const CONNECTIONS_ACTIVE: Entry = gauge(
    "redis_connections_active",
    "Redis connections open now, each counted once.",
    &[],
    None,
);

/// Request to reply.
pub const COMMAND_LATENCY: Entry = histogram(
    "redis_command_latency_ms",
    "Time from a command to its reply, as the watched process saw both, in milliseconds.",
    &["command"],
    None,
    &[1.0, 5.0, 10.0, 50.0, 100.0],
);

/// Commands that went wrong.
pub const COMMAND_ERRORS: Entry = counter(
    "redis_command_errors_total",
    "Commands answered with an error (its first word), not answered (timeout), or whose connection failed (connection_error).",
    &["command", "error_type"],
    None,
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[&CONNECTIONS_ACTIVE, &COMMAND_LATENCY, &COMMAND_ERRORS];

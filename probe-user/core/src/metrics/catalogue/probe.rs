//! Metrics of the probe itself that the core can count: what it saw, what it could not read, what
//! it refused to keep. Base units.

use super::{Entry, counter, gauge};

/// Records that reached the core.
pub const RECORDS: Entry = counter(
    "voxprobe_records_total",
    "Records that reached the core, by kind.",
    &["kind"],
    None,
);

/// Bytes of watched streams.
pub const STREAM_BYTES: Entry = counter(
    "voxprobe_stream_bytes_total",
    "Bytes that watched sockets moved, captured or not.",
    &["direction"],
    None,
);

/// Gaps in watched streams.
pub const STREAM_GAPS: Entry = counter(
    "voxprobe_stream_gaps_total",
    "Runs of bytes missing from a stream, by reason; unread: content that nobody reads, left where it was.",
    &["reason"],
    None,
);

/// Bytes in those gaps.
pub const STREAM_GAP_BYTES: Entry = counter(
    "voxprobe_stream_gap_bytes_total",
    "Bytes missing from streams, by reason; unread: content that nobody reads, left where it was.",
    &["reason"],
    None,
);

/// What decoders could not read.
pub const WIRE_PROBLEMS: Entry = counter(
    "voxprobe_wire_problems_total",
    "Things a decoder could not read, by problem.",
    &["problem"],
    Some(("problem", super::Bound::Other)),
);

/// Connections open now.
pub const CONNECTIONS: Entry = gauge(
    "voxprobe_connections",
    "Watched connections open now, by protocol and by whether they are known from their first byte.",
    &["protocol", "joined"],
    None,
);

/// Calls, by what is known about their method.
pub const FLOW_CALLS: Entry = counter(
    "voxprobe_flow_calls_total",
    "Calls seen: method known, read but not in the profile (other), or unreadable (unknown).",
    &["method"],
    None,
);

/// Methods told without their path.
pub const INFERRED_METHODS: Entry = counter(
    "voxprobe_inferred_methods_total",
    "Header table entries that hide a method's path, by what became of them: named by what their calls say (inferred), by that and paths written out later (revealed), named and then contradicted, or let go without a name because several methods (ambiguous) or none (unlisted) fit.",
    &["state"],
    None,
);

/// Calls whose method was told without its path.
pub const INFERRED_CALLS: Entry = counter(
    "voxprobe_inferred_calls_total",
    "Calls whose method was inferred, by whether everything they said fits it (agreed) or one took the name back (contradicted).",
    &["outcome"],
    None,
);

/// Label values beyond their bound.
pub const SERIES_OVERFLOW: Entry = counter(
    "voxprobe_series_overflow_total",
    "Label sets counted under \"other\" because the metric had its most label values.",
    &["metric"],
    None,
);

/// Values that were not observed because their evidence is missing.
pub const OBSERVATIONS_SKIPPED: Entry = counter(
    "voxprobe_observations_skipped_total",
    "Values not observed because their evidence is missing or does not count, by measure and reason.",
    &["measure", "reason"],
    None,
);

/// State the model refused to keep.
pub const STATE_REFUSED: Entry = counter(
    "voxprobe_state_refused_total",
    "Things not tracked because the most of their kind were tracked already.",
    &["kind"],
    None,
);

/// State the model holds.
pub const STATE_TRACKED: Entry = gauge(
    "voxprobe_state_tracked",
    "Things tracked now, by kind.",
    &["kind"],
    None,
);

/// Traces, by whether they are exported and why.
pub const TRACES: Entry = counter(
    "voxprobe_traces_total",
    "Traces of utterances and calls, by what decided about their export: an objective that was missed (violation), the caller's sampled flag (parent), or the rate (rate); unsampled are not exported.",
    &["decision"],
    None,
);

/// Spans that the collector took.
pub const SPANS_EXPORTED: Entry = counter(
    "voxprobe_trace_spans_exported_total",
    "Spans that the collector took.",
    &[],
    None,
);

/// Spans that nobody will see.
pub const SPANS_DROPPED: Entry = counter(
    "voxprobe_trace_spans_dropped_total",
    "Spans that were not exported, by reason: the queue was full (queue_full), the collector could not be reached for too long (unavailable), did not take them (rejected), or the agent ended first (shutdown).",
    &["reason"],
    None,
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[
    &RECORDS,
    &STREAM_BYTES,
    &STREAM_GAPS,
    &STREAM_GAP_BYTES,
    &WIRE_PROBLEMS,
    &CONNECTIONS,
    &FLOW_CALLS,
    &INFERRED_METHODS,
    &INFERRED_CALLS,
    &SERIES_OVERFLOW,
    &OBSERVATIONS_SKIPPED,
    &STATE_REFUSED,
    &STATE_TRACKED,
    &TRACES,
    &SPANS_EXPORTED,
    &SPANS_DROPPED,
];

//! Metrics of library hooks: the guide's for voice activity detection and speech recognition, and
//! the probe's own for any hooked function.

use super::{Entry, counter, histogram};
use crate::metrics::Bound;

/// Label `hook`: names of the configuration's `[[hook]]` entries.
const PER_HOOK: Option<(&str, Bound)> = Some(("hook", Bound::Other));

/// Edges of voice activity detection.
pub const VAD_EVENTS: Entry = counter(
    "orchestrator_vad_events_total",
    "Debounced starts and ends of speech in the results of the hooked voice activity detector.",
    &["event_type"],
    None,
);

/// First positive result to the debounced start.
pub const VAD_DETECTION_LATENCY: Entry = histogram(
    "orchestrator_vad_detection_latency_ms",
    "Time from the first positive result of a run to the debounced start of speech, in milliseconds.",
    &[],
    None,
    &[10.0, 25.0, 50.0, 100.0],
);

/// Speech recognition requests.
pub const ASR_REQUESTS: Entry = counter(
    "orchestrator_asr_requests_total",
    "Calls of the hooked speech recognition function that returned.",
    &["model"],
    Some(("model", Bound::Models)),
);

/// Entry to return.
pub const ASR_LATENCY: Entry = histogram(
    "orchestrator_asr_latency_ms",
    "Time from entry to return of the hooked speech recognition function, failed calls included, in milliseconds.",
    &["model"],
    Some(("model", Bound::Models)),
    &[50.0, 100.0, 200.0, 500.0],
);

/// Failed requests.
pub const ASR_ERRORS: Entry = counter(
    "orchestrator_asr_errors_total",
    "Calls of the hooked speech recognition function that failed: a return value listed as a time-out (timeout), negative or null (model_error).",
    &["error_type"],
    None,
);

/// Calls of any hooked function.
pub const CALLS: Entry = counter(
    "voxprobe_hook_calls_total",
    "Calls of a hooked library function by watched processes: entries of a counter, returns of the others.",
    &["hook"],
    PER_HOOK,
);

/// Entry to return. From a voice activity detector's 20 µs to a recogniser's seconds.
pub const DURATION: Entry = histogram(
    "voxprobe_hook_duration_seconds",
    "Time from entry to return of a hooked library function; some microseconds of it are the hook's own.",
    &["hook"],
    PER_HOOK,
    &[
        1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25,
        0.5, 1.0, 2.5, 5.0, 10.0,
    ],
);

/// Return values that say that a call failed.
pub const ERRORS: Entry = counter(
    "voxprobe_hook_errors_total",
    "Calls of a hooked library function whose return value says that they failed.",
    &["hook"],
    PER_HOOK,
);

/// Debounced changes of the result.
pub const EDGES: Entry = counter(
    "voxprobe_hook_edges_total",
    "Debounced changes of a hooked library function's result, to positive (rising) and to negative (falling).",
    &["hook", "edge"],
    PER_HOOK,
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[
    &VAD_EVENTS,
    &VAD_DETECTION_LATENCY,
    &ASR_REQUESTS,
    &ASR_LATENCY,
    &ASR_ERRORS,
    &CALLS,
    &DURATION,
    &ERRORS,
    &EDGES,
];

//! Metrics of the orchestrators, computed from the server side of their WebSocket connections and the
//! client side of their gRPC connections.
//!
//! Labels and label values that the guide does not have: `trigger` on
//! `orchestrator_latency_barge_in_ms`, and `unknown` where the evidence is missing.

use super::{Entry, counter, gauge, histogram};
use crate::metrics::Bound;

const MODEL: Option<(&str, Bound)> = Some(("model_id", Bound::Models));

/// Sessions started.
pub const SESSIONS_STARTED: Entry = counter(
    "orchestrator_sessions_started_total",
    "Sessions started.",
    &["transport", "model_id"],
    MODEL,
);

/// Sessions ended.
pub const SESSIONS_ENDED: Entry = counter(
    "orchestrator_sessions_ended_total",
    "Sessions ended, by the first thing that ended them.",
    &["transport", "model_id", "reason"],
    MODEL,
);

/// Sessions open now.
pub const SESSIONS_ACTIVE: Entry = gauge(
    "orchestrator_sessions_active",
    "Sessions open now.",
    &["transport", "model_id"],
    MODEL,
);

/// Failures of sessions.
pub const SESSION_ERRORS: Entry = counter(
    "orchestrator_session_errors_total",
    "Failures of sessions: errors told to clients, calls to workers that failed, workers that could not be reached.",
    &["error_type"],
    None,
);

/// Text received to first audio sent.
pub const LATENCY_FAL: Entry = histogram(
    "orchestrator_latency_fal_ms",
    "First audio latency in milliseconds: from the message that starts an utterance to its first \
     audio message; LiveKit: from the last text sent to the worker to its first audio frame.",
    &["model_id"],
    MODEL,
    &[50.0, 100.0, 200.0, 300.0, 500.0, 1000.0],
);

/// Interruption to silence.
pub const LATENCY_BARGE_IN: Entry = histogram(
    "orchestrator_latency_barge_in_ms",
    "Time from what interrupts an utterance to the last of its audio, or to the answer of the control call \
     if that comes later, in milliseconds.",
    &["model_id", "trigger"],
    MODEL,
    &[10.0, 25.0, 50.0, 75.0, 100.0],
);

/// User input to first audio.
pub const LATENCY_E2E: Entry = histogram(
    "orchestrator_latency_e2e_ms",
    "Time from the user's last input to the first audio of the answer, in milliseconds.",
    &["transport"],
    None,
    &[100.0, 200.0, 400.0, 600.0, 1000.0],
);

/// Messages to clients.
pub const MESSAGES_SENT: Entry = counter(
    "orchestrator_websocket_messages_sent_total",
    "WebSocket messages sent to clients.",
    &["message_type"],
    None,
);

/// Messages from clients.
pub const MESSAGES_RECEIVED: Entry = counter(
    "orchestrator_websocket_messages_received_total",
    "WebSocket messages received from clients; the request to upgrade counts as SessionStart.",
    &["message_type"],
    None,
);

/// Message received to the first thing it causes.
pub const MESSAGE_PROCESSING: Entry = histogram(
    "orchestrator_message_processing_ms",
    "Time from a client's message to the first call or reply that it causes, in milliseconds.",
    &["message_type"],
    None,
    &[1.0, 5.0, 10.0, 50.0, 100.0],
);

/// WebSocket connections open now.
pub const CONNECTIONS_ACTIVE: Entry = gauge(
    "orchestrator_websocket_connections_active",
    "WebSocket connections of clients open now.",
    &[],
    None,
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[
    &SESSIONS_STARTED,
    &SESSIONS_ENDED,
    &SESSIONS_ACTIVE,
    &SESSION_ERRORS,
    &LATENCY_FAL,
    &LATENCY_BARGE_IN,
    &LATENCY_E2E,
    &MESSAGES_SENT,
    &MESSAGES_RECEIVED,
    &MESSAGE_PROCESSING,
    &CONNECTIONS_ACTIVE,
];

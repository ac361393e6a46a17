//! Families of the orchestrators' metrics, as `catalogue::orchestrator` declares them.

use prometheus::{Gauge, IntCounter};

use super::catalogue::orchestrator as entry;
use super::{Builder, Family, Histogram};

/// The orchestrators' metrics. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct OrchestratorMetrics {
    /// `orchestrator_sessions_started_total`: `transport`, `model_id`.
    pub sessions_started: Family<IntCounter>,
    /// `orchestrator_sessions_ended_total`: `transport`, `model_id`, `reason`.
    pub sessions_ended: Family<IntCounter>,
    /// `orchestrator_sessions_active`: `transport`, `model_id`.
    pub sessions_active: Family<Gauge>,
    /// `orchestrator_session_errors_total`: `error_type`.
    pub session_errors: Family<IntCounter>,
    /// `orchestrator_latency_fal_ms`: `model_id`.
    pub latency_fal: Family<Histogram>,
    /// `orchestrator_latency_barge_in_ms`: `model_id`, `trigger`.
    pub latency_barge_in: Family<Histogram>,
    /// `orchestrator_latency_e2e_ms`: `transport`.
    pub latency_e2e: Family<Histogram>,
    /// `orchestrator_websocket_messages_sent_total`: `message_type`.
    pub messages_sent: Family<IntCounter>,
    /// `orchestrator_websocket_messages_received_total`: `message_type`.
    pub messages_received: Family<IntCounter>,
    /// `orchestrator_message_processing_ms`: `message_type`.
    pub message_processing: Family<Histogram>,
    /// `orchestrator_websocket_connections_active`, without labels.
    pub connections_active: Family<Gauge>,
}

impl OrchestratorMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            sessions_started: builder.family(&entry::SESSIONS_STARTED),
            sessions_ended: builder.family(&entry::SESSIONS_ENDED),
            sessions_active: builder.family(&entry::SESSIONS_ACTIVE),
            session_errors: builder.family(&entry::SESSION_ERRORS),
            latency_fal: builder.family(&entry::LATENCY_FAL),
            latency_barge_in: builder.family(&entry::LATENCY_BARGE_IN),
            latency_e2e: builder.family(&entry::LATENCY_E2E),
            messages_sent: builder.family(&entry::MESSAGES_SENT),
            messages_received: builder.family(&entry::MESSAGES_RECEIVED),
            message_processing: builder.family(&entry::MESSAGE_PROCESSING),
            connections_active: builder.family(&entry::CONNECTIONS_ACTIVE),
        }
    }
}

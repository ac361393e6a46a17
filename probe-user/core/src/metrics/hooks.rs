//! Families of the metrics of library hooks, as `catalogue::hooks` declares them.

use prometheus::IntCounter;

use super::catalogue::hooks as entry;
use super::{Builder, Family, Histogram};

/// The metrics of library hooks. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct HookMetrics {
    /// `orchestrator_vad_events_total`: `event_type`.
    pub vad_events: Family<IntCounter>,
    /// `orchestrator_vad_detection_latency_ms`, without labels.
    pub vad_detection_latency: Family<Histogram>,
    /// `orchestrator_asr_requests_total`: `model`.
    pub asr_requests: Family<IntCounter>,
    /// `orchestrator_asr_latency_ms`: `model`.
    pub asr_latency: Family<Histogram>,
    /// `orchestrator_asr_errors_total`: `error_type`.
    pub asr_errors: Family<IntCounter>,
    /// `voxprobe_hook_calls_total`: `hook`.
    pub calls: Family<IntCounter>,
    /// `voxprobe_hook_duration_seconds`: `hook`.
    pub duration: Family<Histogram>,
    /// `voxprobe_hook_errors_total`: `hook`.
    pub errors: Family<IntCounter>,
    /// `voxprobe_hook_edges_total`: `hook`, `edge`.
    pub edges: Family<IntCounter>,
}

impl HookMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            vad_events: builder.family(&entry::VAD_EVENTS),
            vad_detection_latency: builder.family(&entry::VAD_DETECTION_LATENCY),
            asr_requests: builder.family(&entry::ASR_REQUESTS),
            asr_latency: builder.family(&entry::ASR_LATENCY),
            asr_errors: builder.family(&entry::ASR_ERRORS),
            calls: builder.family(&entry::CALLS),
            duration: builder.family(&entry::DURATION),
            errors: builder.family(&entry::ERRORS),
            edges: builder.family(&entry::EDGES),
        }
    }
}

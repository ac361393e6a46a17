//! Families of the probe's own metrics that the core counts, as `catalogue::probe` declares them.

use prometheus::{Gauge, IntCounter};

use super::catalogue::probe as entry;
use super::{Builder, Family};
use crate::interpret::Counts;

/// The probe's own metrics. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct ProbeMetrics {
    /// `voxprobe_records_total`: `kind`.
    pub records: Family<IntCounter>,
    /// `voxprobe_stream_bytes_total`: `direction`.
    pub stream_bytes: Family<IntCounter>,
    /// `voxprobe_stream_gaps_total`: `reason`.
    pub stream_gaps: Family<IntCounter>,
    /// `voxprobe_stream_gap_bytes_total`: `reason`.
    pub stream_gap_bytes: Family<IntCounter>,
    /// `voxprobe_wire_problems_total`: `problem`.
    pub wire_problems: Family<IntCounter>,
    /// `voxprobe_connections`: `protocol`, `joined`.
    pub connections: Family<Gauge>,
    /// `voxprobe_flow_calls_total`: method (known, other, unknown).
    pub flow_calls: Family<IntCounter>,
    /// `voxprobe_inferred_methods_total`: `state`.
    pub inferred_methods: Family<IntCounter>,
    /// `voxprobe_inferred_calls_total`: `outcome`.
    pub inferred_calls: Family<IntCounter>,
    /// `voxprobe_series_overflow_total`: `metric`.
    pub series_overflow: Family<IntCounter>,
    /// `voxprobe_observations_skipped_total`: `measure`, `reason`.
    pub observations_skipped: Family<IntCounter>,
    /// `voxprobe_state_refused_total`: `kind`.
    pub state_refused: Family<IntCounter>,
    /// `voxprobe_state_tracked`: `kind`.
    pub state_tracked: Family<Gauge>,
    /// `voxprobe_traces_total`: `decision`.
    pub traces: Family<IntCounter>,
    /// `voxprobe_trace_spans_exported_total`.
    pub spans_exported: Family<IntCounter>,
    /// `voxprobe_trace_spans_dropped_total`: `reason`.
    pub spans_dropped: Family<IntCounter>,
}

impl ProbeMetrics {
    pub(super) fn new(builder: &Builder, series_overflow: Family<IntCounter>) -> Self {
        Self {
            records: builder.family(&entry::RECORDS),
            stream_bytes: builder.family(&entry::STREAM_BYTES),
            stream_gaps: builder.family(&entry::STREAM_GAPS),
            stream_gap_bytes: builder.family(&entry::STREAM_GAP_BYTES),
            wire_problems: builder.family(&entry::WIRE_PROBLEMS),
            connections: builder.family(&entry::CONNECTIONS),
            flow_calls: builder.family(&entry::FLOW_CALLS),
            inferred_methods: builder.family(&entry::INFERRED_METHODS),
            inferred_calls: builder.family(&entry::INFERRED_CALLS),
            series_overflow,
            observations_skipped: builder.family(&entry::OBSERVATIONS_SKIPPED),
            state_refused: builder.family(&entry::STATE_REFUSED),
            state_tracked: builder.family(&entry::STATE_TRACKED),
            traces: builder.family(&entry::TRACES),
            spans_exported: builder.family(&entry::SPANS_EXPORTED),
            spans_dropped: builder.family(&entry::SPANS_DROPPED),
        }
    }

    /// Brings the counters of calls up to the interpreter's totals.
    pub fn count_calls(&self, counts: &Counts) {
        for (method, total) in [
            ("known", counts.known),
            ("other", counts.other),
            ("unknown", counts.unknown),
        ] {
            raise(&self.flow_calls.with(&[method]), total);
        }
        raise(&self.state_refused.with(&["call"]), counts.refused);
    }

    /// Counts a value that was not observed.
    pub fn skip(&self, measure: Measure, reason: SkipReason) {
        self.observations_skipped
            .with(&[measure.as_str(), reason.as_str()])
            .inc();
    }
}

/// Raises a counter to a total that only grows.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// What was not observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// An interval of `worker_audio_frame_jitter_ms`.
    Jitter,
    /// A frame of `worker_audio_frame_lateness_ms` and `worker_audio_underruns_total`.
    Lateness,
    /// A gap in sequence numbers, of `worker_audio_frame_drops_total`.
    Drops,
    /// A frame of `worker_audio_frames_emitted_total`.
    Frames,
    /// `worker_inference_latency_ms` of a stream.
    InferenceLatency,
    /// `worker_inference_rtf` of a stream.
    InferenceRtf,
    /// `worker_synthesis_duration_ms` of a stream.
    SynthesisDuration,
    /// `worker_control_latency_ms` of a command.
    ControlLatency,
    /// `worker_control_effect_ms` of a command.
    ControlEffect,
    /// `worker_model_manager_load_duration_ms` of a load.
    LoadDuration,
    /// A session that may have started or ended.
    Session,
    /// A list of models.
    ModelList,
    /// `orchestrator_latency_fal_ms` of an utterance.
    FirstAudio,
    /// `orchestrator_latency_e2e_ms` of an answer.
    EndToEnd,
    /// `orchestrator_latency_barge_in_ms` of an interruption.
    BargeIn,
    /// `orchestrator_message_processing_ms` of a message.
    Processing,
    /// A WebSocket message of `orchestrator_websocket_messages_*_total`.
    WebSocketMessage,
    /// Label `model_id` of an orchestrator's session.
    SessionModel,
    /// Frames that an orchestrator received and did not forward, of
    /// `worker_audio_frame_drops_total`.
    ForwardingDrops,
    /// A Redis command of `redis_command_latency_ms`.
    RedisCommand,
    /// A span of a trace.
    Span,
    /// What caused a span: it has no parent.
    SpanParent,
}

impl Measure {
    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jitter => "frame_jitter",
            Self::Lateness => "frame_lateness",
            Self::Drops => "frame_drops",
            Self::Frames => "frames",
            Self::InferenceLatency => "inference_latency",
            Self::InferenceRtf => "inference_rtf",
            Self::SynthesisDuration => "synthesis_duration",
            Self::ControlLatency => "control_latency",
            Self::ControlEffect => "control_effect",
            Self::LoadDuration => "load_duration",
            Self::Session => "session",
            Self::ModelList => "model_list",
            Self::FirstAudio => "first_audio_latency",
            Self::EndToEnd => "e2e_latency",
            Self::BargeIn => "barge_in_latency",
            Self::Processing => "message_processing",
            Self::WebSocketMessage => "websocket_message",
            Self::SessionModel => "session_model",
            Self::ForwardingDrops => "forwarding_drops",
            Self::RedisCommand => "redis_command",
            Self::Span => "span",
            Self::SpanParent => "span_parent",
        }
    }
}

/// Why it was not observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Messages it depends on were lost.
    Lost,
    /// A field it depends on could not be read, or says what cannot be.
    Unreadable,
    /// A PAUSE or STOP was, or may have been, in force.
    Paused,
    /// What it measures was cut off (connection closed, stream reset) before it was complete.
    CutOff,
    /// It came after the stream's final frame.
    AfterEnd,
    /// It may belong to one of several sessions, streams or utterances, and nothing tells to which.
    Ambiguous,
}

impl SkipReason {
    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unreadable => "unreadable",
            Self::Paused => "paused",
            Self::CutOff => "cut_off",
            Self::AfterEnd => "after_end",
            Self::Ambiguous => "ambiguous",
        }
    }
}

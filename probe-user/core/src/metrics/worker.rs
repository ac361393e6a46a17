//! Families of the workers' metrics, as `catalogue::worker` declares them.

use prometheus::{Gauge, IntCounter};

use super::catalogue::worker as entry;
use super::{Builder, Family, Histogram};

/// The workers' metrics. Label values are given in the order named at each field.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    /// `worker_sessions_active`: `worker`, `adapter_type`.
    pub sessions_active: Family<Gauge>,
    /// `worker_synthesis_requests_total`: `worker`, `model_id`.
    pub synthesis_requests: Family<IntCounter>,
    /// `worker_synthesis_duration_ms`: `worker`, `model_id`.
    pub synthesis_duration: Family<Histogram>,
    /// `worker_inference_latency_ms`: `worker`, `model_id`.
    pub inference_latency: Family<Histogram>,
    /// `worker_inference_rtf`: `worker`, `model_id`, `mode`.
    pub inference_rtf: Family<Histogram>,
    /// `worker_inference_queue_depth`: `worker`.
    pub inference_queue_depth: Family<Gauge>,
    /// `worker_audio_frames_emitted_total`: `worker`, `session_id`.
    pub audio_frames_emitted: Family<IntCounter>,
    /// `worker_audio_frame_jitter_ms`: `worker`, `pacing`.
    pub audio_frame_jitter: Family<Histogram>,
    /// `worker_audio_frame_lateness_ms`: `worker`.
    pub audio_frame_lateness: Family<Histogram>,
    /// `worker_audio_underruns_total`: `worker`, `cause`.
    pub audio_underruns: Family<IntCounter>,
    /// `voxprobe_late_frames_total`: `worker`, `cause`.
    pub late_frames: Family<IntCounter>,
    /// `worker_audio_frame_drops_total`: `worker`, `reason`.
    pub audio_frame_drops: Family<IntCounter>,
    /// `worker_model_manager_resident_count`: `worker`.
    pub model_resident: Family<Gauge>,
    /// `worker_model_manager_loads_total`: `worker`, `model_id`.
    pub model_loads: Family<IntCounter>,
    /// `worker_model_manager_unloads_total`: `worker`, `model_id`, `reason`.
    pub model_unloads: Family<IntCounter>,
    /// `worker_model_manager_load_duration_ms`: `worker`, `model_id`.
    pub model_load_duration: Family<Histogram>,
    /// `worker_model_manager_warmup_duration_ms`: `worker`, `model_id`.
    pub model_warmup_duration: Family<Histogram>,
    /// `worker_control_commands_total`: `worker`, `command`.
    pub control_commands: Family<IntCounter>,
    /// `worker_control_latency_ms`: `worker`, `command`.
    pub control_latency: Family<Histogram>,
    /// `worker_control_effect_ms`: `worker`, `command`.
    pub control_effect: Family<Histogram>,
}

impl WorkerMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            sessions_active: builder.family(&entry::SESSIONS_ACTIVE),
            synthesis_requests: builder.family(&entry::SYNTHESIS_REQUESTS),
            synthesis_duration: builder.family(&entry::SYNTHESIS_DURATION),
            inference_latency: builder.family(&entry::INFERENCE_LATENCY),
            inference_rtf: builder.family(&entry::INFERENCE_RTF),
            inference_queue_depth: builder.family(&entry::INFERENCE_QUEUE_DEPTH),
            audio_frames_emitted: builder.family(&entry::AUDIO_FRAMES_EMITTED),
            audio_frame_jitter: builder.family(&entry::AUDIO_FRAME_JITTER),
            audio_frame_lateness: builder.family(&entry::AUDIO_FRAME_LATENESS),
            audio_underruns: builder.family(&entry::AUDIO_UNDERRUNS),
            late_frames: builder.family(&entry::LATE_FRAMES),
            audio_frame_drops: builder.family(&entry::AUDIO_FRAME_DROPS),
            model_resident: builder.family(&entry::MODEL_RESIDENT),
            model_loads: builder.family(&entry::MODEL_LOADS),
            model_unloads: builder.family(&entry::MODEL_UNLOADS),
            model_load_duration: builder.family(&entry::MODEL_LOAD_DURATION),
            model_warmup_duration: builder.family(&entry::MODEL_WARMUP_DURATION),
            control_commands: builder.family(&entry::CONTROL_COMMANDS),
            control_latency: builder.family(&entry::CONTROL_LATENCY),
            control_effect: builder.family(&entry::CONTROL_EFFECT),
        }
    }

    /// Removes every series of a worker, in all families.
    pub fn remove_worker(&self, worker: &str) {
        self.sessions_active.remove_where("worker", worker);
        self.synthesis_requests.remove_where("worker", worker);
        self.synthesis_duration.remove_where("worker", worker);
        self.inference_latency.remove_where("worker", worker);
        self.inference_rtf.remove_where("worker", worker);
        self.inference_queue_depth.remove_where("worker", worker);
        self.audio_frames_emitted.remove_where("worker", worker);
        self.audio_frame_jitter.remove_where("worker", worker);
        self.audio_frame_lateness.remove_where("worker", worker);
        self.audio_underruns.remove_where("worker", worker);
        self.late_frames.remove_where("worker", worker);
        self.audio_frame_drops.remove_where("worker", worker);
        self.model_resident.remove_where("worker", worker);
        self.model_loads.remove_where("worker", worker);
        self.model_unloads.remove_where("worker", worker);
        self.model_load_duration.remove_where("worker", worker);
        self.model_warmup_duration.remove_where("worker", worker);
        self.control_commands.remove_where("worker", worker);
        self.control_latency.remove_where("worker", worker);
        self.control_effect.remove_where("worker", worker);
    }
}

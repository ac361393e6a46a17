//! Metrics of the text-to-speech workers, computed from the server side of their gRPC connections.
//!
//! Labels and metrics that the guide does not have: `mode` on `worker_inference_rtf`, `pacing` on
//! `worker_audio_frame_jitter_ms`, and `worker_audio_frame_lateness_ms`,
//! `worker_audio_underruns_total`, `voxprobe_late_frames_total`, `worker_control_effect_ms`.

use super::{Entry, counter, gauge, histogram};
use crate::metrics::Bound;

const WORKER: Option<(&str, Bound)> = Some(("worker", Bound::Workers));
const MODEL: Option<(&str, Bound)> = Some(("model_id", Bound::Models));
const SESSION: Option<(&str, Bound)> = Some(("session_id", Bound::Sessions));

/// Sessions open now.
pub const SESSIONS_ACTIVE: Entry = gauge(
    "worker_sessions_active",
    "Sessions open on the worker: started and not ended, plus synthesis streams of unknown sessions.",
    &["worker", "adapter_type"],
    WORKER,
);

/// Synthesis streams opened.
pub const SYNTHESIS_REQUESTS: Entry = counter(
    "worker_synthesis_requests_total",
    "Synthesis streams opened.",
    &["worker", "model_id"],
    MODEL,
);

/// First text received to stream end.
pub const SYNTHESIS_DURATION: Entry = histogram(
    "worker_synthesis_duration_ms",
    "Time from the first text received to the end of the synthesis stream, in milliseconds.",
    &["worker", "model_id"],
    MODEL,
    &[100.0, 200.0, 500.0, 1000.0, 2000.0],
);

/// First text received to first frame sent.
pub const INFERENCE_LATENCY: Entry = histogram(
    "worker_inference_latency_ms",
    "Time from the first text received to the first audio frame sent, in milliseconds.",
    &["worker", "model_id"],
    MODEL,
    &[50.0, 100.0, 200.0, 300.0, 500.0],
);

/// Real-time factor.
pub const INFERENCE_RTF: Entry = histogram(
    "worker_inference_rtf",
    "Inference time over audio duration, as a ratio; mode tells how the worker sends its frames.",
    &["worker", "model_id", "mode"],
    MODEL,
    &[0.1, 0.2, 0.3, 0.5, 1.0],
);

/// Streams waiting for their first frame.
pub const INFERENCE_QUEUE_DEPTH: Entry = gauge(
    "worker_inference_queue_depth",
    "Synthesis streams with text received and no audio frame sent yet.",
    &["worker"],
    WORKER,
);

/// Audio frames sent.
pub const AUDIO_FRAMES_EMITTED: Entry = counter(
    "worker_audio_frames_emitted_total",
    "Audio frames with data sent; session_id is bounded and leaves with its session.",
    &["worker", "session_id"],
    SESSION,
);

/// Distance of the send interval from the frame duration.
pub const AUDIO_FRAME_JITTER: Entry = histogram(
    "worker_audio_frame_jitter_ms",
    "Distance between the send interval of consecutive frames and the frame duration, in milliseconds.",
    &["worker", "pacing"],
    WORKER,
    &[1.0, 5.0, 10.0, 20.0, 50.0],
);

/// How long after its playout deadline a frame was sent. Buckets: those of the jitter, and on to a
/// second, because a synthesis that falls behind is late by hundreds of milliseconds.
pub const AUDIO_FRAME_LATENESS: Entry = histogram(
    "worker_audio_frame_lateness_ms",
    "Time by which a frame was sent after it had to be played, in milliseconds; 0 when in time.",
    &["worker"],
    WORKER,
    &[1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0],
);

/// Gaps a listener hears.
pub const AUDIO_UNDERRUNS: Entry = counter(
    "worker_audio_underruns_total",
    "Playout gaps: frames sent after they had to be played, by diagnosed cause.",
    &["worker", "cause"],
    WORKER,
);

/// Frames that came late. The guide has none; its cause is what tells a team what to do.
pub const LATE_FRAMES: Entry = counter(
    "voxprobe_late_frames_total",
    "Frames that came later than one frame and diagnosis.threshold after the one before (paced \
     streams), or left a playout gap (any stream), by diagnosed cause.",
    &["worker", "cause"],
    WORKER,
);

/// Frames that were numbered and never sent.
pub const AUDIO_FRAME_DROPS: Entry = counter(
    "worker_audio_frame_drops_total",
    "Audio frames missing from the sequence numbers of a stream.",
    &["worker", "reason"],
    WORKER,
);

/// Models resident now.
pub const MODEL_RESIDENT: Entry = gauge(
    "worker_model_manager_resident_count",
    "Models resident in the worker, as it last said itself, else loads less unloads.",
    &["worker"],
    WORKER,
);

/// Models loaded.
pub const MODEL_LOADS: Entry = counter(
    "worker_model_manager_loads_total",
    "Models loaded.",
    &["worker", "model_id"],
    MODEL,
);

/// Models unloaded.
pub const MODEL_UNLOADS: Entry = counter(
    "worker_model_manager_unloads_total",
    "Models unloaded or evicted.",
    &["worker", "model_id", "reason"],
    MODEL,
);

/// How long a load took.
pub const MODEL_LOAD_DURATION: Entry = histogram(
    "worker_model_manager_load_duration_ms",
    "Duration of a model load, in milliseconds: the worker's own figure, else from the first open to \
     the last read of its weights files, else the call's duration.",
    &["worker", "model_id"],
    MODEL,
    &[1000.0, 2000.0, 5000.0, 10_000.0],
);

/// End of the load to the first answer for the model.
pub const MODEL_WARMUP_DURATION: Entry = histogram(
    "worker_model_manager_warmup_duration_ms",
    "Time from the end of a model load to the worker's first answer for that model, in milliseconds.",
    &["worker", "model_id"],
    MODEL,
    &[100.0, 300.0, 500.0, 1000.0],
);

/// Control commands received.
pub const CONTROL_COMMANDS: Entry = counter(
    "worker_control_commands_total",
    "Control commands received.",
    &["worker", "command"],
    WORKER,
);

/// Command received to response sent.
pub const CONTROL_LATENCY: Entry = histogram(
    "worker_control_latency_ms",
    "Time from a control command received to its response sent, in milliseconds.",
    &["worker", "command"],
    WORKER,
    &[5.0, 10.0, 20.0, 50.0],
);

/// Command received to effect on the audio. Buckets: those of the latency, and on to a second,
/// because a worker that ignores a command goes on for as long as its utterance lasts.
pub const CONTROL_EFFECT: Entry = histogram(
    "worker_control_effect_ms",
    "Time from a control command received to its effect on the audio, in milliseconds: PAUSE and \
     STOP to the last frame sent, RESUME to the next frame sent.",
    &["worker", "command"],
    WORKER,
    &[5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0],
);

/// Every metric of this file.
pub const ALL: &[&Entry] = &[
    &SESSIONS_ACTIVE,
    &SYNTHESIS_REQUESTS,
    &SYNTHESIS_DURATION,
    &INFERENCE_LATENCY,
    &INFERENCE_RTF,
    &INFERENCE_QUEUE_DEPTH,
    &AUDIO_FRAMES_EMITTED,
    &AUDIO_FRAME_JITTER,
    &AUDIO_FRAME_LATENESS,
    &AUDIO_UNDERRUNS,
    &LATE_FRAMES,
    &AUDIO_FRAME_DROPS,
    &MODEL_RESIDENT,
    &MODEL_LOADS,
    &MODEL_UNLOADS,
    &MODEL_LOAD_DURATION,
    &MODEL_WARMUP_DURATION,
    &CONTROL_COMMANDS,
    &CONTROL_LATENCY,
    &CONTROL_EFFECT,
];

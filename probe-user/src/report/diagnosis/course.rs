//! How the watch went over time: what the charts show.

use probe_core::diagnose::{Course, GpuCourse, StreamCourse};
use serde::Serialize;

use super::ms;

/// Streams told, those that were late by most first: more than fit on a screen tell nobody anything.
const STREAMS: usize = 24;

/// How it went over time, in columns of one width.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CourseRow {
    /// Width of a column; 0 where nothing is known.
    pub column_ms: f64,
    /// Streams, the one that was late by most first.
    pub streams: Vec<StreamRow>,
    /// Streams that are not among them.
    pub streams_left_out: u64,
    /// How long the intervals were that paced streams left between frames.
    pub intervals: Vec<IntervalRow>,
    /// GPUs that watched processes use.
    pub gpus: Vec<GpuRow>,
}

/// One stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamRow {
    /// Label `worker`.
    pub worker: String,
    /// Session; `null` when unknown.
    pub session: Option<String>,
    /// Frames with audio.
    pub frames: u64,
    /// Those that were late.
    pub late_frames: u64,
    /// By how much, all together.
    pub late_ms: f64,
    /// Longest interval that ended in each column.
    pub longest_ms: Vec<Option<f64>>,
    /// Columns with a late frame.
    pub late: Vec<LateRow>,
}

/// The frame that was late by most in one column.
#[derive(Clone, Debug, Serialize)]
pub struct LateRow {
    /// Number of the column, from 0.
    pub column: usize,
    /// By how much.
    pub ms: f64,
    /// Why.
    pub cause: &'static str,
}

/// Intervals of about one length.
#[derive(Clone, Debug, Serialize)]
pub struct IntervalRow {
    /// The length.
    pub ms: f64,
    /// How many.
    pub count: u64,
}

/// One GPU, column by column; `null` where nothing was read.
#[derive(Clone, Debug, Serialize)]
pub struct GpuRow {
    /// Label `gpu_id`.
    pub gpu: String,
    /// Product name.
    pub name: String,
    /// Most time with a kernel running, percent.
    pub busy_percent: Vec<Option<u32>>,
    /// Most of it that processes not watched used, percent.
    pub others_percent: Vec<Option<u32>>,
    /// Slowest clock of its multiprocessors.
    pub clock_mhz: Vec<Option<f64>>,
    /// NVML's reasons for slower clocks, those that hurt; 0 for none.
    pub throttle_reasons: Vec<u64>,
}

impl CourseRow {
    pub(super) fn new(course: &Course) -> Self {
        let streams = course.streams();
        let left_out = streams.len().saturating_sub(STREAMS) as u64 + course.streams_beyond();
        let counts = course.intervals().counts().into_iter();
        Self {
            column_ms: ms(course.width_ns()),
            streams: streams.into_iter().take(STREAMS).map(stream).collect(),
            streams_left_out: left_out,
            intervals: counts
                .map(|(ns, count)| IntervalRow { ms: ms(ns), count })
                .collect(),
            gpus: course.gpus().iter().map(gpu).collect(),
        }
    }
}

fn stream(stream: &StreamCourse) -> StreamRow {
    let columns = stream.columns().iter();
    let late = columns.clone().enumerate().filter_map(|(column, frames)| {
        frames.late.map(|(ns, cause)| LateRow {
            column,
            ms: ms(ns),
            cause: cause.label(),
        })
    });
    StreamRow {
        worker: stream.worker.to_string(),
        session: stream.session.as_ref().map(ToString::to_string),
        frames: stream.frames,
        late_frames: stream.late_frames,
        late_ms: ms(stream.late_ns),
        late: late.collect(),
        longest_ms: columns.map(|frames| frames.longest_ns.map(ms)).collect(),
    }
}

fn gpu(gpu: &GpuCourse) -> GpuRow {
    let columns = gpu.columns().iter();
    let clocks = columns.clone().map(|column| column.clock_hertz);
    GpuRow {
        gpu: gpu.id.clone(),
        name: gpu.name.clone(),
        busy_percent: columns.clone().map(|column| column.busy_percent).collect(),
        others_percent: columns
            .clone()
            .map(|column| column.others_percent)
            .collect(),
        clock_mhz: clocks
            .map(|hertz| hertz.map(|hertz| hertz as f64 / 1e6))
            .collect(),
        throttle_reasons: columns.map(|column| column.throttle_reasons).collect(),
    }
}

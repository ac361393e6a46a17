//! How a watch went over time: the intervals of each stream, and what its GPUs did. It explains
//! nothing; a report draws it.
//!
//! Time is cut into at most [`COLUMNS`] columns; when a watch outgrows them, their width doubles and
//! each two become one. So a watch of any length takes the same memory.

mod columns;
mod intervals;

use std::collections::{HashMap, HashSet};

pub use columns::COLUMNS;
pub use intervals::Intervals;

use columns::{Column, Columns};

use super::cause::Cause;
use super::context::{harmful, others};
use super::finding::Finding;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::model::SentFrame;
use crate::record::{GpuSample, KtimeNs};

/// Nanoseconds of a column at first: one usual frame.
const FIRST_WIDTH_NS: u64 = 20_000_000;

/// Streams whose course is kept. Of later ones only the number is known.
const MAX_STREAMS: usize = 256;

/// Later streams that are told apart when they are counted.
const MAX_BEYOND: usize = 65_536;

/// GPUs whose course is kept: as many as one machine has.
const MAX_GPUS: usize = 16;

/// A watch over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    since: KtimeNs,
    width_ns: u64,
    streams: HashMap<CallId, StreamCourse>,
    beyond: HashSet<CallId>,
    gpus: Vec<GpuCourse>,
    intervals: Intervals,
}

/// One stream over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCourse {
    /// Label `worker`.
    pub worker: Id,
    /// Session; `None` when unknown.
    pub session: Option<Id>,
    /// When its first frame was sent.
    pub first: KtimeNs,
    /// Frames with audio.
    pub frames: u64,
    /// Those that were late.
    pub late_frames: u64,
    /// By how much, all together, nanoseconds.
    pub late_ns: u64,
    columns: Columns<Frames>,
}

/// The frames that a stream sent in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Longest interval that ended in it, nanoseconds; `None` without one.
    pub longest_ns: Option<u64>,
    /// By how much its latest frame was late, nanoseconds, and why.
    pub late: Option<(u64, Cause)>,
}

/// One GPU over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuCourse {
    /// Label `gpu_id`.
    pub id: String,
    /// Product name.
    pub name: String,
    columns: Columns<Readings>,
}

/// What NVML read of a GPU in one column. `None` where it read nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Most time with a kernel running, percent.
    pub busy_percent: Option<u32>,
    /// Most of it that processes not watched used, percent.
    pub others_percent: Option<u32>,
    /// Slowest clock of its multiprocessors, hertz.
    pub clock_hertz: Option<u64>,
    /// NVML's reasons for slower clocks, those that hurt; 0 for none.
    pub throttle_reasons: u64,
}

impl Course {
    /// A watch that begins.
    pub(super) fn new(since: KtimeNs) -> Self {
        Self {
            since,
            width_ns: FIRST_WIDTH_NS,
            streams: HashMap::new(),
            beyond: HashSet::new(),
            gpus: Vec::new(),
            intervals: Intervals::default(),
        }
    }

    /// Nanoseconds of a column.
    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// Every stream whose course is kept, the one that was late by most first.
    pub fn streams(&self) -> Vec<&StreamCourse> {
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by_key(|(call, stream)| {
            let name = (&stream.worker, &stream.session, stream.first);
            (std::cmp::Reverse(stream.late_ns), name, call.stream)
        });
        streams.into_iter().map(|(_, stream)| stream).collect()
    }

    /// How many other streams were seen, as far as they were told apart.
    pub fn streams_beyond(&self) -> u64 {
        self.beyond.len() as u64
    }

    /// GPUs that watched processes use, in NVML's order.
    pub fn gpus(&self) -> &[GpuCourse] {
        &self.gpus
    }

    /// Intervals of the streams that send one frame at a time.
    pub fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    pub(super) fn add_frame(&mut self, frame: &SentFrame<'_>) {
        let column = self.column(frame.at);
        if let Some(interval_ns) = frame.interval_ns.filter(|_| !frame.is_burst) {
            self.intervals.add(interval_ns);
        }
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&frame.call) {
            if self.beyond.len() < MAX_BEYOND {
                self.beyond.insert(frame.call);
            }
            return;
        }
        let stream = self
            .streams
            .entry(frame.call)
            .or_insert_with(|| StreamCourse {
                worker: frame.worker.clone(),
                session: None,
                first: frame.at,
                frames: 0,
                late_frames: 0,
                late_ns: 0,
                columns: Columns::default(),
            });
        if stream.session.is_none() {
            stream.session = frame.session.cloned();
        }
        stream.frames += 1;
        if let Some(column) = stream.columns.at(column) {
            column.longest_ns = column.longest_ns.max(frame.interval_ns);
        }
    }

    pub(super) fn add_late(&mut self, finding: &Finding) {
        let (at, excess_ns) = (finding.late.at, finding.late.excess_ns);
        let column = self.column(at);
        let Some(stream) = self.streams.get_mut(&finding.late.call) else {
            return;
        };
        stream.late_frames += 1;
        stream.late_ns = stream.late_ns.saturating_add(excess_ns);
        if let Some(column) = stream.columns.at(column) {
            column.late = latest(column.late, Some((excess_ns, finding.verdict.cause)));
        }
    }

    pub(super) fn add_sample(&mut self, sample: &GpuSample) {
        let column = self.column(sample.at);
        for gpu in &sample.gpus {
            let known = self.gpus.iter().position(|one| one.id == gpu.id);
            let is_used = gpu.processes.iter().any(|one| one.watched.is_some());
            let index = match known {
                Some(index) => index,
                None if is_used && self.gpus.len() < MAX_GPUS => {
                    self.gpus.push(GpuCourse {
                        id: gpu.id.clone(),
                        name: gpu.name.clone(),
                        columns: Columns::default(),
                    });
                    self.gpus.len() - 1
                }
                None => continue,
            };
            let lane = self.gpus.get_mut(index);
            if let Some(readings) = lane.and_then(|lane| lane.columns.at(column)) {
                readings.join(Readings {
                    busy_percent: gpu.readings.utilization_percent,
                    others_percent: others(gpu).map(|(_, percent)| percent),
                    clock_hertz: gpu.readings.sm_clock_hertz,
                    throttle_reasons: harmful(gpu),
                });
            }
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &Id) {
        let streams = self.streams.values_mut();
        for stream in streams.filter(|stream| stream.worker.as_str() == from) {
            stream.worker = to.clone();
        }
    }

    /// The column of a time; makes the columns wider until it has one.
    fn column(&mut self, at: KtimeNs) -> usize {
        let after = at.since(self.since);
        while after / self.width_ns >= COLUMNS as u64 {
            self.width_ns = self.width_ns.saturating_mul(2);
            for stream in self.streams.values_mut() {
                stream.columns.halve();
            }
            for gpu in &mut self.gpus {
                gpu.columns.halve();
            }
        }
        (after / self.width_ns) as usize
    }
}

impl StreamCourse {
    /// What it sent, column by column; it sent nothing after the last one.
    pub fn columns(&self) -> &[Frames] {
        self.columns.all()
    }
}

impl GpuCourse {
    /// What was read, column by column; nothing was after the last one.
    pub fn columns(&self) -> &[Readings] {
        self.columns.all()
    }
}

impl Column for Frames {
    fn join(&mut self, later: Self) {
        self.longest_ns = self.longest_ns.max(later.longest_ns);
        self.late = latest(self.late, later.late);
    }
}

impl Column for Readings {
    fn join(&mut self, later: Self) {
        self.busy_percent = self.busy_percent.max(later.busy_percent);
        self.others_percent = self.others_percent.max(later.others_percent);
        let clocks = [self.clock_hertz, later.clock_hertz];
        self.clock_hertz = clocks.into_iter().flatten().min();
        self.throttle_reasons |= later.throttle_reasons;
    }
}

/// The one of two late frames that was late by more.
fn latest(one: Option<(u64, Cause)>, other: Option<(u64, Cause)>) -> Option<(u64, Cause)> {
    [one, other].into_iter().flatten().max_by_key(|(ns, _)| *ns)
}

#[cfg(test)]
mod tests;

//! Why frames were late, as text for people and as JSON for programs.
//!
//! The JSON is `config/diagnosis.schema.json`: fields may be added within version 1, none leaves or
//! changes its meaning. Times are milliseconds, but for `seconds` and `at_seconds`.

mod course;
mod html;
mod text;
mod words;

use std::collections::BTreeSet;

use probe_core::{
    diagnose::{BlockedTime, Cause, Course, Finding, GpuTrouble, Kind, Part, Summary, Tally},
    interpret::Id,
    record::{KtimeNs, Thread, Wait},
};
use serde::Serialize;

pub use course::{CourseRow, GpuRow, IntervalRow, LateRow, StreamRow};

/// Name and version of the JSON's form.
const SCHEMA: &str = "voxprobe.diagnosis/1";

/// Parts of an interval and of its lateness that are shown, nanoseconds: less explains nothing.
const SHOWN_NS: u64 = 10_000;

/// Everything a diagnosis says.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Name and version of this form.
    pub schema: &'static str,
    /// When it began, on the kernel's monotonic clock; 0 where nothing was watched.
    pub started_ktime_ns: u64,
    /// How long it watched.
    pub seconds: f64,
    /// Whether scheduling was followed. Without it most causes are `unknown`.
    pub scheduling: bool,
    /// Why it was not, where it was wanted.
    pub unavailable: Option<String>,
    /// Frames with audio that were seen.
    pub frames: u64,
    /// Those that came late.
    pub late_frames: u64,
    /// Those that left a gap in the listener's audio.
    pub underruns: u64,
    /// By how much they were late, all together.
    pub late_ms: f64,
    /// Over all workers, the cause that took most time first.
    pub causes: Vec<CauseRow>,
    /// Late frames by how much of their interval has no cause.
    pub unexplained: Vec<UnexplainedRow>,
    /// By name.
    pub workers: Vec<WorkerRow>,
    /// The frames that were late by most, with their evidence.
    pub worst: Vec<FrameRow>,
    /// How it went over time.
    pub course: CourseRow,
}

/// One cause.
#[derive(Clone, Debug, Serialize)]
pub struct CauseRow {
    /// As in the label `cause`.
    pub cause: &'static str,
    /// In words.
    pub title: &'static str,
    /// What to do next.
    pub next_step: String,
    /// Late frames.
    pub late_frames: u64,
    /// Those that left a gap.
    pub underruns: u64,
    /// By how much they were late, all together.
    pub late_ms: f64,
}

/// Late frames of whose interval about as much has no cause.
#[derive(Clone, Debug, Serialize)]
pub struct UnexplainedRow {
    /// Part of the interval, percent.
    pub percent: u8,
    /// How many.
    pub late_frames: u64,
}

/// One worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerRow {
    /// Label `worker`.
    pub worker: String,
    /// Frames with audio.
    pub frames: u64,
    /// Its causes, as above.
    pub causes: Vec<CauseRow>,
}

/// One late frame.
#[derive(Clone, Debug, Serialize)]
pub struct FrameRow {
    /// Label `worker`.
    pub worker: String,
    /// Session; `null` when unknown.
    pub session: Option<String>,
    /// Process.
    pub process: u32,
    /// Thread that sent it; `null` when unknown.
    pub thread: Option<u32>,
    /// Number of the frame in its stream.
    pub frame: u64,
    /// When it was sent, from the start of the watch.
    pub at_seconds: f64,
    /// From the frame before.
    pub interval_ms: f64,
    /// By how much it was late.
    pub late_ms: f64,
    /// By how much the listener's audio had run out.
    pub underrun_ms: f64,
    /// Why.
    pub cause: &'static str,
    /// Lateness by cause.
    pub shares: Vec<ShareRow>,
    /// The whole interval by what the thread, and those it waited for, did. Empty when unknown.
    pub evidence: Vec<EvidenceRow>,
    /// What its GPUs did meanwhile, in words.
    pub gpus: Vec<String>,
    /// What TCP did on its connection meanwhile; `null` for nothing.
    pub tcp: Option<TcpRow>,
    /// For how long it found no room after it was due; `null` for not at all.
    pub blocked: Option<BlockedRow>,
}

/// What TCP did on a connection.
#[derive(Clone, Debug, Serialize)]
pub struct TcpRow {
    /// Segments sent again.
    pub resent: u64,
    /// For how long the receiver's window was full.
    pub window_full_ms: f64,
    /// For how long bytes were sent or waiting and not acknowledged.
    pub unacknowledged_ms: f64,
}

/// For how long a frame found no room.
#[derive(Clone, Debug, Serialize)]
pub struct BlockedRow {
    /// In the socket.
    pub socket_ms: f64,
    /// In its stream's HTTP/2 window.
    pub stream_window_ms: f64,
    /// In its connection's HTTP/2 window.
    pub connection_window_ms: f64,
}

/// Lateness by one cause.
#[derive(Clone, Debug, Serialize)]
pub struct ShareRow {
    /// As in the label `cause`.
    pub cause: &'static str,
    /// Time.
    pub ms: f64,
}

/// Part of an interval.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceRow {
    /// What it was.
    pub kind: &'static str,
    /// Time.
    pub ms: f64,
    /// Longest single stretch.
    pub longest_ms: f64,
    /// Thread whose longest stretch it was.
    pub thread: u32,
    /// What that thread was inside.
    pub inside: Option<&'static str>,
    /// Syscall number of the machine.
    pub syscall: Option<u32>,
    /// Who else had a part: ran instead, held the lock, woke it.
    pub other: Option<ThreadRow>,
}

/// A thread.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadRow {
    /// Process.
    pub process: u32,
    /// Thread.
    pub thread: u32,
    /// The thread's name.
    pub name: String,
}

impl Diagnosis {
    /// Of what was found, and how it went.
    pub fn new(summary: &Summary, course: Option<&Course>) -> Self {
        let since = summary.since.unwrap_or_default();
        let causes = summary.by_cause();
        let sum = |of: fn(&Tally) -> u64| causes.iter().map(|(_, tally)| of(tally)).sum();
        Self {
            schema: SCHEMA,
            started_ktime_ns: since.0,
            seconds: summary.until.unwrap_or(since).since(since) as f64 / 1e9,
            scheduling: summary.scheduling,
            unavailable: None,
            frames: summary.frames.values().sum(),
            late_frames: summary.late_frames(),
            underruns: sum(|tally| tally.underruns),
            late_ms: ms(sum(|tally| tally.excess_ns)),
            causes: rows(causes),
            unexplained: summary
                .unexplained
                .iter()
                .map(|(percent, frames)| UnexplainedRow {
                    percent: *percent,
                    late_frames: *frames,
                })
                .collect(),
            workers: workers(summary),
            worst: summary
                .worst
                .iter()
                .map(|finding| FrameRow::new(finding, since))
                .collect(),
            course: course.map_or_else(CourseRow::default, CourseRow::new),
        }
    }

    /// Whether no frame was late.
    pub fn is_healthy(&self) -> bool {
        self.late_frames == 0
    }
}

fn workers(summary: &Summary) -> Vec<WorkerRow> {
    let late = summary.causes.keys().map(|(worker, _)| worker);
    let names: BTreeSet<&Id> = summary.frames.keys().chain(late).collect();
    let row = |worker: &Id| {
        let of = summary
            .causes
            .iter()
            .filter(|((name, _), _)| name == worker);
        let mut causes: Vec<_> = of.map(|((_, cause), tally)| (*cause, *tally)).collect();
        causes.sort_by_key(|(cause, tally)| (std::cmp::Reverse(tally.excess_ns), *cause));
        WorkerRow {
            worker: worker.to_string(),
            frames: summary.frames.get(worker).copied().unwrap_or(0),
            causes: rows(causes),
        }
    };
    names.into_iter().map(row).collect()
}

fn rows(causes: Vec<(Cause, Tally)>) -> Vec<CauseRow> {
    let row = |(cause, tally): (Cause, Tally)| {
        let rule = cause.rule();
        CauseRow {
            cause: rule.label,
            title: rule.title,
            next_step: rule.next_step.to_owned(),
            late_frames: tally.frames,
            underruns: tally.underruns,
            late_ms: ms(tally.excess_ns),
        }
    };
    causes.into_iter().map(row).collect()
}

impl FrameRow {
    fn new(finding: &Finding, since: KtimeNs) -> Self {
        let Finding {
            late,
            verdict,
            thread,
            account,
        } = finding;
        let parts = account.iter().flat_map(|account| account.parts());
        Self {
            worker: late.worker.to_string(),
            session: late.session.as_ref().map(ToString::to_string),
            process: late.process.0,
            thread: *thread,
            frame: late.frame,
            at_seconds: late.at.since(since) as f64 / 1e9,
            interval_ms: ms(late.interval_ns()),
            late_ms: ms(late.excess_ns),
            underrun_ms: ms(late.underrun_ns),
            cause: verdict.cause.label(),
            shares: verdict
                .shares
                .iter()
                .filter(|(_, ns)| *ns >= SHOWN_NS)
                .map(|(cause, ns)| ShareRow {
                    cause: cause.label(),
                    ms: ms(*ns),
                })
                .collect(),
            evidence: parts
                .filter(|(_, part)| part.ns >= SHOWN_NS)
                .map(|(kind, part)| EvidenceRow::new(kind, part))
                .collect(),
            gpus: verdict.gpus.iter().map(trouble).collect(),
            tcp: verdict.tcp.map(|tcp| TcpRow {
                resent: tcp.resent,
                window_full_ms: ms(tcp.window_full_ns),
                unacknowledged_ms: ms(tcp.unacknowledged_ns),
            }),
            blocked: BlockedRow::new(&verdict.blocked),
        }
    }
}

impl BlockedRow {
    fn new(time: &BlockedTime) -> Option<Self> {
        (*time != BlockedTime::default()).then(|| Self {
            socket_ms: ms(time.socket_ns),
            stream_window_ms: ms(time.stream_window_ns),
            connection_window_ms: ms(time.connection_window_ns),
        })
    }
}

impl EvidenceRow {
    fn new(kind: Kind, part: &Part) -> Self {
        Self {
            kind: kind.as_str(),
            ms: ms(part.ns),
            longest_ms: ms(part.longest_ns),
            thread: part.thread,
            inside: (part.wait != Wait::User).then(|| part.wait.as_str()),
            syscall: part.syscall,
            other: part
                .other
                .as_ref()
                .map(|Thread { tgid, tid, comm }| ThreadRow {
                    process: tgid.0,
                    thread: *tid,
                    name: comm.clone(),
                }),
        }
    }
}

fn trouble(trouble: &GpuTrouble) -> String {
    match trouble {
        GpuTrouble::Failed { gpu, xid } => format!("GPU {gpu} reported an error (XID {xid})"),
        GpuTrouble::Throttled { gpu, reasons } => {
            format!("GPU {gpu} ran below its clock (NVML reasons {reasons:#x})")
        }
        GpuTrouble::Shared { gpu, pid, percent } => {
            format!("GPU {gpu}: processes not watched used {percent} %, most of it pid {pid}")
        }
    }
}

fn ms(ns: u64) -> f64 {
    // Three digits: microseconds are as fine as the evidence is.
    (ns as f64 / 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;

//! Why frames were late: the account of what the thread that sent a frame, and those it waited for,
//! did since the frame before, and the cause that this proves.
//!
//! Takes scheduling records, CPU quotas, GPU samples, model loads and the late frames the model found;
//! gives [`Finding`]s, their [`Summary`], and the label `cause` of the metrics. The causes are a closed
//! list ([`RULES`]). A frame is judged [`JUDGED_AFTER_NS`] after it was sent, when what the kernel tells
//! afterwards is there, and the next reading of its GPUs; this depends on records and ticks only, so that a replay gives the same causes.
//!
//! Evidence that is missing makes a cause `unknown`; evidence that does not single out one makes it
//! `unexplained`.

mod account;
mod cause;
mod context;
mod course;
mod finding;
mod judge;
mod timelines;

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt as _};

pub use account::{Account, Kind, Part};
pub use cause::{Cause, RULES, Rule};
pub use context::{BlockedTime, GpuTrouble, TcpTrouble, harmful};
pub use course::{COLUMNS, Course, Frames, GpuCourse, Intervals, Readings, StreamCourse};
pub use finding::{Finding, RECENT, Recent, Summary, Tally, WORST};
pub use judge::Verdict;

use account::account;
use context::Context;
use judge::judge;
use timelines::Timelines;

use crate::flow::Blocked;
use crate::interpret::{Event, Id, What};
use crate::metrics::Metrics;
use crate::model::{LateFrame, SentFrame};
use crate::record::{
    Chunk, ConnectionId, CpuQuota, Direction, Evidence, GpuSample, KtimeNs, Process, Role, Sched,
    Side, TcpReading, Tgid,
};

/// Nanoseconds between a late frame and its judgement: longer than a CPU quota's period with a reading
/// of it, and than short stretches are summed.
pub const JUDGED_AFTER_NS: u64 = 300_000_000;

/// Nanoseconds for which the judgement of a frame waits for the next reading of its GPUs: longer than
/// they usually are apart.
const GPU_WAIT_NS: u64 = 1_500_000_000;

/// Nanoseconds between a thread's coming back to a CPU and the send of what it made ready.
const JUST_NOW_NS: u64 = 2_000_000;

/// Late frames that wait to be judged. More are judged at once, with the evidence there is.
const MAX_PENDING: usize = 4096;

/// Connections whose sending threads are remembered.
const MAX_SENDERS: usize = 65_536;

/// Sends remembered of one connection: a chunk may be held back until its place in the stream is
/// known, so that the frame's call is not always the last one.
const MAX_SENDS: usize = 32;

/// The diagnosis of a run.
#[derive(Debug)]
pub struct Diagnosis {
    metrics: Metrics,
    timelines: Timelines,
    context: Context,
    /// Entry time and thread of each connection's last sends.
    senders: HashMap<ConnectionId, VecDeque<(KtimeNs, u32)>>,
    /// Workers by process, for the count of their frames.
    workers: HashMap<Tgid, Id>,
    pending: VecDeque<Pending>,
    is_on: bool,
    /// The only worker that goes into the summary.
    only: Option<Id>,
    summary: Summary,
    reports: bool,
    /// Since the start, where a report is wanted.
    course: Option<Course>,
}

/// A late frame that waits to be judged.
#[derive(Debug)]
struct Pending {
    late: LateFrame,
    /// Thread that sent it.
    thread: Option<u32>,
}

impl Diagnosis {
    /// A diagnosis that counts causes in `metrics`; off until [`Self::start`].
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            timelines: Timelines::default(),
            context: Context::default(),
            senders: HashMap::new(),
            workers: HashMap::new(),
            pending: VecDeque::new(),
            is_on: false,
            only: None,
            summary: Summary::default(),
            reports: false,
            course: None,
        }
    }

    /// Whether late frames are diagnosed.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// What was found so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How the watch went over time, where that is kept.
    pub fn course(&self) -> Option<&Course> {
        self.course.as_ref()
    }

    /// A report is wanted: late frames are diagnosed even where scheduling is not followed, and how
    /// the watch goes over time is kept.
    pub fn want_report(&mut self) {
        self.reports = true;
    }

    /// Whether late frames are to be diagnosed with this evidence.
    pub fn is_wanted(&self, evidence: &Evidence) -> bool {
        evidence.stretch_ns.is_some() || self.reports
    }

    /// Only this worker goes into the summary. The metrics have all of them.
    pub fn narrow(&mut self, worker: Id) {
        self.only = Some(worker);
    }

    /// There is evidence from now on.
    pub fn start(&mut self, evidence: &Evidence) {
        self.is_on = true;
        self.summary.since.get_or_insert(evidence.at);
        self.summary.scheduling |= evidence.stretch_ns.is_some();
        if self.reports {
            self.course.get_or_insert_with(|| Course::new(evidence.at));
        }
    }

    /// A process is watched.
    pub fn handle_process(&mut self, process: &Process) {
        let name = Id::new(&process.name).filter(|_| process.role == Role::Worker);
        if let Some(name) = name {
            self.summary.frames.entry(name.clone()).or_default();
            self.workers.insert(process.tgid, name);
        }
    }

    /// Every process of one name has another from now on.
    pub fn handle_renamed(&mut self, from: &str, to: &str) {
        let Some(to) = Id::new(to) else {
            return;
        };
        let is = |worker: &Id| worker.as_str() == from;
        for worker in self.workers.values_mut().filter(|worker| is(worker)) {
            *worker = to.clone();
        }
        for pending in self.pending.iter_mut().filter(|it| is(&it.late.worker)) {
            pending.late.worker = to.clone();
        }
        if let Some(course) = &mut self.course {
            course.rename(from, &to);
        }
        if let Some(frames) = self.summary.frames.remove(from) {
            *self.summary.frames.entry(to).or_default() += frames;
        }
    }

    /// A process ended: what it left is judged now.
    pub fn handle_process_ended(&mut self, tgid: Tgid) {
        let (left, others) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<VecDeque<_>, _>(|pending| pending.late.process == tgid);
        self.pending = others;
        for pending in left {
            self.settle(pending);
        }
        self.timelines.remove(tgid);
        self.context.remove(tgid);
        self.workers.remove(&tgid);
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, connection: ConnectionId) {
        self.senders.remove(&connection);
        self.context.remove_connection(connection);
    }

    /// Bytes moved.
    pub fn handle_chunk(&mut self, chunk: &Chunk<'_>) {
        if !self.is_on || chunk.direction != Direction::Sent {
            return;
        }
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&chunk.connection) {
            return;
        }
        let sends = self.senders.entry(chunk.connection).or_default();
        if sends.len() >= MAX_SENDS {
            sends.pop_front();
        }
        sends.push_back((chunk.enter, chunk.tid));
        self.context.add_sent(chunk.connection, chunk.enter);
    }

    /// A send found no room in the socket.
    pub fn handle_refused(&mut self, connection: ConnectionId, at: KtimeNs) {
        let sends = self.senders.get(&connection);
        let is_over = sends
            .and_then(VecDeque::back)
            .is_some_and(|(enter, _)| *enter > at);
        if self.is_on && sends.is_some() && !is_over {
            self.context.add_refused(connection, at);
        }
    }

    /// A thread is on a CPU again.
    pub fn handle_sched(&mut self, sched: &Sched) {
        self.timelines.add(sched.clone());
    }

    /// A CPU quota was used up.
    pub fn handle_quota(&mut self, quota: &CpuQuota) {
        self.context.add_quota(*quota);
    }

    /// TCP counted something on a connection.
    pub fn handle_tcp(&mut self, reading: &TcpReading) {
        self.context.add_tcp(*reading);
    }

    /// What a process had to send found no room.
    pub fn handle_blocked(&mut self, blocked: Blocked) {
        if self.is_on {
            self.context.add_blocked(blocked);
        }
    }

    /// GPU readings came.
    pub fn handle_gpus(&mut self, sample: &GpuSample) {
        self.context.add_sample(sample);
        if let Some(course) = &mut self.course {
            course.add_sample(sample);
        }
    }

    /// Something happened in the voice system.
    pub fn handle_event(&mut self, event: &Event) {
        if event.role != Role::Worker || event.side != Side::Server {
            return;
        }
        match &event.what {
            What::Frame(frame) if frame.audio_bytes.is_some_and(|bytes| bytes > 0) => {
                let worker = self.workers.get(&event.process);
                if let Some(frames) = worker.and_then(|it| self.summary.frames.get_mut(it)) {
                    *frames += 1;
                }
            }
            What::ModelLoaded {
                received: Some(received),
                ..
            } => self.context.add_load(event.process, *received, event.at),
            _ => {}
        }
    }

    /// A stream sent a frame.
    pub fn handle_frame(&mut self, frame: &SentFrame<'_>) {
        let is_told = self.only.as_ref().is_none_or(|only| only == frame.worker);
        if let Some(course) = self.course.as_mut().filter(|_| is_told) {
            course.add_frame(frame);
        }
    }

    /// The model found a late frame.
    pub fn handle_late(&mut self, late: LateFrame) {
        if self.pending.len() >= MAX_PENDING
            && let Some(oldest) = self.pending.pop_front()
        {
            self.settle(oldest);
        }
        let sends = self.senders.get(&late.call.connection);
        let mut sends = sends.into_iter().flatten().rev();
        let thread = sends
            .find(|(enter, _)| *enter == late.at)
            .map(|(_, tid)| *tid);
        self.pending.push_back(Pending { late, thread });
    }

    /// Time passed: frames whose time has come are judged.
    pub fn handle_tick(&mut self, at: KtimeNs) {
        self.summary.until = self.summary.until.max(Some(at));
        let is_due = |context: &Context, late: &LateFrame| {
            let waited_ns = at.since(late.at);
            waited_ns >= GPU_WAIT_NS
                || waited_ns >= JUDGED_AFTER_NS && !context.awaits_sample(late.process, late.at)
        };
        while let Some(pending) = self
            .pending
            .pop_front_if(|pending| is_due(&self.context, &pending.late))
        {
            self.settle(pending);
        }
        self.timelines.expire(at);
    }

    /// Nothing more comes: everything is judged.
    pub fn finish(&mut self) {
        while let Some(pending) = self.pending.pop_front() {
            self.settle(pending);
        }
    }

    fn settle(&mut self, Pending { late, thread }: Pending) {
        let of = |tid| {
            let (from, until) = (late.previous, late.at);
            account(&self.timelines, late.process, tid, from, until)
        };
        let mut account = thread.filter(|_| self.summary.scheduling).map(of);
        let mut verdict = judge(&late, account.as_ref(), &self.context);
        // A thread that waited of its own accord was there by chance when another one, which was
        // kept from its work until just now, had the frame ready.
        if matches!(verdict.cause, Cause::OwnTimer | Cause::Unexplained) {
            let just_now = KtimeNs(late.at.0.saturating_sub(JUST_NOW_NS));
            let others = self.timelines.arrived(late.process, just_now, late.at);
            let others = others
                .into_iter()
                .filter(|tid| Some(*tid) != thread)
                .map(of);
            let most = others.max_by_key(Account::hindered_ns);
            if let Some(most) = most.filter(|most| most.hindered_ns() * 2 > late.excess_ns) {
                let other = judge(&late, Some(&most), &self.context);
                if other.cause.is_named() && other.cause != Cause::OwnTimer {
                    (account, verdict) = (Some(most), other);
                }
            }
        }
        let finding = Finding {
            late,
            verdict,
            thread,
            account,
        };
        count(&self.metrics, &finding);
        if self
            .only
            .as_ref()
            .is_none_or(|only| *only == finding.late.worker)
        {
            if let Some(course) = &mut self.course {
                course.add_late(&finding);
            }
            self.summary.add(finding);
        }
    }
}

fn count(metrics: &Metrics, finding: &Finding) {
    let labels = [finding.late.worker.as_str(), finding.verdict.cause.label()];
    metrics.worker.late_frames.with(&labels).inc();
    if finding.late.underrun_ns > 0 {
        metrics.worker.audio_underruns.with(&labels).inc();
    }
}

#[cfg(test)]
mod tests;

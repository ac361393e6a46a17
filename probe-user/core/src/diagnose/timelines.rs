//! What each watched thread did of late, as its scheduling records tell it.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::record::{KtimeNs, Left, Sched, Short, Tgid};

/// Threads followed: as many as the kernel side follows.
const MAX_THREADS: usize = probe_abi::MAX_SCHED_THREADS as usize;

/// Records kept of one thread. A busy one makes about 200 a second, so that this is more than
/// [`KEEP_NS`]; at 250 bytes each, 256 KB.
const MAX_RECORDS: usize = 1024;

/// Nanoseconds for which records are kept: longer than a listener stays with a silent stream. What a
/// single record spans is kept whole.
const KEEP_NS: u64 = 5_000_000_000;

/// A stretch of a thread's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    pub(super) start: KtimeNs,
    pub(super) end: KtimeNs,
    pub(super) what: Doing<'a>,
}

impl Stretch<'_> {
    pub(super) fn ns(&self) -> u64 {
        self.end.since(self.start)
    }
}

/// What a thread did in a stretch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing<'a> {
    /// On a CPU.
    Running,
    /// Ready, and others ran.
    Waiting(&'a Sched),
    /// Blocked.
    Blocked(&'a Sched),
    /// Many short stretches.
    Mixed(Short),
    /// Nobody knows.
    Unknown,
}

/// Every watched thread's records, by thread id.
#[derive(Debug, Default)]
pub(super) struct Timelines(HashMap<u32, Timeline>);

#[derive(Debug)]
struct Timeline {
    tgid: Tgid,
    records: VecDeque<Sched>,
}

impl Timelines {
    pub(super) fn add(&mut self, sched: Sched) {
        if !self.0.contains_key(&sched.tid) && self.0.len() >= MAX_THREADS {
            return;
        }
        let timeline = self.0.entry(sched.tid).or_insert_with(|| Timeline {
            tgid: sched.tgid,
            records: VecDeque::new(),
        });
        // The id is another process's thread now, or the records are out of order.
        let follows = timeline
            .records
            .back()
            .is_none_or(|last| last.at <= sched.since);
        if timeline.tgid != sched.tgid || !follows {
            timeline.records.clear();
            timeline.tgid = sched.tgid;
        }
        let at = sched.at;
        timeline.records.push_back(sched);
        while timeline.records.len() > MAX_RECORDS
            || timeline
                .records
                .front()
                .is_some_and(|first| at.since(first.at) > KEEP_NS)
        {
            timeline.records.pop_front();
        }
    }

    pub(super) fn remove(&mut self, tgid: Tgid) {
        self.0.retain(|_, timeline| timeline.tgid != tgid);
    }

    /// Forgets threads that did nothing for long: what they did before explains nothing any more, and
    /// their next record tells of all the time since.
    pub(super) fn expire(&mut self, now: KtimeNs) {
        self.0.retain(|_, timeline| {
            let last = timeline.records.back();
            last.is_some_and(|last| now.since(last.at) <= 2 * KEEP_NS)
        });
    }

    /// The process of a thread that is followed.
    pub(super) fn process_of(&self, tid: u32) -> Option<Tgid> {
        self.0.get(&tid).map(|timeline| timeline.tgid)
    }

    /// Threads of a process that came back to a CPU between two times, by id.
    pub(super) fn arrived(&self, tgid: Tgid, from: KtimeNs, until: KtimeNs) -> Vec<u32> {
        let of = self.0.iter().filter(|(_, timeline)| timeline.tgid == tgid);
        let arrived = of.filter(|(_, timeline)| {
            let mut latest = timeline.records.iter().rev();
            latest.any(|record| record.at >= from && record.at <= until)
        });
        let mut threads: Vec<u32> = arrived.map(|(tid, _)| *tid).collect();
        threads.sort_unstable();
        threads
    }

    /// A thread of a process that was in uninterruptible sleep all the time between two times, the one
    /// with the lowest id.
    pub(super) fn sleeper(&self, tgid: Tgid, from: KtimeNs, until: KtimeNs) -> Option<&Sched> {
        let of = self.0.values().filter(|timeline| timeline.tgid == tgid);
        let sleepers = of.filter_map(|timeline| {
            let latest = timeline.records.iter().rev();
            latest.take_while(|record| record.at > from).find(|record| {
                record.left == Left::Uninterruptible && record.off <= from && record.wake >= until
            })
        });
        sleepers.min_by_key(|record| record.tid)
    }

    /// How often a thread was woken by another one, in `futex`, within the kept records before `until`.
    pub(super) fn wakes(&self, tid: u32, waker: u32, until: KtimeNs) -> usize {
        let records = self.0.get(&tid).into_iter().flat_map(|it| &it.records);
        records
            .take_while(|record| record.at <= until)
            .filter(|record| record.waker.as_ref().is_some_and(|one| one.tid == waker))
            .count()
    }

    /// Records of a thread that ended before a time.
    pub(super) fn records_before(&self, tid: u32, until: KtimeNs) -> usize {
        let records = self.0.get(&tid).into_iter().flat_map(|it| &it.records);
        records.take_while(|record| record.at <= until).count()
    }

    /// Stretches of a thread from `from` to `until`, the last one first, without holes.
    ///
    /// After a thread's last record it is on a CPU, but for short stretches that are not told yet:
    /// a longer one would have made a record at its end. The caller vouches that the thread is on a CPU
    /// at `until`.
    pub(super) fn back(&self, tid: u32, from: KtimeNs, until: KtimeNs) -> Vec<Stretch<'_>> {
        let mut stretches = Vec::new();
        let mut cut = |start: KtimeNs, end: KtimeNs, what| {
            let (start, end) = (start.max(from), end.min(until));
            if start < end {
                stretches.push(Stretch { start, end, what });
            }
        };
        let mut known_from = until;
        let records = self.0.get(&tid).map(|timeline| &timeline.records);
        for record in records.into_iter().flatten().rev() {
            if record.at < known_from {
                let what = if known_from == until {
                    Doing::Running
                } else {
                    Doing::Unknown
                };
                cut(record.at, known_from, what);
            }
            cut(record.wake, record.at, Doing::Waiting(record));
            cut(record.off, record.wake, Doing::Blocked(record));
            cut(record.run, record.off, Doing::Running);
            let (start, end) = (record.since.max(from), record.run.min(until));
            cut(start, end, Doing::Mixed(scaled(record, start, end)));
            known_from = record.since;
            if known_from <= from {
                break;
            }
        }
        cut(from, known_from, Doing::Unknown);
        stretches
    }
}

/// The short stretches' share of a part of their time.
fn scaled(record: &Sched, start: KtimeNs, end: KtimeNs) -> Short {
    let whole = record.run.since(record.since);
    let part = end.since(start);
    if part >= whole {
        return record.short;
    }
    let share = |ns: u64| {
        let scaled = u128::from(ns) * u128::from(part) / u128::from(whole.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    Short {
        run_ns: share(record.short.run_ns),
        blocked_ns: share(record.short.blocked_ns),
        waiting_ns: share(record.short.waiting_ns),
    }
}

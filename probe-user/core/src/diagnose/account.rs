//! Where an interval went: the time of the thread that sent a frame, and of the threads it waited for,
//! walked backwards from the send along the wake-ups.

use super::timelines::{Doing, Stretch, Timelines};
use crate::record::{KtimeNs, Left, Sched, Tgid, Thread, Wait};

/// Wake-ups followed from one thread to the next: worker threads of a runtime wake one another once or
/// twice for one frame.
const MAX_DEPTH: usize = 8;

/// Stretches looked at for one frame: more than any honest interval has.
const MAX_STRETCHES: usize = 4096;

/// Nanoseconds by which a wake-up may come before its time-out and still be its timer's: the time-out
/// is reckoned from after the call's entry.
const TIMER_EARLY_NS: u64 = 200_000;

/// Longest time-out, in nanoseconds, of a thread that polls for a lock: Python asks for its
/// interpreter lock every 5 ms (`sys.setswitchinterval`).
const POLL_NS: u64 = 6_000_000;

/// Time-outs of such a thread in Python, nanoseconds: the interval less the way into the kernel. Another
/// thread hardly has the same again and again.
const ASK_NS: std::ops::RangeInclusive<u64> = 4_500_000..=5_000_000;

/// Nanoseconds on a CPU between two such polls.
const POLL_PAUSE_NS: u64 = 1_000_000;

/// Shortest wait that a frame was waiting in, nanoseconds.
const RELEASE_NS: u64 = 1_000_000;

/// Wake-ups by one thread that make it a usual waker: a pool hands work on that way frame by frame,
/// and a lock is held only now and then.
const USUAL_WAKES: usize = 3;

/// What a stretch of an interval was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The thread computed.
    OnCpu,
    /// It was ready and others ran.
    Contention,
    /// It waited for a thread of its process that was busy.
    Lock,
    /// It waited for a time it had set itself.
    Timer,
    /// The timer fired late.
    Overshoot,
    /// It waited for something from outside.
    Input,
    /// Its sends found no room.
    Backpressure,
    /// Uninterruptible sleep.
    Storage,
    /// Stopped.
    Stopped,
    /// A driver's call.
    Driver,
    /// Short waits, or waits of which nothing more is known.
    Other,
    /// The records do not tell.
    Unknown,
}

/// Number of kinds.
const KINDS: usize = 12;

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; KINDS] = [
        Self::OnCpu,
        Self::Contention,
        Self::Lock,
        Self::Timer,
        Self::Overshoot,
        Self::Input,
        Self::Backpressure,
        Self::Storage,
        Self::Stopped,
        Self::Driver,
        Self::Other,
        Self::Unknown,
    ];

    /// As written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnCpu => "on_cpu",
            Self::Contention => "waiting_for_cpu",
            Self::Lock => "lock",
            Self::Timer => "own_timer",
            Self::Overshoot => "timer_overshoot",
            Self::Input => "input",
            Self::Backpressure => "socket_full",
            Self::Storage => "disk_or_page_fault",
            Self::Stopped => "stopped",
            Self::Driver => "driver",
            Self::Other => "other_waits",
            Self::Unknown => "unknown",
        }
    }
}

/// All the time of one kind within an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Nanoseconds.
    pub ns: u64,
    /// Longest single stretch, nanoseconds.
    pub longest_ns: u64,
    /// Thread whose stretch that was.
    pub thread: u32,
    /// Who else had a part in it: ran instead, held the lock, woke it.
    pub other: Option<Thread>,
    /// What the thread was inside.
    pub wait: Wait,
    /// Syscall number, where it was in one.
    pub syscall: Option<u32>,
}

/// Where an interval went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    parts: [Part; KINDS],
    /// What ended the last wait of the thread's own choosing: its timer, or input.
    released: Option<Kind>,
}

impl Account {
    /// The time of one kind.
    pub fn part(&self, kind: Kind) -> &Part {
        let [first, ..] = &self.parts;
        self.parts.get(kind as usize).unwrap_or(first)
    }

    /// The time of one kind, nanoseconds.
    pub fn ns(&self, kind: Kind) -> u64 {
        self.part(kind).ns
    }

    /// What ended the last wait of the thread's own choosing ([`Kind::Timer`] or [`Kind::Input`]):
    /// that is what it waited for, whatever else woke it before.
    pub fn released(&self) -> Option<Kind> {
        self.released
    }

    /// Time in which the thread could not go on though it wanted to, nanoseconds.
    pub(super) fn hindered_ns(&self) -> u64 {
        let kinds = [
            Kind::Contention,
            Kind::Lock,
            Kind::Overshoot,
            Kind::Backpressure,
            Kind::Storage,
            Kind::Stopped,
            Kind::Driver,
        ];
        kinds
            .into_iter()
            .map(|kind| self.ns(kind))
            .fold(0, u64::saturating_add)
    }

    /// Kinds that took time, the longest first.
    pub fn parts(&self) -> Vec<(Kind, &Part)> {
        let mut parts: Vec<_> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.part(kind)))
            .filter(|(_, part)| part.ns > 0)
            .collect();
        parts.sort_by_key(|(kind, part)| (std::cmp::Reverse(part.ns), *kind));
        parts
    }

    fn add(&mut self, kind: Kind, ns: u64, part: impl FnOnce() -> Part) {
        if ns >= RELEASE_NS && matches!(kind, Kind::Timer | Kind::Input) {
            self.released.get_or_insert(kind);
        }
        if let Some(sum) = self.parts.get_mut(kind as usize).filter(|_| ns > 0) {
            let total = sum.ns.saturating_add(ns);
            if ns > sum.longest_ns {
                *sum = part();
                sum.longest_ns = ns;
            }
            sum.ns = total;
        }
    }
}

/// Accounts for the interval of a frame that thread `tid` of process `tgid` sent at `until`.
pub(super) fn account(
    timelines: &Timelines,
    tgid: Tgid,
    tid: u32,
    from: KtimeNs,
    until: KtimeNs,
) -> Account {
    let mut walk = Walk {
        timelines,
        tgid,
        from,
        account: Account::default(),
        stretches: 0,
    };
    walk.thread(tid, from, until, None, 0);
    walk.account
}

struct Walk<'a> {
    timelines: &'a Timelines,
    tgid: Tgid,
    /// Start of the whole interval.
    from: KtimeNs,
    account: Account,
    stretches: usize,
}

/// The lock that a thread is waited for with: what its computing then is.
type Held<'a> = Option<&'a Sched>;

impl<'a> Walk<'a> {
    fn thread(&mut self, tid: u32, from: KtimeNs, until: KtimeNs, held: Held<'a>, depth: usize) {
        // The blocked stretch that came after the one looked at, and the lock waited for in it.
        let mut later: Option<(KtimeNs, &'a Sched)> = None;
        for stretch in self.timelines.back(tid, from, until) {
            self.stretches += 1;
            let ns = stretch.ns();
            if self.stretches > MAX_STRETCHES {
                self.plain(Kind::Unknown, tid, ns);
                continue;
            }
            match stretch.what {
                Doing::Running => self.running(tid, ns, held),
                Doing::Unknown => self.plain(Kind::Unknown, tid, ns),
                Doing::Waiting(sched) => self.contended(tid, ns, sched),
                Doing::Mixed(short) => {
                    self.running(tid, short.run_ns, held);
                    self.plain(Kind::Contention, tid, short.waiting_ns);
                    self.plain(Kind::Other, tid, short.blocked_ns);
                    let told = [short.run_ns, short.waiting_ns, short.blocked_ns];
                    let told = told.into_iter().fold(0, u64::saturating_add);
                    self.plain(Kind::Unknown, tid, ns.saturating_sub(told));
                }
                Doing::Blocked(sched) => {
                    let lock = polled(sched, later).unwrap_or(sched);
                    self.blocked(tid, &stretch, sched, lock, depth);
                    later = (sched.wait == Wait::Futex).then_some((sched.off, lock));
                }
            }
        }
    }

    fn blocked(
        &mut self,
        tid: u32,
        stretch: &Stretch<'a>,
        sched: &'a Sched,
        lock: &'a Sched,
        depth: usize,
    ) {
        let polls = !std::ptr::eq(lock, sched);
        let ns = stretch.ns();
        if let Some(kind) = held_by(sched) {
            return self.blocked_in(kind, tid, ns, sched);
        }
        if sched.left == Left::Runnable {
            return self.plain(Kind::Other, tid, ns);
        }
        if polls && timed_out(lock) {
            return self.asked(tid, stretch, lock);
        }
        match sched.wait {
            Wait::Send => self.blocked_in(Kind::Backpressure, tid, ns, sched),
            Wait::Readiness if sched.refused.is_some() => {
                self.blocked_in(Kind::Backpressure, tid, ns, sched);
            }
            _ if !polls && timed_out(sched) => {
                let deadline = sched.deadline.unwrap_or(stretch.end);
                let over = stretch.end.since(deadline.max(stretch.start));
                self.timed(Kind::Timer, tid, ns.saturating_sub(over), sched);
                self.timed(Kind::Overshoot, tid, over, sched);
            }
            Wait::Futex => self.futex(tid, stretch, lock, depth),
            Wait::Readiness | Wait::Receive | Wait::File => {
                let waker = lock.waker.as_ref().filter(|_| {
                    // By a call of its own; else an interrupt came while that thread ran.
                    matches!(sched.waker_in, Wait::File | Wait::Send | Wait::Other)
                });
                match waker.filter(|waker| self.follows(waker, tid, depth)) {
                    Some(waker) => {
                        self.thread(waker.tid, stretch.start, stretch.end, None, depth + 1);
                    }
                    None => self.blocked_in(Kind::Input, tid, ns, sched),
                }
            }
            Wait::Sleep => self.timed(Kind::Timer, tid, ns, sched),
            Wait::User | Wait::Memory | Wait::Ioctl | Wait::Other => {
                self.blocked_in(Kind::Other, tid, ns, sched);
            }
        }
    }

    /// A wait for another thread: a lock it held, or work it handed over.
    fn futex(&mut self, tid: u32, stretch: &Stretch<'a>, lock: &'a Sched, depth: usize) {
        let ns = stretch.ns();
        let Some(waker) = lock.waker.as_ref().filter(|_| lock.waker_in == Wait::Futex) else {
            return self.blocked_in(Kind::Other, tid, ns, lock);
        };
        if waker.tgid != self.tgid {
            return self.blocked_in(Kind::Lock, tid, ns, lock);
        }
        // The thread went to wait within the interval, for one that does not usually wake it.
        let is_new = lock.off >= self.from
            && self.timelines.wakes(tid, waker.tid, self.from) < USUAL_WAKES
            && self.timelines.wakes(tid, waker.tid, lock.at) <= USUAL_WAKES;
        if is_new && depth == 0 && self.has_history(tid) {
            return self.held(waker.tid, (stretch.start, stretch.end), lock, depth);
        }
        if self.follows(waker, tid, depth) {
            self.thread(waker.tid, stretch.start, stretch.end, Some(lock), depth + 1);
        } else {
            self.blocked_in(Kind::Lock, tid, ns, lock);
        }
    }

    /// Whatever the holder of a lock does meanwhile is the lock's, but for what holds itself, its waits
    /// for a CPU, or the thread that it had to wait for before it had the lock.
    fn held(
        &mut self,
        holder: u32,
        (from, until): (KtimeNs, KtimeNs),
        lock: &'a Sched,
        depth: usize,
    ) {
        let mut left = until.since(from);
        let mut later: Option<(KtimeNs, &'a Sched)> = None;
        for part in self.timelines.back(holder, from, until) {
            self.stretches += 1;
            let sched = match part.what {
                Doing::Blocked(sched) => sched,
                Doing::Waiting(sched) => {
                    self.contended(holder, part.ns(), sched);
                    left = left.saturating_sub(part.ns());
                    continue;
                }
                _ => continue,
            };
            let its = polled(sched, later).unwrap_or(sched);
            later = (sched.wait == Wait::Futex).then_some((sched.off, its));
            let before = its
                .waker
                .as_ref()
                .filter(|_| sched.wait == Wait::Futex && its.waker_in == Wait::Futex)
                .filter(|before| self.follows(before, holder, depth));
            if let Some(kind) = held_by(sched) {
                self.blocked_in(kind, holder, part.ns(), sched);
            } else if asks(sched) && timed_out(its) {
                self.asked(holder, &part, its);
            } else if let Some(before) = before.filter(|_| self.stretches < MAX_STRETCHES) {
                self.held(before.tid, (part.start, part.end), its, depth + 1);
            } else {
                continue;
            }
            left = left.saturating_sub(part.ns());
        }
        self.blocked_in(Kind::Lock, lock.tid, left, lock);
    }

    /// A poll for a lock that was free when the thread asked for the last time: nobody woke it, so that
    /// the holder is not told. A thread that was in uninterruptible sleep all the while kept it from
    /// the lock: Python keeps it in a page fault.
    fn asked(&mut self, tid: u32, stretch: &Stretch<'a>, lock: &'a Sched) {
        let (from, until) = (stretch.start, stretch.end);
        match self.timelines.sleeper(self.tgid, from, until) {
            Some(sched) => self.blocked_in(Kind::Storage, sched.tid, stretch.ns(), sched),
            None => self.timed(Kind::Lock, tid, stretch.ns(), lock),
        }
    }

    /// Whether enough is known from before the interval to tell what is usual.
    fn has_history(&self, tid: u32) -> bool {
        let before = KtimeNs(self.from.0.saturating_sub(1));
        self.timelines.records_before(tid, before) >= USUAL_WAKES
    }

    fn follows(&self, waker: &Thread, tid: u32, depth: usize) -> bool {
        depth < MAX_DEPTH
            && waker.tid != tid
            && waker.tgid == self.tgid
            && self.timelines.process_of(waker.tid) == Some(self.tgid)
    }

    fn running(&mut self, tid: u32, ns: u64, held: Held<'_>) {
        match held {
            None => self.plain(Kind::OnCpu, tid, ns),
            Some(lock) => self.blocked_in(Kind::Lock, lock.tid, ns, lock),
        }
    }

    /// A thread was ready, and others ran.
    fn contended(&mut self, tid: u32, ns: u64, sched: &Sched) {
        self.account.add(Kind::Contention, ns, || Part {
            thread: tid,
            other: sched.runner.as_ref().map(|(thread, _)| thread.clone()),
            ..Part::default()
        });
    }

    fn plain(&mut self, kind: Kind, tid: u32, ns: u64) {
        self.account.add(kind, ns, || Part {
            thread: tid,
            ..Part::default()
        });
    }

    /// A wait that a timer ended: whose CPU its interrupt came on says nothing.
    fn timed(&mut self, kind: Kind, tid: u32, ns: u64, sched: &Sched) {
        self.account.add(kind, ns, || Part {
            thread: tid,
            wait: sched.wait,
            syscall: sched.syscall,
            ..Part::default()
        });
    }

    fn blocked_in(&mut self, kind: Kind, tid: u32, ns: u64, sched: &Sched) {
        self.account.add(kind, ns, || Part {
            thread: tid,
            other: sched.waker.clone(),
            wait: sched.wait,
            syscall: sched.syscall,
            ..Part::default()
        });
    }
}

/// A thread that polls for a lock gets it with its last poll: what ended that one is what the polls
/// before waited for as well.
fn polled<'a>(sched: &Sched, later: Option<(KtimeNs, &'a Sched)>) -> Option<&'a Sched> {
    let (start, lock) = later?;
    let is_poll = limit_ns(sched).is_some_and(|limit| limit <= POLL_NS)
        && start.since(sched.at) <= POLL_PAUSE_NS;
    (is_poll && (!timed_out(lock) || asks(sched) && asks(lock))).then_some(lock)
}

/// Whether a thread asked for Python's interpreter lock, by the time for which it did.
fn asks(sched: &Sched) -> bool {
    limit_ns(sched).is_some_and(|limit| ASK_NS.contains(&limit))
}

/// For how long a thread went to wait in `futex` at most, nanoseconds.
fn limit_ns(sched: &Sched) -> Option<u64> {
    let deadline = sched.deadline.filter(|_| sched.wait == Wait::Futex)?;
    Some(deadline.since(sched.off))
}

/// What keeps a thread from going on that did not ask to wait.
fn held_by(sched: &Sched) -> Option<Kind> {
    match (sched.left, sched.wait) {
        (Left::Stopped, _) => Some(Kind::Stopped),
        (Left::Uninterruptible | Left::Sleeping, Wait::Ioctl) => Some(Kind::Driver),
        (Left::Uninterruptible, _) => Some(Kind::Storage),
        _ => None,
    }
}

/// Whether a wait ended by its own time-out.
fn timed_out(sched: &Sched) -> bool {
    sched
        .deadline
        .is_some_and(|deadline| sched.wake.plus(TIMER_EARLY_NS) >= deadline)
}

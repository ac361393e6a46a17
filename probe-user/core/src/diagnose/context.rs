//! What went on around a late frame, apart from scheduling: model loads, CPU quotas, GPUs, and the
//! connection's windows.

use std::collections::{HashMap, VecDeque};

use crate::flow::{Blocked, CallId, Limit, MIN_BLOCKED_NS};
use crate::record::{ConnectionId, CpuQuota, Gpu, GpuSample, KtimeNs, TcpReading, Tgid};

/// Model loads, quota and TCP readings kept: a process loads one model at a time, and the others are read
/// ten times a second at most.
const MAX_EVENTS: usize = 1024;

/// Stretches of blocked sending kept: of all streams, each has some while its peer does not read.
const MAX_BLOCKED: usize = 4096;

/// GPU samples kept: half a minute at one a second.
const MAX_SAMPLES: usize = 32;

/// Nanoseconds by which a GPU sample may miss the interval it speaks for: twice the usual cadence.
const SAMPLE_REACH_NS: u64 = 2_000_000_000;

/// Reasons for slower clocks that hurt: power cap, hardware slowdown, thermal slowdown by software and
/// hardware, power brake. Idle, a chosen clock and displays are no harm.
/// Source: nvml.h, `nvmlClocksThrottleReason*`.
const HARMFUL_THROTTLE: u64 = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;

/// Share of the GPU's multiprocessors, in percent, that processes not watched must use to matter.
const NEIGHBOUR_PERCENT: u32 = 30;

/// What a GPU did to its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuTrouble {
    /// It had an error.
    Failed {
        /// Label `gpu_id`.
        gpu: String,
        /// NVIDIA's number of it (XID).
        xid: u64,
    },
    /// It ran below its clock.
    Throttled {
        /// Label `gpu_id`.
        gpu: String,
        /// NVML's reasons, those that hurt.
        reasons: u64,
    },
    /// Processes not watched used it.
    Shared {
        /// Label `gpu_id`.
        gpu: String,
        /// Process that used it most.
        pid: u32,
        /// Share of all of them, percent.
        percent: u32,
    },
}

/// What TCP did on a frame's connection since the frame before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpTrouble {
    /// Segments sent again.
    pub resent: u64,
    /// For how long the receiver's window was full, nanoseconds.
    pub window_full_ns: u64,
    /// For how long bytes were sent or waiting and not acknowledged, nanoseconds.
    pub unacknowledged_ns: u64,
}

/// For how long a frame found no room, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockedTime {
    /// In the socket.
    pub socket_ns: u64,
    /// In its stream's HTTP/2 window.
    pub stream_window_ns: u64,
    /// In its connection's HTTP/2 window.
    pub connection_window_ns: u64,
}

impl BlockedTime {
    /// In either HTTP/2 window: a frame may wait for both at once.
    pub(super) fn windows_ns(&self) -> u64 {
        self.stream_window_ns.max(self.connection_window_ns)
    }
}

/// The events around.
#[derive(Debug, Default)]
pub(super) struct Context {
    loads: VecDeque<(Tgid, KtimeNs, KtimeNs)>,
    quotas: VecDeque<CpuQuota>,
    tcp: VecDeque<TcpReading>,
    /// Since when connections have found no room in their sockets.
    refused: HashMap<ConnectionId, KtimeNs>,
    blocked: VecDeque<Blocked>,
    samples: VecDeque<(KtimeNs, Vec<Gpu>)>,
}

impl Context {
    /// A model was loaded in this time.
    pub(super) fn add_load(&mut self, tgid: Tgid, from: KtimeNs, until: KtimeNs) {
        push(&mut self.loads, (tgid, from, until), MAX_EVENTS);
    }

    pub(super) fn add_quota(&mut self, quota: CpuQuota) {
        push(&mut self.quotas, quota, MAX_EVENTS);
    }

    pub(super) fn add_tcp(&mut self, reading: TcpReading) {
        push(&mut self.tcp, reading, MAX_EVENTS);
    }

    pub(super) fn add_blocked(&mut self, blocked: Blocked) {
        push(&mut self.blocked, blocked, MAX_BLOCKED);
    }

    /// A send found no room: nothing is sent from then on, until something is.
    pub(super) fn add_refused(&mut self, connection: ConnectionId, at: KtimeNs) {
        self.refused.entry(connection).or_insert(at);
    }

    /// Something was sent.
    pub(super) fn add_sent(&mut self, connection: ConnectionId, at: KtimeNs) {
        let Some(since) = self.refused.get(&connection).copied() else {
            return;
        };
        // A chunk from before may come after it.
        if at < since {
            return;
        }
        self.refused.remove(&connection);
        if at.since(since) >= MIN_BLOCKED_NS {
            self.add_blocked(Blocked {
                connection,
                stream: None,
                from: since,
                until: at,
                by: Limit::Socket,
            });
        }
    }

    pub(super) fn add_sample(&mut self, sample: &GpuSample) {
        if !sample.gpus.is_empty() {
            push(
                &mut self.samples,
                (sample.at, sample.gpus.clone()),
                MAX_SAMPLES,
            );
        }
    }

    /// Whether the next reading of a GPU that a process uses may tell more of a moment.
    pub(super) fn awaits_sample(&self, tgid: Tgid, moment: KtimeNs) -> bool {
        let last = self.samples.back();
        last.is_some_and(|(at, gpus)| *at < moment && gpus.iter().any(|gpu| is_used(gpu, tgid)))
    }

    /// How much of an interval a model load of the process took, nanoseconds.
    pub(super) fn load_ns(&self, tgid: Tgid, from: KtimeNs, until: KtimeNs) -> u64 {
        let of = self.loads.iter().filter(|(process, ..)| *process == tgid);
        of.map(|(_, start, end)| (*end).min(until).since((*start).max(from)))
            .max()
            .unwrap_or(0)
    }

    /// For how long the process's control group was throttled around an interval, nanoseconds. The
    /// kernel counts it when the throttling ends, at the latest a period after it began.
    pub(super) fn throttled_ns(&self, tgid: Tgid, from: KtimeNs, until: KtimeNs) -> u64 {
        /// The longest reading interval and the usual quota period, nanoseconds.
        const LAG_NS: u64 = 250_000_000;
        let of = self.quotas.iter().filter(|quota| {
            quota.tgid == tgid && quota.at >= from && quota.before <= until.plus(LAG_NS)
        });
        of.map(|quota| quota.throttled_ns)
            .fold(0, u64::saturating_add)
    }

    /// What TCP did on a connection around an interval; `None` for nothing.
    pub(super) fn tcp_trouble(
        &self,
        connection: ConnectionId,
        from: KtimeNs,
        until: KtimeNs,
    ) -> Option<TcpTrouble> {
        let of = self
            .tcp
            .iter()
            .filter(|one| one.connection == connection && one.at >= from && one.before <= until);
        of.copied().fold(None, |sum, one| {
            let sum: TcpTrouble = sum.unwrap_or_default();
            Some(TcpTrouble {
                resent: sum.resent.saturating_add(one.resent),
                window_full_ns: sum.window_full_ns.saturating_add(one.window_full_ns),
                unacknowledged_ns: sum.unacknowledged_ns.saturating_add(one.unacknowledged_ns),
            })
        })
    }

    /// For how much of a time a connection had bytes that were not acknowledged, nanoseconds. Of a reading
    /// that goes beyond it, its share.
    pub(super) fn unacknowledged_ns(
        &self,
        connection: ConnectionId,
        from: KtimeNs,
        until: KtimeNs,
    ) -> u64 {
        let of = self.tcp.iter().filter(|one| one.connection == connection);
        of.map(|one| {
            let within = one.at.min(until).since(one.before.max(from));
            let whole = one.at.since(one.before).max(1);
            let share = u128::from(one.unacknowledged_ns) * u128::from(within) / u128::from(whole);
            u64::try_from(share).unwrap_or(u64::MAX)
        })
        .fold(0, u64::saturating_add)
    }

    /// How much of a time a call's frames found no room. A socket's want of it shows in refused sends and
    /// in frames sent in part, both at once as well.
    pub(super) fn blocked(&self, call: CallId, from: KtimeNs, until: KtimeNs) -> BlockedTime {
        let time = |by: Limit| {
            let of = self.blocked.iter().filter(|one| {
                one.by == by
                    && one.connection == call.connection
                    && one.stream.is_none_or(|stream| stream == call.stream)
            });
            let mut stretches: Vec<_> = of
                .map(|one| (one.from.max(from), one.until.min(until)))
                .collect();
            stretches.sort_unstable();
            let (mut ns, mut reached) = (0_u64, from);
            for (start, end) in stretches {
                ns = ns.saturating_add(end.since(start.max(reached)));
                reached = reached.max(end);
            }
            ns
        };
        BlockedTime {
            socket_ns: time(Limit::Socket),
            stream_window_ns: time(Limit::StreamWindow),
            connection_window_ns: time(Limit::ConnectionWindow),
        }
    }

    pub(super) fn remove_connection(&mut self, connection: ConnectionId) {
        self.tcp.retain(|one| one.connection != connection);
        self.refused.remove(&connection);
        self.blocked.retain(|one| one.connection != connection);
    }

    /// What GPUs the process uses did to it around an interval; several answers where several may be.
    pub(super) fn gpu_troubles(
        &self,
        tgid: Tgid,
        from: KtimeNs,
        until: KtimeNs,
    ) -> Vec<GpuTrouble> {
        let near = self
            .samples
            .iter()
            .min_by_key(|(at, _)| distance(*at, from, until));
        let Some((_, gpus)) = near.filter(|(at, _)| distance(*at, from, until) <= SAMPLE_REACH_NS)
        else {
            return Vec::new();
        };
        let mut troubles = self.gpu_errors(tgid, from, until);
        // Only the GPUs of watched processes can be the trouble.
        for gpu in gpus.iter().filter(|gpu| is_used(gpu, tgid)) {
            let reasons = harmful(gpu);
            if reasons != 0 {
                let gpu = gpu.id.clone();
                troubles.push(GpuTrouble::Throttled { gpu, reasons });
            }
            let others = others(gpu).filter(|(_, percent)| *percent >= NEIGHBOUR_PERCENT);
            if let Some((pid, percent)) = others {
                let gpu = gpu.id.clone();
                troubles.push(GpuTrouble::Shared { gpu, pid, percent });
            }
        }
        troubles
    }

    /// XID errors that came between two samples around an interval, of GPUs the process uses.
    fn gpu_errors(&self, tgid: Tgid, from: KtimeNs, until: KtimeNs) -> Vec<GpuTrouble> {
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        let around = pairs.filter(|((before, _), (at, _))| *at >= from && *before <= until);
        let mut errors = Vec::new();
        for ((_, before), (_, now)) in around {
            for gpu in now {
                let Some(earlier) = before.iter().find(|one| one.uuid == gpu.uuid) else {
                    continue;
                };
                // One that is lost has no processes any more.
                if !is_used(gpu, tgid) && !is_used(earlier, tgid) {
                    continue;
                }
                let new = gpu.xids.iter().filter(|(xid, count)| {
                    **count > earlier.xids.get(xid).copied().unwrap_or_default()
                });
                errors.extend(new.map(|(xid, _)| GpuTrouble::Failed {
                    gpu: gpu.id.clone(),
                    xid: *xid,
                }));
            }
        }
        errors
    }

    pub(super) fn remove(&mut self, tgid: Tgid) {
        self.loads.retain(|(process, ..)| *process != tgid);
        self.quotas.retain(|quota| quota.tgid != tgid);
    }
}

fn is_used(gpu: &Gpu, by: Tgid) -> bool {
    let mut processes = gpu.processes.iter();
    processes.any(|process| process.watched == Some(by))
}

/// NVML's reasons for slower clocks, those that hurt.
pub fn harmful(gpu: &Gpu) -> u64 {
    gpu.readings.throttle_reasons.unwrap_or(0) & HARMFUL_THROTTLE
}

/// Of the processes not watched: the one that uses the GPU most, and the share of all of them in
/// percent.
pub(super) fn others(gpu: &Gpu) -> Option<(u32, u32)> {
    let others = gpu.processes.iter().filter(|one| one.watched.is_none());
    let shares = others.filter_map(|one| Some((one.sm_percent?, one.pid)));
    let percent = shares.clone().map(|(percent, _)| percent);
    let percent = percent.fold(0, u32::saturating_add);
    shares.max().map(|(_, pid)| (pid, percent))
}

/// Nanoseconds from a moment to an interval.
fn distance(at: KtimeNs, from: KtimeNs, until: KtimeNs) -> u64 {
    from.since(at).max(at.since(until))
}

fn push<T>(events: &mut VecDeque<T>, event: T, bound: usize) {
    if events.len() >= bound {
        events.pop_front();
    }
    events.push_back(event);
}

//! From an account to a cause.
//!
//! A frame may take as long as its interval should have been: waits of the worker's own choosing use
//! that allowance first, then its computing. What is left is the lateness, and the cause that has
//! most of it is named where it has at least half, and no other has about as much.

use super::account::{Account, Kind};
use super::cause::Cause;
use super::context::{BlockedTime, Context, GpuTrouble, TcpTrouble};
use crate::model::LateFrame;
use crate::record::KtimeNs;

/// A cause must have this share of the lateness.
const NAMED: (u64, u64) = (1, 2);

/// The second most may have this much of the first: above it the two tie.
const TIED: (u64, u64) = (4, 5);

/// For this share of the time without room must bytes have been unacknowledged to have been lost or delayed.
const UNACKNOWLEDGED: (u64, u64) = (3, 4);

/// Nanoseconds beyond twice the usual time that a frame may take after the text it waited for.
const PROMPT_NS: u64 = 20_000_000;

/// Why, and by which shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// Lateness by cause, nanoseconds, the most first. What has no cause is unexplained or unknown.
    pub shares: Vec<(Cause, u64)>,
    /// What the GPUs did meanwhile.
    pub gpus: Vec<GpuTrouble>,
    /// What TCP did on the connection meanwhile.
    pub tcp: Option<TcpTrouble>,
    /// For how long the frame found no room after it was due.
    pub blocked: BlockedTime,
}

/// Judges a frame. Without an account only what the wire tells can be a cause.
pub(super) fn judge(late: &LateFrame, account: Option<&Account>, context: &Context) -> Verdict {
    let (from, until) = (late.previous, late.at);
    let gpus = context.gpu_troubles(late.process, from, until);
    let mut shares = Shares::default();
    if let Some(account) = account {
        shares.add_account(late, account, context);
    } else {
        shares.add(Cause::Unknown, late.excess_ns);
    }
    let blocked = context.blocked(late.call, due(late), until);
    let waited_ns = blocked.socket_ns.max(blocked.windows_ns());
    if reaches(waited_ns, late.excess_ns, NAMED) && !is_kept(late, account) {
        let cause = no_room(late, context, (due(late), waited_ns), &blocked);
        shares = Shares::default();
        shares.add(cause, waited_ns.min(late.excess_ns));
        shares.add(Cause::Unexplained, late.excess_ns.saturating_sub(waited_ns));
    }
    let starved_ns = starved_ns(late);
    if reaches(starved_ns, late.excess_ns, NAMED) {
        shares = Shares::default();
        shares.add(Cause::LateUpstreamText, starved_ns);
        shares.add(Cause::Unexplained, late.excess_ns - starved_ns);
    }
    if reaches(late.paused_ns, late.excess_ns, NAMED) {
        shares = Shares::default();
        shares.add(Cause::Pause, late.excess_ns);
    }
    if account.is_some() {
        shares.by_circumstance(late, context, &gpus);
    }
    let shares = shares.sorted();
    Verdict {
        cause: named(&shares, late.excess_ns),
        shares,
        gpus,
        tcp: context.tcp_trouble(late.call.connection, from, until),
        blocked,
    }
}

/// Why there was no room for `ns` since `from`. What is sent and not acknowledged all along did not
/// arrive, where the receiver's window had room for it.
fn no_room(
    late: &LateFrame,
    context: &Context,
    (from, ns): (KtimeNs, u64),
    blocked: &BlockedTime,
) -> Cause {
    let connection = late.call.connection;
    let unacknowledged_ns = context.unacknowledged_ns(connection, from, late.at);
    let tcp = context.tcp_trouble(connection, late.previous, late.at);
    let is_full = tcp.is_some_and(|tcp| reaches(tcp.window_full_ns, ns, NAMED));
    if reaches(unacknowledged_ns, ns, UNACKNOWLEDGED) && !is_full {
        Cause::PacketLoss
    } else if blocked.windows_ns() >= ns {
        Cause::Http2Window
    } else {
        Cause::SocketBackpressure
    }
}

/// Whether the thread could not go on for as long, whatever room there was: it may not even have read
/// that there is.
fn is_kept(late: &LateFrame, account: Option<&Account>) -> bool {
    let kinds = [Kind::Contention, Kind::Stopped, Kind::Storage];
    let kept = account.map(|account| kinds.map(|kind| account.ns(kind)));
    let kept = kept.unwrap_or_default().into_iter();
    reaches(kept.fold(0, u64::saturating_add), late.excess_ns, NAMED)
}

/// The cause that stands out.
fn named(shares: &[(Cause, u64)], excess_ns: u64) -> Cause {
    let share = |cause| {
        let found = shares.iter().find(|(one, _)| *one == cause);
        found.map_or(0, |(_, ns)| *ns)
    };
    if reaches(share(Cause::Unknown), excess_ns, NAMED) {
        return Cause::Unknown;
    }
    let mut causes = shares.iter().filter(|(cause, _)| cause.is_named());
    let Some(&(first, ns)) = causes.next() else {
        return Cause::Unexplained;
    };
    let second = causes.next().map_or(0, |(_, ns)| *ns);
    if reaches(ns, excess_ns, NAMED) && !reaches(second, ns, TIED) {
        first
    } else {
        Cause::Unexplained
    }
}

/// Whether `part` is at least this share of `whole`.
fn reaches(part: u64, whole: u64, (over, under): (u64, u64)) -> bool {
    whole > 0 && u128::from(part) * u128::from(under) >= u128::from(whole) * u128::from(over)
}

/// Lateness by cause.
#[derive(Debug, Default)]
struct Shares(Vec<(Cause, u64)>);

impl Shares {
    fn add(&mut self, cause: Cause, ns: u64) {
        if ns == 0 {
            return;
        }
        match self.0.iter_mut().find(|(one, _)| *one == cause) {
            Some((_, sum)) => *sum = sum.saturating_add(ns),
            None => self.0.push((cause, ns)),
        }
    }

    fn add_account(&mut self, late: &LateFrame, account: &Account, context: &Context) {
        let (from, until) = (late.previous, late.at);
        // What the interval should have been, used up by what is usual in one.
        let mut allowed = late.interval_ns().saturating_sub(late.excess_ns);
        let mut beyond = |kind| {
            let ns = account.ns(kind);
            let usual = ns.min(allowed);
            allowed -= usual;
            ns - usual
        };
        let (timer, input) = (beyond(Kind::Timer), beyond(Kind::Input));
        let (other, computing) = (beyond(Kind::Other), beyond(Kind::OnCpu));
        let (voluntary, text) = (timer.saturating_add(input), late_text_ns(late, from));
        match account.released() {
            Some(Kind::Timer) if text == 0 || timer >= input => {
                self.add(Cause::OwnTimer, voluntary);
            }
            // The frame may have waited for its text, and then for the timer of its synthesis.
            Some(Kind::Timer) => self.add(Cause::Unexplained, voluntary),
            _ => {
                let text = text.min(voluntary);
                self.add(Cause::LateUpstreamText, text);
                self.add(Cause::Unexplained, voluntary - text);
            }
        }
        self.add(Cause::Unexplained, other);
        self.add(Cause::CpuSelf, computing);
        let waiting = account.ns(Kind::Contention);
        let throttled = context.throttled_ns(late.process, from, until);
        self.add(
            if reaches(throttled, waiting, NAMED) {
                Cause::CgroupThrottled
            } else {
                Cause::CpuContention
            },
            waiting,
        );
        self.add(Cause::Lock, account.ns(Kind::Lock));
        self.add(Cause::TimerOvershoot, account.ns(Kind::Overshoot));
        let full = account.ns(Kind::Backpressure);
        let blocked = BlockedTime::default();
        self.add(no_room(late, context, (from, full), &blocked), full);
        self.add(Cause::DiskOrPageFault, account.ns(Kind::Storage));
        self.add(Cause::Stopped, account.ns(Kind::Stopped));
        self.add(Cause::Unexplained, account.ns(Kind::Driver));
        self.add(Cause::Unknown, account.ns(Kind::Unknown));
    }

    /// What keeps a worker busy may have a cause of its own: a model load, the GPU.
    fn by_circumstance(&mut self, late: &LateFrame, context: &Context, gpus: &[GpuTrouble]) {
        let loading = context.load_ns(late.process, late.previous, late.at);
        let busy = |cause: Cause| {
            matches!(
                cause,
                Cause::CpuSelf | Cause::Lock | Cause::DiskOrPageFault | Cause::Unexplained
            )
        };
        let cause = if reaches(loading, late.excess_ns, NAMED) {
            Cause::ModelLoad
        } else {
            match gpus {
                // It may slow the clock as well. Where others use the GPU it may be theirs.
                [GpuTrouble::Failed { .. }, others @ ..]
                    if !others
                        .iter()
                        .any(|it| matches!(it, GpuTrouble::Shared { .. })) =>
                {
                    Cause::GpuError
                }
                [GpuTrouble::Throttled { .. }] => Cause::GpuThrottle,
                [GpuTrouble::Shared { .. }] => Cause::GpuNeighbour,
                _ => return,
            }
        };
        let mut sum: u64 = 0;
        // Storage is no business of the GPU's.
        self.0.retain(|(one, ns)| {
            let explained =
                busy(*one) && (cause == Cause::ModelLoad || *one != Cause::DiskOrPageFault);
            if explained {
                sum = sum.saturating_add(*ns);
            }
            !explained
        });
        self.add(cause, sum);
    }

    fn sorted(mut self) -> Vec<(Cause, u64)> {
        self.0
            .sort_by_key(|(cause, ns)| (std::cmp::Reverse(*ns), *cause));
        self.0
    }
}

/// For how much of the lateness the stream had nothing to speak, nanoseconds: the text came after the
/// frame was due, and the frame about as soon after it as the stream's first frame after its first
/// text. What its threads waited for meanwhile does not matter then.
fn starved_ns(late: &LateFrame) -> u64 {
    let (Some(text), Some(starting_ns)) = (late.text, late.starting_ns) else {
        return 0;
    };
    let missing_ns = late_text_ns(late, late.previous);
    let usual_ns = starting_ns.saturating_mul(2).saturating_add(PROMPT_NS);
    if missing_ns == 0 || late.at.since(text) > usual_ns {
        return 0;
    }
    missing_ns.saturating_add(starting_ns).min(late.excess_ns)
}

/// For how long after the frame was due the stream's text was still missing, nanoseconds.
fn late_text_ns(late: &LateFrame, from: KtimeNs) -> u64 {
    late.text.map_or(0, |text| text.since(due(late).max(from)))
}

fn due(late: &LateFrame) -> KtimeNs {
    KtimeNs(late.at.0.saturating_sub(late.excess_ns))
}

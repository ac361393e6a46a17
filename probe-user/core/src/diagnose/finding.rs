//! What a diagnosis found: each late frame with its evidence, and all of them in figures.

use std::collections::{BTreeMap, VecDeque};

use super::account::Account;
use super::cause::Cause;
use super::judge::Verdict;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::model::LateFrame;
use crate::record::KtimeNs;

/// Frames that a report shows with all their evidence.
pub const WORST: usize = 10;

/// Late frames that a live view may look back on.
pub const RECENT: usize = 64;

/// A late frame and why it was late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The frame.
    pub late: LateFrame,
    /// Why.
    pub verdict: Verdict,
    /// Thread that sent it; `None` when unknown.
    pub thread: Option<u32>,
    /// Where the interval went; `None` where scheduling was not followed.
    pub account: Option<Account>,
}

/// Late frames of one worker by one cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Late frames.
    pub frames: u64,
    /// Those that left a gap in the listener's audio.
    pub underruns: u64,
    /// By how much they were late, all together, nanoseconds.
    pub excess_ns: u64,
}

/// A late frame, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Its stream.
    pub call: CallId,
    /// Why it was late.
    pub cause: Cause,
}

/// Everything found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Since when there is evidence; `None` without any.
    pub since: Option<KtimeNs>,
    /// Time of the last record.
    pub until: Option<KtimeNs>,
    /// Whether scheduling was followed.
    pub scheduling: bool,
    /// Frames with audio seen, by worker; every worker that was watched is here.
    pub frames: BTreeMap<Id, u64>,
    /// Late frames by worker and cause.
    pub causes: BTreeMap<(Id, Cause), Tally>,
    /// Late frames by the percentage of their interval for which there is no cause.
    pub unexplained: BTreeMap<u8, u64>,
    /// The frames that were late by most, the latest first.
    pub worst: Vec<Finding>,
    /// The last late frames, in the order in which they were judged.
    pub recent: VecDeque<Recent>,
}

impl Summary {
    pub(super) fn add(&mut self, finding: Finding) {
        let key = (finding.late.worker.clone(), finding.verdict.cause);
        let tally = self.causes.entry(key).or_default();
        tally.frames += 1;
        tally.underruns += u64::from(finding.late.underrun_ns > 0);
        tally.excess_ns = tally.excess_ns.saturating_add(finding.late.excess_ns);
        *self.unexplained.entry(unexplained(&finding)).or_default() += 1;
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            call: finding.late.call,
            cause: finding.verdict.cause,
        });
        let place = self
            .worst
            .partition_point(|one| one.late.excess_ns >= finding.late.excess_ns);
        if place < WORST {
            self.worst.insert(place, finding);
            self.worst.truncate(WORST);
        }
    }

    /// Late frames of all workers by cause, the cause that took most time first.
    pub fn by_cause(&self) -> Vec<(Cause, Tally)> {
        let mut sums: BTreeMap<Cause, Tally> = BTreeMap::new();
        for ((_, cause), tally) in &self.causes {
            let sum = sums.entry(*cause).or_default();
            sum.frames += tally.frames;
            sum.underruns += tally.underruns;
            sum.excess_ns = sum.excess_ns.saturating_add(tally.excess_ns);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|(cause, tally)| (std::cmp::Reverse(tally.excess_ns), *cause));
        sums
    }

    /// Late frames in all.
    pub fn late_frames(&self) -> u64 {
        self.causes.values().map(|tally| tally.frames).sum()
    }
}

/// Percentage of a late frame's interval for which there is no cause.
fn unexplained(finding: &Finding) -> u8 {
    let shares = finding.verdict.shares.iter();
    let unnamed = shares.filter(|(cause, _)| !cause.is_named());
    let ns = unnamed.map(|(_, ns)| *ns).fold(0, u64::saturating_add);
    let percent = u128::from(ns) * 100 / u128::from(finding.late.interval_ns().max(1));
    u8::try_from(percent.min(100)).unwrap_or(100)
}

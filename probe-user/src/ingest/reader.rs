//! Reads the ring.

use std::{os::fd::AsFd as _, time::Duration};

use aya::maps::{MapData, RingBuf};
use probe_abi::loss;
use probe_core::record::{KtimeNs, Record, kernel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Tracker;
use crate::{
    attach::{Attached, HookTarget, LibraryHooks},
    discover::{ModelFiles, Target},
};

/// Records read before other duties get their turn: a few milliseconds of work.
const BATCH: usize = 4096;

/// The ring and what is known about its connections and processes.
pub struct Ingest {
    ring: RingBuf<MapData>,
    /// Processes and connections.
    pub tracker: Tracker,
    records: u64,
    malformed: u64,
}

/// What the kernel side could not record, by reason.
pub type Losses = [(&'static str, u64); loss::COUNT as usize];

impl Ingest {
    /// Takes over the kernel side.
    pub fn new(
        attached: Attached,
        ring: RingBuf<MapData>,
        targets: Vec<Target>,
        hooks: Vec<HookTarget>,
        model_files: ModelFiles,
    ) -> Self {
        let hooks = LibraryHooks::new(hooks);
        Self {
            ring,
            tracker: Tracker::new(attached, targets, hooks, model_files),
            records: 0,
            malformed: 0,
        }
    }

    /// Waits until the kernel side asks for attention, at most `limit`.
    pub fn wait(&self, limit: Duration) {
        let timeout = Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let mut fds = [PollFd::from_borrowed_fd(self.ring.as_fd(), PollFlags::IN)];
        // Interrupted or timed out: the ring is read either way.
        let _ready = poll(&mut fds, Some(&timeout));
    }

    /// Reads up to a batch of records; true when the ring was emptied.
    pub fn drain(&mut self, out: &mut impl FnMut(Record<'_>)) -> bool {
        for _ in 0..BATCH {
            let Some(item) = self.ring.next() else {
                self.tracker.handle_ring_empty(out);
                return true;
            };
            self.records += 1;
            match kernel::parse(&item) {
                Ok(record) => self.tracker.handle(record, out),
                Err(_) => self.malformed += 1,
            }
        }
        false
    }

    /// Regular duties: processes that ended, processes whose start was missed, lost records.
    pub fn handle_tick(&mut self, now: KtimeNs, look_over: bool, out: &mut impl FnMut(Record<'_>)) {
        self.tracker.handle_tick(now, look_over, out);
        self.tracker.attached.flush_log();
    }

    /// Records read so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records that could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// What the kernel side could not record.
    pub fn losses(&self) -> Losses {
        let count = |reason| {
            let values = self.tracker.attached.maps.losses.get(&reason, 0);
            values.map_or(0, |values| values.iter().sum())
        };
        [
            ("ring_full", count(loss::RING_FULL)),
            ("ring_full_control", count(loss::RING_FULL_CONTROL)),
            ("capture_limit", count(loss::CAPTURE_LIMIT)),
            ("read_fault", count(loss::READ_FAULT)),
            ("map_full", count(loss::MAP_FULL)),
            ("ring_full_hook", count(loss::RING_FULL_HOOK)),
            ("hook_unpaired", count(loss::HOOK_UNPAIRED)),
            ("ring_full_sched", count(loss::RING_FULL_SCHED)),
            ("unplaced", count(loss::UNPLACED)),
            ("shed", count(loss::SHED)),
        ]
    }
}

//! One attachment: a fresh voxprobe watches a worker that has been running for a while.

use std::path::PathBuf;
use std::time::Duration;

use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::Probe;

use crate::scene::monotonic_ns;

/// What one voxprobe left behind.
pub(crate) struct Moment {
    /// What it recorded.
    pub(super) capture: PathBuf,
    /// Its metrics shortly before its end, and after they were read, by the monotonic clock.
    pub(super) metrics: Exposition,
    pub(super) read_ns: u64,
    /// Its metrics at its end, its own figures included.
    pub(super) last: Exposition,
    /// Before it was started, by the monotonic clock.
    pub(super) began_ns: u64,
    /// When it was told to end.
    pub(super) ended_ns: u64,
}

impl Moment {
    /// Attaches for this long. `lose` is the share of records that is lost on purpose.
    pub(super) fn attach(lab: &Lab, worker: u32, time: Duration, lose: Option<f64>) -> Self {
        let capture = lab.fresh("late.vxcap");
        let file = capture.display().to_string();
        let share = lose.unwrap_or(0.0).to_string();
        let mut arguments = vec!["--record", &file];
        if lose.is_some() {
            arguments.extend(["--lose-records", &share]);
        }
        let began_ns = monotonic_ns();
        let probe = Probe::watch(lab, &[worker], &arguments);
        std::thread::sleep(time);
        let ended_ns = monotonic_ns();
        let metrics = probe.scrape();
        let read_ns = monotonic_ns();
        Self {
            capture,
            metrics,
            read_ns,
            last: probe.stop(),
            began_ns,
            ended_ns,
        }
    }
}

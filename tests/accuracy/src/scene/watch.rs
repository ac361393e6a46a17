//! Metrics over time, and the moment at which gauges are compared.

use std::time::{Duration, Instant};

use probe_tests::exposition::Exposition;
use probe_tests::probe::Probe;
use rustix::time::{ClockId, clock_gettime};

use crate::measured::Series;
use crate::truth::{Row, Truth, steady_gauges};

/// Between two looks at the metrics while the system works.
const LOOK: Duration = Duration::from_millis(250);

/// How long the processes must not have done anything for gauges to be compared: the agent publishes
/// every half second, and truth and metrics are not read at the same instant.
const STEADY_NS: u64 = 900_000_000;

/// Metrics over time.
#[derive(Default)]
pub(super) struct Watch {
    /// Every series at its last value.
    pub(super) series: Series,
    looks: Vec<(u64, Exposition)>,
}

impl Watch {
    /// Looks again and again for some time.
    pub(super) fn look_for(&mut self, probe: &Probe, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep(LOOK);
            self.look(probe);
        }
    }

    /// Looks again and again while something is done.
    pub(super) fn look_while<T: Send>(
        &mut self,
        probe: &Probe,
        work: impl FnOnce() -> T + Send,
    ) -> T {
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            while !working.is_finished() {
                std::thread::sleep(LOOK);
                self.look(probe);
            }
            working.join().expect("the peers do what they are told")
        })
    }

    /// The look with the most sessions open of those when no process did anything, with what the
    /// processes say of that time.
    pub(super) fn steady(&self, truths: &[Truth]) -> (Series, Vec<Row>) {
        let mut best = (-1.0, Series::default(), Vec::new());
        for (at_ns, scrape) in &self.looks {
            let from_ns = at_ns.saturating_sub(STEADY_NS);
            let Some(rows) = steady_gauges(truths, from_ns, *at_ns + LOOK.as_nanos() as u64) else {
                continue;
            };
            let active = scrape.sum("orchestrator_sessions_active", &[]);
            if active > best.0 {
                let mut series = Series::default();
                series.take(scrape);
                best = (active, series, rows);
            }
        }
        (best.1, best.2)
    }

    fn look(&mut self, probe: &Probe) {
        let at_ns = monotonic_ns();
        let scrape = probe.scrape();
        self.series.take(&scrape);
        self.looks.push((at_ns, scrape));
    }
}

pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_nanos() as u64
}

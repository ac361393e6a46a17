//! The thread that starts rounds, watches the worker's calls and delivers samples. It never calls
//! NVML itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use probe_core::record::{GpuSample, GpuState, KtimeNs, NvmlState, Tgid};

use super::Settings;
use super::backoff::Backoff;
use super::calls::Calls;
use super::meter::InFlight;
use super::registry::Registry;
use super::round::Found;
use super::worker::{MAX_STUCK, Report, RoundOrder, Shared, Worker};

/// Rounds between attempts to find an absent or failing NVML, or a lost GPU: 30 s at the default
/// interval, as each one initialises the driver's library anew.
const RETRY_ROUNDS: u32 = 30;

/// Those attempts in the end: every 10 minutes at the default interval.
const LONGEST_RETRY_ROUNDS: u32 = 600;

/// A GPU that hangs again and again is asked at most this much less often than the others.
const LONGEST_REST_ROUNDS: u32 = 60;

/// Looks at the worker in flight this often within one call's bound.
const LOOKS_PER_TIMEOUT: u32 = 10;

/// Shortest and longest time between two such looks.
const LOOK_BOUNDS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A worker that was given up, and the call that it has not returned from.
#[derive(Debug)]
struct Stuck {
    number: u64,
    call: InFlight,
}

/// Whether the sampler goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    End,
}

/// See the module.
pub(super) struct Supervisor<R, N, D> {
    settings: Settings,
    shared: Shared,
    inbox: Receiver<Report>,
    resolve: R,
    now: N,
    deliver: D,
    registry: Registry,
    nvml: NvmlState,
    worker: Option<Worker>,
    workers_made: u64,
    /// At most [`MAX_STUCK`].
    stuck: Vec<Stuck>,
    /// GPUs that hung since their last whole round, by index, with when they are asked again.
    resting: BTreeMap<u32, Backoff>,
    /// Attempts to initialise an NVML that is absent or fails.
    retry: Backoff,
    /// Fresh looks at the hardware while a GPU is missing.
    renewal: Backoff,
    /// New workers while a call that concerns no GPU hangs.
    replacement: Backoff,
}

impl<R, N, D> Supervisor<R, N, D>
where
    R: Fn(u32) -> Option<Tgid>,
    N: Fn() -> KtimeNs,
    D: FnMut(GpuSample),
{
    pub(super) fn new(
        settings: Settings,
        reports: Sender<Report>,
        inbox: Receiver<Report>,
        resolve: R,
        now: N,
        deliver: D,
    ) -> Self {
        let seldom = Backoff::new(
            settings.interval.saturating_mul(RETRY_ROUNDS),
            settings.interval.saturating_mul(LONGEST_RETRY_ROUNDS),
        );
        Self {
            shared: Shared {
                library: settings.library.clone(),
                calls: Arc::new(Calls::default()),
                session: Arc::new(Mutex::new(None)),
                reports,
            },
            settings,
            inbox,
            resolve,
            now,
            deliver,
            registry: Registry::default(),
            nvml: NvmlState::Off,
            worker: None,
            workers_made: 0,
            stuck: Vec::new(),
            resting: BTreeMap::new(),
            retry: seldom,
            renewal: seldom,
            replacement: seldom,
        }
    }

    /// Rounds until the sampler's owner wants no more.
    pub(super) fn run(mut self) {
        let mut start = Instant::now();
        loop {
            if self.round() == Go::End {
                return;
            }
            self.publish();
            let now = Instant::now();
            // A round that took too long costs the rounds it overlaps, not a burst after it.
            start = start
                .checked_add(self.settings.interval)
                .filter(|next| *next > now)
                .unwrap_or(now + self.settings.interval);
            if self.wait_until(start) == Go::End {
                return;
            }
        }
    }

    /// One round: over when the worker is done or nobody is left to wait for.
    fn round(&mut self) -> Go {
        self.registry.begin();
        if !self.order() {
            return Go::On;
        }
        let bound = self.settings.call_timeout;
        let look = (bound / LOOKS_PER_TIMEOUT).clamp(LOOK_BOUNDS.0, LOOK_BOUNDS.1);
        loop {
            match self.inbox.recv_timeout(look) {
                Ok(Report::Stop) | Err(RecvTimeoutError::Disconnected) => return Go::End,
                Ok(Report::Done(number, outcome)) if self.is_worker(number) => {
                    self.finish(outcome);
                    return Go::On;
                }
                Ok(Report::Exited(number)) if self.is_worker(number) => {
                    self.worker = None;
                    self.retry.put_off(Instant::now());
                    self.fail("the NVML thread ended by a defect");
                    return Go::On;
                }
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let overdue = self
                .worker
                .as_ref()
                .and_then(|worker| worker.watch.give_up_after(bound));
            if let Some(call) = overdue
                && !self.give_up(call)
            {
                return Go::On;
            }
        }
    }

    /// Orders a round from the worker, a new one if need be. `false` when there is none to be had.
    fn order(&mut self) -> bool {
        let now = Instant::now();
        if !matches!(self.nvml, NvmlState::Off | NvmlState::Active { .. })
            && !self.wedged()
            && !self.retry.is_due(now)
        {
            return false;
        }
        if self.worker.is_none() && !self.hire(now) {
            return false;
        }
        // Initialising anew looks at the hardware again, and mends a session that has gone bad.
        let missing = self.registry.misses_a_gpu() && self.renewal.is_due(now);
        if missing {
            self.renewal.put_off(now);
        }
        let renew = missing || matches!(self.nvml, NvmlState::Failed(_));
        self.send(renew)
    }

    /// Starts a worker, if the bounds allow one now.
    fn hire(&mut self, now: Instant) -> bool {
        if self.stuck.len() >= MAX_STUCK || (self.wedged() && !self.replacement.is_due(now)) {
            self.explain_stuck();
            return false;
        }
        if self.wedged() {
            self.replacement.put_off(now);
        }
        self.workers_made += 1;
        match Worker::start(self.workers_made, self.shared.clone()) {
            Ok(worker) => {
                self.worker = Some(worker);
                true
            }
            Err(error) => {
                self.retry.put_off(now);
                self.fail(&format!("cannot start the NVML thread: {error}"));
                false
            }
        }
    }

    /// Sends an order without the GPUs that hang, rest, or were read in this round.
    fn send(&mut self, renew: bool) -> bool {
        let now = Instant::now();
        let hanging = self.stuck.iter().filter_map(|stuck| stuck.call.gpu);
        let resting = self.resting.iter();
        let resting = resting
            .filter(|(_, rest)| !rest.is_due(now))
            .map(|(index, _)| *index);
        let read = self.registry.read_in_this_round();
        let skip = hanging.chain(resting).chain(read).collect();
        self.worker
            .as_ref()
            .is_some_and(|worker| worker.order(RoundOrder { skip, renew }))
    }

    /// Gives the worker up with its call. `false` when the round cannot go on.
    fn give_up(&mut self, call: InFlight) -> bool {
        let Some(worker) = self.worker.take() else {
            return false;
        };
        self.shared.calls.timed_out(call.call);
        self.stuck.push(Stuck {
            number: worker.number,
            call,
        });
        let now = Instant::now();
        let Some(index) = call.gpu else {
            self.replacement.put_off(now);
            self.explain_stuck();
            return false;
        };
        self.resting.entry(index).or_insert_with(|| {
            let interval = self.settings.interval;
            Backoff::new(interval, interval.saturating_mul(LONGEST_REST_ROUNDS))
        });
        let text = not_returned(&call);
        self.registry.silence(index, &GpuState::Failing(text));
        self.hire(now) && self.send(false)
    }

    /// The worker's round is over.
    fn finish(&mut self, outcome: Result<NvmlState, NvmlState>) {
        match outcome {
            Ok(state) => {
                self.nvml = state;
                self.retry.reset();
                self.replacement.reset();
                self.rouse();
                self.silence_hanging();
                self.registry.settle();
                if !self.registry.misses_a_gpu() {
                    self.renewal.reset();
                    self.renewal.put_off(Instant::now());
                }
            }
            Err(state) => {
                self.retry.put_off(Instant::now());
                let (NvmlState::Failed(reason) | NvmlState::Unavailable(reason)) = &state else {
                    self.nvml = state;
                    return;
                };
                self.registry.silence_all(reason);
                self.nvml = state;
            }
        }
    }

    /// GPUs that were read to their end hang no more.
    fn rouse(&mut self) {
        let now = Instant::now();
        let read: BTreeSet<u32> = self.registry.read_in_this_round().collect();
        let stuck = &self.stuck;
        self.resting.retain(|index, rest| {
            let hangs = stuck.iter().any(|stuck| stuck.call.gpu == Some(*index));
            hangs || !rest.is_due(now) || !read.contains(index)
        });
    }

    /// GPUs that hang or rest say so, with the time as it is now.
    fn silence_hanging(&mut self) {
        let now = Instant::now();
        for (index, rest) in &self.resting {
            let stuck = self
                .stuck
                .iter()
                .find(|stuck| stuck.call.gpu == Some(*index));
            let text = match stuck {
                Some(stuck) => not_returned(&stuck.call),
                None if !rest.is_due(now) => format!(
                    "NVML calls on this GPU hang again and again; asked again in {} s",
                    rest.left(now).as_secs()
                ),
                None => continue,
            };
            self.registry.silence(*index, &GpuState::Failing(text));
        }
    }

    /// No worker can be had: NVML fails as a whole.
    fn explain_stuck(&mut self) {
        let Some(stuck) = self
            .stuck
            .iter()
            .find(|stuck| stuck.call.gpu.is_none())
            .or_else(|| self.stuck.first())
        else {
            return;
        };
        let text = format!(
            "{}; look for NVRM in the kernel log",
            not_returned(&stuck.call)
        );
        self.fail(&text);
    }

    fn fail(&mut self, reason: &str) {
        self.registry.silence_all(reason);
        self.nvml = NvmlState::Failed(reason.to_owned());
    }

    /// What is reported at any time.
    fn take(&mut self, report: Report) {
        match report {
            Report::Found(Found::Reading(reading)) => self.registry.apply(*reading),
            Report::Found(Found::Xid(uuid, code)) => self.registry.count_xid(&uuid, code),
            Report::Exited(number) => self.returned(number),
            Report::Done(..) | Report::Stop => {}
        }
    }

    /// A worker's thread has ended; if it was given up, its call has returned.
    fn returned(&mut self, number: u64) {
        if self.is_worker(number) {
            self.worker = None;
        }
        let Some(position) = self.stuck.iter().position(|stuck| stuck.number == number) else {
            return;
        };
        let stuck = self.stuck.swap_remove(position);
        let Some(index) = stuck.call.gpu else {
            self.retry.reset();
            return;
        };
        if let Some(rest) = self.resting.get_mut(&index) {
            rest.put_off(Instant::now());
        }
    }

    /// Waits for the next round; what is reported meanwhile is taken.
    fn wait_until(&mut self, time: Instant) -> Go {
        loop {
            let left = time.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Report::Stop) | Err(RecvTimeoutError::Disconnected) => return Go::End,
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) => return Go::On,
            }
        }
    }

    fn publish(&mut self) {
        let mut gpus = self.registry.gpus();
        for process in gpus.iter_mut().flat_map(|gpu| &mut gpu.processes) {
            process.watched = (self.resolve)(process.pid);
        }
        (self.deliver)(GpuSample {
            at: (self.now)(),
            nvml: self.nvml.clone(),
            gpus,
            calls: self.shared.calls.snapshot(),
        });
    }

    fn is_worker(&self, number: u64) -> bool {
        self.worker
            .as_ref()
            .is_some_and(|worker| worker.number == number)
    }

    /// Whether a call that concerns no GPU hangs.
    fn wedged(&self) -> bool {
        self.stuck.iter().any(|stuck| stuck.call.gpu.is_none())
    }
}

fn not_returned(call: &InFlight) -> String {
    let seconds = call.since.elapsed().as_secs_f64();
    format!("{} has not returned for {seconds:.1} s", call.call)
}

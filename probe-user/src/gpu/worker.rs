//! The thread that calls NVML.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use probe_core::record::NvmlState;

use super::calls::Calls;
use super::fault::Fault;
use super::library::{self, Refusal, Session};
use super::meter::{Meter, Watch};
use super::round::{Found, Rounds};

/// Abandoned threads that may hang at the same time: one for each GPU of an eight-GPU machine, the
/// largest common kind. Each costs its stack (2 MiB of address space, some KiB touched).
pub(super) const MAX_STUCK: usize = 8;

/// What a worker is told.
#[derive(Debug)]
pub(super) struct RoundOrder {
    /// NVML indices of the GPUs to leave alone.
    pub(super) skip: BTreeSet<u32>,
    /// Whether to initialise NVML anew first, so that it looks at the hardware again.
    pub(super) renew: bool,
}

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Report {
    /// A device was read, or an XID error came.
    Found(Found),
    /// The worker's round is over: NVML's state, and whether all GPUs were read.
    Done(u64, Result<NvmlState, NvmlState>),
    /// The worker's thread has ended.
    Exited(u64),
    /// The sampler's owner wants no more.
    Stop,
}

/// What all workers share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) library: Option<PathBuf>,
    pub(super) calls: Arc<Calls>,
    /// NVML, once initialised: a new worker goes on with it.
    pub(super) session: Arc<Mutex<Option<Arc<Session>>>>,
    pub(super) reports: Sender<Report>,
}

/// A worker, seen from the supervisor. Dropping it ends the thread after its round.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: u64,
    pub(super) watch: Arc<Watch>,
    orders: Sender<RoundOrder>,
}

impl Worker {
    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(super) fn start(number: u64, shared: Shared) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let watch = Arc::new(Watch::default());
        let meter = Meter {
            watch: Arc::clone(&watch),
            calls: Arc::clone(&shared.calls),
        };
        std::thread::Builder::new()
            .name("nvml".to_owned())
            .spawn(move || {
                let farewell = Farewell(number, shared.reports.clone());
                work(number, &shared, &meter, &inbox);
                drop(shared);
                drop(farewell);
            })?;
        Ok(Self {
            number,
            watch,
            orders,
        })
    }

    /// Orders a round. `false` when the thread has ended.
    pub(super) fn order(&self, order: RoundOrder) -> bool {
        self.orders.send(order).is_ok()
    }
}

/// Says that the thread ends, also when it panics.
struct Farewell(u64, Sender<Report>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // An error means that the supervisor has ended.
        self.1.send(Report::Exited(self.0)).ok();
    }
}

/// Carries orders out until none can come, or the thread is given up.
fn work(number: u64, shared: &Shared, meter: &Meter, inbox: &Receiver<RoundOrder>) {
    let mut next = inbox.recv().ok();
    while let Some(order) = next.take() {
        let session = match session(shared, meter) {
            Ok(session) => session,
            Err(Refusal::Abandoned) => return,
            Err(Refusal::State(state)) => {
                shared.reports.send(Report::Done(number, Err(state))).ok();
                next = inbox.recv().ok();
                continue;
            }
        };
        let mut rounds = Rounds::new(&session.nvml, meter);
        next = Some(order);
        while let Some(order) = next.take() {
            let outcome = rounds.round(&order.skip, &mut |found| {
                shared.reports.send(Report::Found(found)).ok();
            });
            let outcome = match outcome {
                Ok(()) => Ok(NvmlState::Active {
                    driver: session.driver.clone(),
                }),
                Err(Fault::Abandoned) => return,
                Err(fault) => Err(NvmlState::Failed(format!(
                    "nvmlDeviceGetCount_v2: {fault}; look for NVRM in the kernel log"
                ))),
            };
            shared.reports.send(Report::Done(number, outcome)).ok();
            next = inbox.recv().ok();
            if next.as_ref().is_some_and(|order| order.renew) {
                break;
            }
        }
        if rounds.close().is_err() {
            return;
        }
        drop(rounds);
        if next.is_some() && !renew(shared, session, meter) {
            return;
        }
    }
}

/// NVML as another worker left it, or initialised now.
fn session(shared: &Shared, meter: &Meter) -> Result<Arc<Session>, Refusal> {
    let slot = || {
        shared
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    // Taken out of the lock before the call, which may hang.
    let current = slot().clone();
    if let Some(session) = current {
        return Ok(session);
    }
    let session = Arc::new(library::open(shared.library.as_deref(), meter)?);
    *slot() = Some(Arc::clone(&session));
    Ok(session)
}

/// Ends the session, so that the next one looks at the hardware again. `false` when the thread has
/// been given up meanwhile.
fn renew(shared: &Shared, session: Arc<Session>, meter: &Meter) -> bool {
    let shelved = shared
        .session
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let ended = meter.call("nvmlShutdown", None, || {
        drop((shelved, session));
        Ok(())
    });
    ended.is_ok()
}

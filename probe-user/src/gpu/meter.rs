//! NVML calls that are watched, timed and counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nvml_wrapper::error::NvmlError;

use super::calls::Calls;
use super::fault::Fault;

/// A call that has not returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// NVML function.
    pub(super) call: &'static str,
    /// NVML index of the GPU it concerns; `None` when it concerns no GPU.
    pub(super) gpu: Option<u32>,
    /// When it was entered.
    pub(super) since: Instant,
}

/// What a worker is doing, seen by the supervisor. Never locked during an NVML call.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Doing>);

#[derive(Debug, Default)]
struct Doing {
    in_flight: Option<InFlight>,
    abandoned: bool,
}

impl Watch {
    /// The worker's call if it has outrun `bound`; the worker is given up with that.
    pub(super) fn give_up_after(&self, bound: Duration) -> Option<InFlight> {
        let mut doing = self.lock();
        let overdue = doing
            .in_flight
            .filter(|call| call.since.elapsed() >= bound)?;
        doing.abandoned = true;
        Some(overdue)
    }

    fn enter(&self, call: InFlight) -> Result<(), Fault> {
        let mut doing = self.lock();
        if doing.abandoned {
            return Err(Fault::Abandoned);
        }
        doing.in_flight = Some(call);
        Ok(())
    }

    fn leave(&self) -> Result<(), Fault> {
        let mut doing = self.lock();
        doing.in_flight = None;
        if doing.abandoned {
            return Err(Fault::Abandoned);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a worker's calls.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) watch: Arc<Watch>,
    pub(super) calls: Arc<Calls>,
}

impl Meter {
    /// Makes one NVML call, named as in `nvml.h`, on the GPU with an NVML index.
    ///
    /// # Errors
    ///
    /// NVML's error, or [`Fault::Abandoned`] when the supervisor has given the thread up: then the
    /// value is thrown away and the thread must make no more calls.
    pub(super) fn call<T>(
        &self,
        name: &'static str,
        gpu: Option<u32>,
        call: impl FnOnce() -> Result<T, NvmlError>,
    ) -> Result<T, Fault> {
        let since = Instant::now();
        self.watch.enter(InFlight {
            call: name,
            gpu,
            since,
        })?;
        self.calls.began(name);
        let answer = call().map_err(Fault::from);
        let failed = answer.as_ref().is_err_and(Fault::is_failure);
        self.calls.ended(name, since.elapsed(), failed);
        self.watch.leave()?;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        Meter {
            watch: Arc::default(),
            calls: Arc::default(),
        }
    }

    #[test]
    fn call_within_its_bound_is_not_given_up() {
        let meter = meter();
        let answer = meter.call("nvmlX", Some(3), || {
            assert!(meter.watch.give_up_after(Duration::from_secs(9)).is_none());
            Ok(1)
        });
        assert_eq!(answer, Ok(1));
        assert!(meter.watch.give_up_after(Duration::ZERO).is_none());
    }

    #[test]
    fn call_given_up_loses_its_value_and_the_thread_makes_no_more() {
        let meter = meter();
        let answer = meter.call("nvmlX", Some(3), || {
            let overdue = meter.watch.give_up_after(Duration::ZERO).unwrap();
            assert_eq!((overdue.call, overdue.gpu), ("nvmlX", Some(3)));
            Ok(1)
        });
        assert_eq!(answer, Err(Fault::Abandoned));
        let next = meter.call("nvmlY", None, || -> Result<(), NvmlError> {
            panic!("no call may follow")
        });
        assert_eq!(next, Err(Fault::Abandoned));
    }

    #[test]
    fn failures_are_counted_without_the_unsupported() {
        let meter = meter();
        meter.call("nvmlX", None, || Ok(())).unwrap();
        for error in [NvmlError::NotSupported, NvmlError::Unknown] {
            meter
                .call("nvmlX", None, || Err::<(), _>(error))
                .unwrap_err();
        }
        let call = meter.calls.snapshot()["nvmlX"];
        assert_eq!((call.count, call.failures, call.timeouts), (3, 1, 0));
    }
}

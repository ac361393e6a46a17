//! Wakes tasks at absolute monotonic times, more finely than the runtime's 1 ms wheel.
//!
//! One thread sleeps until the earliest deadline on a high-resolution kernel timer and hands the
//! wake-up to the task that waits for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

use crate::clock::monotonic_ns;

/// Timer slack of the timer thread, in nanoseconds: the kernel's default of 50 µs would be added
/// to each wake-up. See `PR_SET_TIMERSLACK` in prctl(2).
const TIMER_SLACK_NS: u64 = 1;

/// How long the thread sleeps when nothing is due: it only bounds the wait for a deadline.
const IDLE: Duration = Duration::from_hours(1);

/// Gives wake-ups at absolute times. Clones share one thread.
#[derive(Clone)]
pub(crate) struct Timer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    alarms: BinaryHeap<Reverse<Alarm>>,
    set: u64,
    closed: bool,
}

struct Alarm {
    deadline_ns: u64,
    order: u64,
    waiter: oneshot::Sender<()>,
}

impl Timer {
    /// Starts the timer thread; it ends when the last clone is dropped.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let shared = Arc::<Shared>::default();
        let running = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("timer".to_owned())
            .spawn(move || wake_waiters(&running))
            .context("start the timer thread")?;
        Ok(Self { shared })
    }

    /// Waits until the monotonic clock reaches `deadline_ns`; never returns before.
    pub(crate) async fn sleep_until(&self, deadline_ns: u64) {
        if deadline_ns <= monotonic_ns() {
            return;
        }
        let (waiter, woken) = oneshot::channel();
        {
            let mut state = self
                .shared
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let order = state.set;
            state.set += 1;
            let earliest = state.alarms.peek().map(|Reverse(alarm)| alarm.deadline_ns);
            state.alarms.push(Reverse(Alarm {
                deadline_ns,
                order,
                waiter,
            }));
            if earliest.is_none_or(|earliest| deadline_ns < earliest) {
                self.shared.wake.notify_one();
            }
        }
        // The thread outlives every clone, so the sender is only dropped after it fired.
        woken.await.ok();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // One reference is this one, one the thread's.
        if Arc::strong_count(&self.shared) <= 2 {
            self.shared
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .closed = true;
            self.shared.wake.notify_one();
        }
    }
}

fn wake_waiters(shared: &Shared) {
    // Refused in some sandboxes: wake-ups are then up to 50 µs later, nothing else changes.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS)).ok();
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    while !state.closed {
        let now_ns = monotonic_ns();
        let wait = match state.alarms.peek() {
            Some(Reverse(alarm)) if alarm.deadline_ns <= now_ns => {
                if let Some(Reverse(alarm)) = state.alarms.pop() {
                    // A waiter that gave up is gone: nothing to wake.
                    alarm.waiter.send(()).ok();
                }
                continue;
            }
            Some(Reverse(alarm)) => Duration::from_nanos(alarm.deadline_ns - now_ns),
            None => IDLE,
        };
        (state, _) = shared
            .wake
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline_ns, self.order).cmp(&(other.deadline_ns, other.order))
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Alarm {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NS_PER_MS;

    #[tokio::test]
    async fn sleepers_wake_in_deadline_order_and_not_early() {
        let timer = Timer::start().unwrap();
        let start = monotonic_ns();
        let late = async {
            timer.sleep_until(start + 20 * NS_PER_MS).await;
            monotonic_ns()
        };
        let early = async {
            timer.sleep_until(start + 5 * NS_PER_MS).await;
            monotonic_ns()
        };
        let (late, early) = tokio::join!(late, early);
        assert!(early >= start + 5 * NS_PER_MS && late >= start + 20 * NS_PER_MS);
        assert!(early < late);
    }

    #[tokio::test]
    async fn sleep_until_the_past_returns_at_once() {
        let timer = Timer::start().unwrap();
        timer.sleep_until(1).await;
    }
}

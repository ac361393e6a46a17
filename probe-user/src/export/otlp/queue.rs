//! Traces between the agent's thread and the exporter.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use probe_core::trace::Trace;
use prometheus::IntCounter;
use tokio::sync::Notify;

/// A queue of at most so many spans; clones share it.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Notify,
    most_spans: usize,
    /// Spans that found no room.
    dropped: IntCounter,
}

#[derive(Default)]
struct Waiting {
    traces: VecDeque<Trace>,
    spans: usize,
}

impl Queue {
    pub(super) fn new(most_spans: usize, dropped: IntCounter) -> Self {
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Notify::new(),
            most_spans,
            dropped,
        }))
    }

    /// Leaves a trace; never waits. One that finds no room is dropped and counted.
    pub fn push(&self, trace: Trace) {
        let spans = trace.spans.len();
        let mut waiting = self.waiting();
        if waiting.spans + spans > self.0.most_spans {
            self.0.dropped.inc_by(spans as u64);
            return;
        }
        waiting.spans += spans;
        waiting.traces.push_back(trace);
        drop(waiting);
        self.0.changed.notify_one();
    }

    /// Waits until this many spans are there, or the first one has waited for `longest`.
    pub(super) async fn ready(&self, spans: usize, longest: Duration) {
        while self.waiting().spans == 0 {
            self.0.changed.notified().await;
        }
        let enough = async {
            while self.waiting().spans < spans {
                self.0.changed.notified().await;
            }
        };
        // Either way it is time.
        tokio::time::timeout(longest, enough).await.ok();
    }

    /// Takes traces of about this many spans: at least one, where there is one.
    pub(super) fn take(&self, spans: usize) -> Vec<Trace> {
        let mut waiting = self.waiting();
        let (mut taken, mut count) = (Vec::new(), 0);
        while let Some(first) = waiting.traces.front()
            && (taken.is_empty() || count + first.spans.len() <= spans)
        {
            count += first.spans.len();
            taken.extend(waiting.traces.pop_front());
        }
        waiting.spans -= count;
        taken
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::otlp::encode::tests::trace;

    fn queue(most: usize) -> (Queue, IntCounter) {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        (Queue::new(most, dropped.clone()), dropped)
    }

    #[test]
    fn what_finds_no_room_is_counted_span_by_span() {
        let (queue, dropped) = queue(5);
        for spans in [3, 3, 2, 1] {
            queue.push(trace(spans));
        }
        assert_eq!(dropped.get(), 3 + 1);
        let taken = |most| {
            queue
                .take(most)
                .iter()
                .map(|it| it.spans.len())
                .sum::<usize>()
        };
        assert_eq!([taken(4), taken(4), taken(4)], [3, 2, 0]);
        queue.push(trace(5));
        assert_eq!(taken(1), 5, "a trace is not cut");
    }

    #[tokio::test(start_paused = true)]
    async fn batch_is_ready_when_it_is_full_or_old() {
        let (queue, _) = queue(100);
        let ready = |queue: Queue| async move {
            let start = tokio::time::Instant::now();
            queue.ready(6, Duration::from_secs(5)).await;
            start.elapsed().as_secs()
        };
        queue.push(trace(3));
        assert_eq!(ready(queue.clone()).await, 5);
        queue.push(trace(3));
        assert_eq!(ready(queue.clone()).await, 0);
        queue.take(100);
        let late = queue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            late.push(trace(6));
        });
        assert_eq!(ready(queue).await, 60);
    }
}

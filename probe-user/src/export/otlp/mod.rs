//! Traces to an OpenTelemetry collector: OTLP over gRPC, or over HTTP with protobuf.
//!
//! The agent's thread puts traces into a [`Queue`] and never waits; a task sends them in batches, and again
//! with a growing pause where the collector cannot take them. What the queue cannot hold, and what the
//! collector does not take in time, is dropped and counted.

mod backoff;
mod client;
mod encode;
mod queue;
mod settings;

use std::time::Duration;

use probe_core::metrics::Metrics;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use backoff::Backoff;
use client::{Client, Outcome};
use encode::Encoder;
pub use queue::Queue;
pub use settings::{EndpointError, Protocol, Settings};

/// How long one batch is tried before it is given up: an outage that is longer is one of traces too.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long sending may take once the agent ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Sends what the queue holds.
pub struct Exporter {
    settings: Settings,
    queue: Queue,
    client: Client,
    encoder: Encoder,
    metrics: Metrics,
    /// The collector did not take the last batch.
    failing: bool,
}

/// Tells a running exporter to end.
pub struct Ending(watch::Sender<Option<Instant>>);

impl Ending {
    /// What is queued is sent in a last attempt, and what is not sent then is lost: nothing more comes.
    pub async fn wait(self, exporting: tokio::task::JoinHandle<()>) {
        let last = Instant::now() + LAST_WORDS;
        self.0.send_replace(Some(last));
        // Counting what is left takes no time.
        timeout_at(last + LAST_WORDS, exporting).await.ok();
    }
}

impl Exporter {
    /// An exporter that is not connected yet.
    ///
    /// # Errors
    /// Where the certificates that the collector's has to lead to cannot be read.
    pub fn new(settings: Settings, metrics: &Metrics) -> Result<Self, EndpointError> {
        let client = Client::new(&settings)?;
        for reason in ["queue_full", "unavailable", "rejected", "shutdown"] {
            metrics.probe.spans_dropped.with(&[reason]);
        }
        metrics.probe.spans_exported.with(&[]);
        let queue = Queue::new(
            settings.queue,
            metrics.probe.spans_dropped.with(&["queue_full"]),
        );
        Ok(Self {
            queue,
            client,
            encoder: Encoder::new(),
            metrics: metrics.clone(),
            failing: false,
            settings,
        })
    }

    /// Where traces are left for it.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Starts it on this thread's runtime.
    pub fn start(self) -> (Ending, tokio::task::JoinHandle<()>) {
        let (ending, ended) = watch::channel(None);
        (Ending(ending), tokio::spawn(self.run(ended)))
    }

    async fn run(mut self, mut ended: watch::Receiver<Option<Instant>>) {
        loop {
            let last = tokio::select! {
                () = self.queue.ready(self.settings.batch, self.settings.interval) => false,
                // Nobody can say it any more: the agent is gone.
                _ = ended.wait_for(Option::is_some) => true,
            };
            let traces = self.queue.take(self.settings.batch);
            if traces.is_empty() {
                if last {
                    return;
                }
                continue;
            }
            let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
            let request = self.encoder.encode(&traces);
            self.deliver(request, spans as u64, &mut ended).await;
        }
    }

    /// Sends a batch until it is taken, refused or given up.
    async fn deliver(
        &mut self,
        request: client::Request,
        spans: u64,
        ended: &mut watch::Receiver<Option<Instant>>,
    ) {
        let mut backoff = Backoff::default();
        let given_up = Instant::now() + PATIENCE;
        loop {
            let last = *ended.borrow();
            let until = Instant::now() + self.settings.timeout;
            let until = last.map_or(until, |last| until.min(last));
            let outcome = timeout_at(until, self.client.send(request.clone()))
                .await
                .unwrap_or_else(|_| Outcome::Unavailable {
                    error: "no answer in time".to_owned(),
                    after: None,
                });
            let (error, after) = match outcome {
                Outcome::Taken { rejected, message } => {
                    let rejected = rejected.min(spans);
                    self.metrics
                        .probe
                        .spans_exported
                        .with(&[])
                        .inc_by(spans - rejected);
                    self.lose(rejected, "rejected");
                    self.judge((rejected > 0).then_some(message.as_str()));
                    return;
                }
                Outcome::Rejected(error) => {
                    self.lose(spans, "rejected");
                    self.judge(Some(error.as_str()));
                    return;
                }
                Outcome::Unavailable { error, after } => (error, after),
            };
            self.judge(Some(error.as_str()));
            let pause = after.unwrap_or_else(|| backoff.pause());
            if last.is_some() {
                return self.lose(spans, "shutdown");
            }
            // The collector may ask for a pause of any length.
            if given_up.saturating_duration_since(Instant::now()) < pause {
                return self.lose(spans, "unavailable");
            }
            tokio::select! {
                () = sleep(pause) => {}
                // One last attempt, unless the agent is gone.
                told = ended.wait_for(Option::is_some) => {
                    if told.is_err() {
                        return self.lose(spans, "shutdown");
                    }
                }
            }
        }
    }

    fn lose(&self, spans: u64, reason: &str) {
        let dropped = self.metrics.probe.spans_dropped.with(&[reason]);
        dropped.inc_by(spans);
    }

    /// Says when the collector begins to fail, and when it works again.
    fn judge(&mut self, error: Option<&str>) {
        let endpoint = self.client.endpoint();
        match error {
            Some(error) if !self.failing => {
                tracing::warn!(endpoint, error, "traces are not exported");
            }
            None if self.failing => tracing::info!(endpoint, "traces are exported again"),
            _ => return,
        }
        self.failing = !self.failing;
    }
}

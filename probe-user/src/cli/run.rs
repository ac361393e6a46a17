//! `voxprobe run`: the agent.

use std::{net::SocketAddr, path::PathBuf, sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use clap::Args;
use probe_core::{interpret::Id, metrics::Metrics, trace::Seed};

use super::{
    Outcome, Overrides, Watching,
    progress::Progress,
    reload::{self, Reload},
    stop,
};
use crate::{
    agent::{Agent, CostMetrics, Reloads, Shared, lengthen_slice},
    export::{Endpoint, Guard, otlp::Exporter},
    privileges,
    settings::Settings,
    telemetry, top,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
    /// Address of the HTTP endpoint; port 0 takes a free one [default: 127.0.0.1:9781, or as
    /// configured]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Also save a capture file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// For tests: loses this share of the kernel's records (0 to 1, at random) at the ring, as if it
    /// were full
    #[arg(long, value_name = "SHARE", hide = true, value_parser = share)]
    lose_records: Option<u32>,
}

/// A share from 0 to 1, of 2^32.
fn share(text: &str) -> Result<u32, String> {
    let share: f64 = text.parse().map_err(|_| "no number".to_owned())?;
    if !(0.0..=1.0).contains(&share) {
        return Err("not from 0 to 1".to_owned());
    }
    Ok((share * f64::from(u32::MAX)) as u32)
}

pub(super) fn run(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    let overrides = Overrides {
        listen: arguments.listen,
        ..overrides
    };
    let mut settings = arguments.watching.settings(&overrides)?;
    telemetry::init(settings.log);
    if let Some(share) = arguments.lose_records {
        tracing::warn!("records are lost on purpose: what is exported is too little");
        settings.hooks.refused_records = share;
    }
    let guard = Guard::load(settings.web_config.as_deref())?;
    let endpoint = Endpoint::bind(settings.listen)?;
    let watch = Watch {
        tells: true,
        endpoint: Some((endpoint, guard)),
        reload: Some(Reload {
            watching: arguments.watching.clone(),
            overrides,
            running: settings.clone(),
        }),
        capture: arguments.record.clone(),
        ..Watch::default()
    };
    watch.run(settings)?;
    Ok(Outcome::Healthy)
}

/// What the agent does beside watching.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one thing more that it does"
)]
pub(super) struct Watch {
    /// Serves the metrics.
    pub(super) endpoint: Option<(Endpoint, Guard)>,
    /// Reads the configuration again when asked to.
    pub(super) reload: Option<Reload>,
    /// Writes a capture.
    pub(super) capture: Option<PathBuf>,
    /// Ends by itself.
    pub(super) limit: Option<Duration>,
    /// Diagnoses only this worker.
    pub(super) worker: Option<Id>,
    /// Diagnoses for a report, with or without scheduling.
    pub(super) reports: bool,
    /// Says on stderr how it is going.
    pub(super) shows_progress: bool,
    /// Tells in the log what happens, and exports traces where they are configured.
    pub(super) tells: bool,
    /// Fills the terminal with the live view, which ends it too.
    pub(super) is_seen: bool,
}

impl Watch {
    /// Gives the agent what it does beside watching.
    fn charge(&self, agent: &mut Agent) -> anyhow::Result<()> {
        if let Some(worker) = self.worker.clone() {
            agent.narrow(worker);
        }
        if self.reports {
            agent.report();
        }
        if self.tells {
            agent.tell_notices();
        }
        let Some(path) = &self.capture else {
            return Ok(());
        };
        agent.record_to(path.clone()).with_context(|| {
            format!(
                "{}: capture cannot be written: give a path that can be",
                path.display()
            )
        })
    }

    /// Runs the agent until it is told to stop or the time is over; gives the records captured.
    pub(super) fn run(self, settings: Settings) -> anyhow::Result<(u64, Shared)> {
        let records = self.capture.is_some();
        let shared = Shared {
            metrics: Metrics::new(settings.limits),
            ..Shared::default()
        };
        let hooks = !settings.library_hooks.is_empty();
        let traces = settings.traces.clone().filter(|_| self.tells);
        let exporter = traces.map(|traces| Exporter::new(traces, &shared.metrics));
        let exporter = exporter.transpose().context("traces")?;
        let mut agent = Agent::new(settings, shared.clone())?;
        CostMetrics::hooks(shared.metrics.registry(), agent.tier()).context("register metrics")?;
        self.charge(&mut agent)?;
        if let Some(exporter) = &exporter {
            agent.trace_to(exporter.queue(), seed()?);
        }
        let reloads = Reloads::register(shared.metrics.registry()).context("register metrics")?;
        agent.count_reloads(reloads.clone());
        let Self {
            endpoint,
            reload,
            limit,
            shows_progress,
            is_seen,
            ..
        } = self;
        // Threads that are started from here on have no more than this one. Only where it serves: a report
        // may have to be written into another user's folder at the end.
        if endpoint.is_some()
            && let Err(error) = privileges::drop_unneeded(hooks)
        {
            tracing::warn!(%error, "capabilities that are not needed any more are kept");
        }
        if let Err(error) = lengthen_slice() {
            tracing::debug!(%error, "what is watched may have to wait for the probe");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the async runtime")?;
        // Dropped when the agent's thread ends, however it ends: stale metrics must not be served.
        let (alive, agent_gone) = tokio::sync::oneshot::channel::<()>();
        let agent = std::thread::Builder::new()
            .name("agent".to_owned())
            .spawn(move || {
                let _alive = alive;
                agent.run()
            })
            .context("start the agent's thread")?;
        let mut exporting = None;
        let ended = runtime.block_on(async {
            exporting = exporter.map(Exporter::start);
            if is_seen {
                return seen(stop::requested(limit, agent_gone), &shared).await;
            }
            let progress = Progress::new(shows_progress, limit, &shared);
            let Some((endpoint, guard)) = endpoint else {
                return progress.until(stop::requested(limit, agent_gone)).await;
            };
            tracing::info!(listen = %endpoint.address()?, "metrics are served");
            let next = shared.next.clone();
            // It ends with the runtime.
            drop(tokio::spawn(async move {
                let served = match reload {
                    Some(reload) if !records => reload.serve(next, reloads).await,
                    _ => reload::refuse(reloads).await,
                };
                if let Err(error) = served {
                    tracing::warn!(%error, "the configuration is not read again");
                }
            }));
            let (ended, end) = tokio::sync::oneshot::channel::<()>();
            let server = tokio::spawn(endpoint.serve(shared.clone(), guard, async move {
                // Either way it is time.
                end.await.ok();
            }));
            let stopped = stop::requested(limit, agent_gone).await;
            drop(ended);
            // A scrape that hangs must not keep the programs attached.
            let served = tokio::time::timeout(Duration::from_secs(1), server).await;
            if let Ok(Ok(Err(error))) = served {
                tracing::warn!(%error, "the HTTP endpoint failed");
            }
            stopped
        });
        shared.stop.store(true, Ordering::Release);
        let records = agent
            .join()
            .map_err(|_| anyhow::anyhow!("the agent's thread panicked"))?;
        if let Some((ending, sending)) = exporting {
            runtime.block_on(ending.wait(sending));
        }
        ended.context("wait for signals")?;
        Ok((records.context("write the capture")?, shared))
    }
}

/// Random numbers that no other run has.
fn seed() -> anyhow::Result<Seed> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("get random numbers")?;
    let (one, other) = bytes.split_at(8);
    let number = |half: &[u8]| half.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Ok([number(one), number(other)])
}

/// Shows the live view until it is left, or something asks for the end.
async fn seen(
    stopped: impl Future<Output = std::io::Result<()>>,
    shared: &Shared,
) -> std::io::Result<()> {
    let shown = shared.clone();
    let mut view = tokio::task::spawn_blocking(move || top::show(&shown));
    let left = tokio::select! {
        left = &mut view => left,
        stopped = stopped => {
            shared.stop.store(true, Ordering::Release);
            let left = view.await;
            stopped?;
            left
        }
    };
    left.map_err(std::io::Error::other)?
}

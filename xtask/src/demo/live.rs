//! The demo with eBPF: a voice system and the agent start, are watched for a while, and what was seen
//! is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::agent::{self, Agent};
use super::diagnosis::Diagnosis;
use super::lab::{Client, Habit, Orchestrator, Redis, Talkers, Worker};
use super::screen::Screen;
use super::watch::{LATER, Watch};
use super::{excerpt, scenario, shown};
use crate::workspace::Workspace;

/// What the demo is told.
pub(super) struct Show<'a> {
    pub(super) workspace: &'a Workspace,
    /// Where everything is written.
    pub(super) directory: &'a Path,
    pub(super) duration: Duration,
    /// Where what the kernel tells is saved.
    pub(super) capture: &'a Path,
    /// Port of Redis, as in the agent's settings.
    pub(super) redis_port: u16,
}

impl Show<'_> {
    /// Starts the voice system and the agent, and watches for as long as asked.
    pub(super) fn run(&self, screen: &mut Screen) -> Result<()> {
        let Self {
            workspace,
            directory,
            duration,
            ..
        } = *self;
        let worker = Worker::start(&workspace.release("voicelab"), directory)?;
        let earlier = Client::start(&worker, "earlier", 2, Habit::Listen, duration)?;
        screen.say(format!(
            "\na text-to-speech worker (pid {}) serves two sessions, earlier-*",
            worker.pid()
        ))?;
        let redis = Redis::start(workspace, directory, self.redis_port)?;
        let agent = agent::start(workspace, directory, worker.pid(), self.capture)?;
        screen.explain(format!(
            "voxprobe (pid {}) found it as {} and is attached, metrics: {}",
            agent.pid(),
            scenario::WORKER,
            agent.url("/metrics")
        ))?;
        let orchestrator = Orchestrator::start(&worker, redis.as_ref())?;
        agent.wait_for_orchestrator()?;
        introduce(&orchestrator, redis.as_ref(), screen)?;
        let talkers = Talkers::start(&orchestrator, &worker, duration)?;
        let later = Client::start(&worker, LATER, 3, Habit::Listen, duration)?;
        let control = Client::start(&worker, "control", 2, Habit::Control, duration)?;

        let mut watch = Watch::new(&agent, &worker, duration)?;
        watch.run(screen)?;
        for client in [&earlier, &later, &control] {
            client.still_runs()?;
        }
        orchestrator.still_runs()?;
        talkers.still_run()?;
        let saved = self.tell(&agent, &watch, screen)?;
        let (held_back, was_at) = (watch.held_back().to_string(), agent.url("/metrics"));
        // Before the voice system, so that a capture ends while streams are open.
        drop(agent);
        for line in Diagnosis::of(workspace, self.capture)?.lines(Some(&held_back)) {
            screen.explain(line)?;
        }
        screen.explain(format!(
            "\nmetrics were at {was_at}; the last reading: {}",
            shown(&saved)
        ))
    }

    /// Shows what the metrics say, and saves them; gives where.
    fn tell(&self, agent: &Agent, watch: &Watch<'_>, screen: &mut Screen) -> Result<PathBuf> {
        let text = agent.metrics()?;
        let metrics = super::exposition::parse(&text);
        let saved = self.directory.join("metrics.txt");
        fs::write(&saved, &text).with_context(|| format!("write {}", saved.display()))?;
        for line in excerpt::lines(&metrics) {
            screen.say(line)?;
        }
        screen.say(watch.cpu_share(&metrics))?;
        if let Some(lost) = excerpt::lost(&metrics) {
            screen.say(lost)?;
        }
        Ok(saved)
    }
}

/// Says who is there beside the worker.
fn introduce(
    orchestrator: &Orchestrator,
    redis: Option<&Redis>,
    screen: &mut Screen,
) -> Result<()> {
    let registry = redis.map_or_else(String::new, |redis| {
        format!(", registered in Redis at {}", redis.address())
    });
    screen.explain(format!(
        "an orchestrator (pid {}) came in front of it{registry}: four talkers at a time speak over \
         WebSocket (permessage-deflate), interrupt and leave, ws-*",
        orchestrator.pid()
    ))?;
    if redis.is_none() {
        screen.explain("no Redis here (package redis-tools): the demo goes on without it")?;
    }
    screen.explain(
        "new sessions at the worker: later-*, control-*. The calls of earlier-* are older than \
         voxprobe and are known by what they say; the model they asked for stays unknown (-).\n\n",
    )
}

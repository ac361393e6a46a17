//! The demo with eBPF: the live view, one fault half-way, and what the metrics say about it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::agent::{self, Agent};
use super::exposition::{Sample, sum};
use super::finding;
use super::lab::{Client, Habit, Worker};
use super::screen::Screen;
use super::streams::{self, Stream};
use super::{excerpt, scenario, shown, view};
use crate::workspace::Workspace;

/// Between two pictures of the live view.
const REFRESH: Duration = Duration::from_secs(1);

/// By how much the frame that is held back misses its deadline, in milliseconds. It is held back by
/// what its listener has in hand on top: gaps that a busy machine made before only add to that.
const MISSED_MS: f64 = 400.0;

/// After the frame was sent, until it is in the metrics: the agent's time to publish.
const SETTLED: Duration = Duration::from_millis(1_100);

/// A busy machine can leave the listener a gap, and with it more audio in hand, between the look at
/// its stream and the fault. Then the fault is switched on again, so many times in all.
const ATTEMPTS: u32 = 3;

/// Sessions that do nothing but speak, one of which is held back.
const LATER: &str = "later";

/// Starts the voice system and the agent, and watches for as long as asked.
pub(super) fn show(
    workspace: &Workspace,
    directory: &Path,
    duration: Duration,
    capture: Option<&Path>,
    screen: &mut Screen,
) -> Result<()> {
    let worker = Worker::start(&workspace.release("voicelab"), directory)?;
    let earlier = Client::start(&worker, "earlier", 2, Habit::Listen, duration)?;
    screen.say(format!(
        "\na text-to-speech worker (pid {}) serves two sessions, earlier-*",
        worker.pid()
    ))?;
    let agent = agent::start(workspace, directory, worker.pid(), capture)?;
    screen.explain(format!(
        "voxprobe (pid {}) found it as {} and is attached, metrics: {}",
        agent.pid(),
        scenario::WORKER,
        agent.url("/metrics")
    ))?;
    screen.explain(
        "new sessions: later-*, control-*. The calls of earlier-* are older than voxprobe and are \
         known by what they say; the model they asked for stays unknown (-).\n\n",
    )?;
    let later = Client::start(&worker, LATER, 3, Habit::Listen, duration)?;
    let control = Client::start(&worker, "control", 2, Habit::Control, duration)?;

    let mut watch = Watch::new(&agent, &worker, duration)?;
    watch.run(screen)?;
    for client in [&earlier, &later, &control] {
        client.still_runs()?;
    }
    let text = agent.metrics()?;
    let metrics = super::exposition::parse(&text);
    let saved = directory.join("metrics.txt");
    fs::write(&saved, &text).with_context(|| format!("write {}", saved.display()))?;

    for line in excerpt::lines(&metrics) {
        screen.say(line)?;
    }
    screen.say(watch.cpu_share(&metrics))?;
    if let Some(lost) = excerpt::lost(&metrics) {
        screen.say(lost)?;
    }
    screen.say(format!(
        "\nmetrics were at {}; the last reading: {}",
        agent.url("/metrics"),
        shown(&saved)
    ))?;
    // Before the voice system, so that a capture ends while streams are open.
    drop(agent);
    Ok(())
}

/// The live view and its fault.
struct Watch<'a> {
    agent: &'a Agent,
    worker: &'a Worker,
    duration: Duration,
    started: Instant,
    first: Vec<Sample>,
    fault: Fault,
    attempts: u32,
}

/// How far the fault is.
enum Fault {
    Due,
    /// Switched on; to be seen from then on, against the metrics of before.
    Active(Instant, Vec<Sample>),
    Reported,
}

impl<'a> Watch<'a> {
    fn new(agent: &'a Agent, worker: &'a Worker, duration: Duration) -> Result<Self> {
        Ok(Self {
            agent,
            worker,
            duration,
            started: Instant::now(),
            first: agent.samples()?,
            fault: Fault::Due,
            attempts: 0,
        })
    }

    fn run(&mut self, screen: &mut Screen) -> Result<()> {
        let mut table = Vec::new();
        while self.started.elapsed() < self.duration || self.is_under_way() {
            thread::sleep(REFRESH);
            self.worker.still_runs()?;
            let (streams, metrics) = (self.agent.streams()?, self.agent.samples()?);
            let elapsed = self.started.elapsed();
            table = view::picture(Some(elapsed), &streams, &metrics);
            if screen.is_terminal() {
                screen.draw(&table)?;
            } else {
                screen.say(view::summary(Some(elapsed), &streams, &metrics))?;
            }
            self.step(screen, &streams, metrics, &table)?;
        }
        if !screen.is_terminal() {
            screen.say(without_summary(&table))?;
        }
        ensure!(
            matches!(self.fault, Fault::Reported),
            "no stream was under way long enough for the fault: try a longer --for"
        );
        Ok(())
    }

    /// Whether a fault was switched on whose effect is not told yet.
    fn is_under_way(&self) -> bool {
        self.attempts > 0 && !matches!(self.fault, Fault::Reported)
    }

    /// Switches the fault on half-way, and reports it when it has had its effect.
    fn step(
        &mut self,
        screen: &mut Screen,
        streams: &[Stream],
        metrics: Vec<Sample>,
        table: &[String],
    ) -> Result<()> {
        match &self.fault {
            Fault::Due if self.started.elapsed() * 2 >= self.duration => {
                let Some((session, margin)) = streams::speaking(streams, LATER) else {
                    return Ok(());
                };
                let hold = (margin + MISSED_MS).round();
                self.worker.stall(hold as u64, session)?;
                if !screen.is_terminal() {
                    screen.say(without_summary(table))?;
                }
                screen.say(format!(
                    "\nfault: the worker holds one frame of {session} back by {hold} ms, when its \
                     listener has {margin:.0} ms of audio in hand"
                ))?;
                let seen_from = Instant::now() + Duration::from_millis(hold as u64) + SETTLED;
                self.fault = Fault::Active(seen_from, metrics);
                self.attempts += 1;
            }
            Fault::Active(seen_from, before) if Instant::now() >= *seen_from => {
                let finding = finding::between(before, &metrics);
                if !finding.shows_a_stall() && self.attempts < ATTEMPTS {
                    screen.say("other gaps came in between: once more")?;
                    self.fault = Fault::Due;
                    return Ok(());
                }
                screen.say("what the metrics say about it:")?;
                for line in finding.lines() {
                    screen.say(line)?;
                }
                screen.say("")?;
                ensure!(
                    finding.shows_a_stall(),
                    "the metrics do not show the frame that was held back"
                );
                self.fault = Fault::Reported;
            }
            Fault::Due | Fault::Active(..) | Fault::Reported => {}
        }
        Ok(())
    }

    /// What the agent used of one core since the view began.
    fn cpu_share(&self, last: &[Sample]) -> String {
        let total = |samples: &[Sample]| sum(samples, "voxprobe_cpu_seconds_total").unwrap_or(0.0);
        let seconds = self.started.elapsed().as_secs_f64();
        let share = (total(last) - total(&self.first)) / seconds.max(f64::EPSILON);
        format!(
            "that is {:.1} % of one core over {seconds:.0} s",
            share * 100.0
        )
    }
}

/// A picture whose first line was said already.
fn without_summary(picture: &[String]) -> String {
    picture.get(1..).unwrap_or_default().join("\n")
}

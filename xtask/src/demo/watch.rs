//! The live view, and the fault half-way.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::agent::Agent;
use super::exposition::{Sample, sum};
use super::lab::Worker;
use super::screen::Screen;
use super::streams::{self, Stream};
use super::{finding, view};

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

/// Prefix of the sessions that do nothing but speak, one of which is held back.
pub(super) const LATER: &str = "later";

/// The live view and its fault.
pub(super) struct Watch<'a> {
    agent: &'a Agent,
    worker: &'a Worker,
    duration: Duration,
    started: Instant,
    first: Vec<Sample>,
    fault: Fault,
    attempts: u32,
    /// Session whose frame was held back last.
    held_back: String,
}

/// How far the fault is.
enum Fault {
    Due,
    /// Switched on; to be seen from then on, against the metrics of before.
    Active(Instant, Vec<Sample>),
    Reported,
}

impl<'a> Watch<'a> {
    pub(super) fn new(agent: &'a Agent, worker: &'a Worker, duration: Duration) -> Result<Self> {
        Ok(Self {
            agent,
            worker,
            duration,
            started: Instant::now(),
            first: agent.samples()?,
            fault: Fault::Due,
            attempts: 0,
            held_back: String::new(),
        })
    }

    pub(super) fn run(&mut self, screen: &mut Screen) -> Result<()> {
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

    /// Session whose frame was held back.
    pub(super) fn held_back(&self) -> &str {
        &self.held_back
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
                self.held_back = session.to_string();
                if !screen.is_terminal() {
                    screen.say(without_summary(table))?;
                }
                screen.explain(format!(
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
    pub(super) fn cpu_share(&self, last: &[Sample]) -> String {
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

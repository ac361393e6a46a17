//! What one call costs: under nothing, empty programs, the probe and other tools in turn.

mod attached;
mod table;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::attached::Attached;
use crate::bench::Bench;
use crate::condition::{Condition, in_turn};
use crate::machine::{self, Refused};
use crate::peer::Subject;
use crate::subject::{Kind, ROUND_WRITES};

/// Times that each subject is measured in one attachment. The least counts: a neighbour's work, which lasts for
/// seconds, takes time and gives none.
const ROUNDS: u32 = 3;

/// What one attachment, or its absence, gave. Times of one call in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Round {
    watched_write: f64,
    unwatched_write: f64,
    getppid: f64,
    read: f64,
    attachment: Option<Attachment>,
}

/// How something that was attached behaved.
#[derive(Clone, Copy, Debug)]
struct Attachment {
    /// Time until everything was attached.
    start: Duration,
    /// Time until everything was detached.
    stop: Duration,
    /// Part of the watched writes that it did not see; `None` where it looks at none.
    lost: Option<f64>,
}

/// Everything measured.
#[derive(Debug)]
struct Figures {
    /// What was measured under, nothing first.
    conditions: Vec<Condition>,
    /// Conditions that this host refuses, and why.
    refused: Vec<(Condition, String)>,
    /// Rounds of each repetition, in the order of the conditions.
    repetitions: Vec<Vec<Round>>,
    /// Rounds that were measured again, because another agent ran beside them.
    disturbed: u32,
}

/// The measured processes.
struct Subjects {
    watched: Subject,
    unwatched: Subject,
    getppid: Subject,
    read: Subject,
}

/// Measures and prints.
pub(crate) fn run(bench: &Bench, repetitions: u32) -> Result<()> {
    let (cpu, reader_cpu) = bench.cpus;
    let start = |kind| Subject::start(kind, cpu, reader_cpu);
    let mut subjects = Subjects {
        watched: start(Kind::Write)?,
        unwatched: start(Kind::Write)?,
        getppid: start(Kind::Getppid)?,
        read: start(Kind::Read)?,
    };
    let mut figures = Figures {
        conditions: Vec::new(),
        refused: Vec::new(),
        repetitions: Vec::new(),
        disturbed: 0,
    };
    for condition in Condition::all() {
        match Attached::attach(bench, condition, subjects.watched.pid())? {
            Ok(_) => figures.conditions.push(condition),
            Err(Refused(reason)) => figures.refused.push((condition, reason)),
        }
    }
    let places: Vec<usize> = (0..figures.conditions.len()).collect();
    for turn in 0..repetitions as usize {
        let mut rounds = vec![None; places.len()];
        for place in in_turn(&places, turn) {
            let condition = figures.conditions[place];
            rounds[place] = Some(loop {
                bench.wait_for_others()?;
                let (round, undisturbed) = subjects.round(bench, condition)?;
                if undisturbed {
                    break round;
                }
                figures.disturbed += 1;
            });
        }
        figures
            .repetitions
            .push(rounds.into_iter().flatten().collect());
    }
    table::print(&figures);
    Ok(())
}

impl Subjects {
    /// One round, and whether no other agent was there at its end.
    fn round(&mut self, bench: &Bench, condition: Condition) -> Result<(Round, bool)> {
        let attached = match Attached::attach(bench, condition, self.watched.pid())? {
            Ok(attached) => attached,
            Err(Refused(reason)) => bail!("{condition} was refused: {reason}"),
        };
        let mut round = self.times()?;
        let undisturbed = !machine::has_other_agent(attached.agent())?;
        round.attachment = attached.end(f64::from(ROUND_WRITES * ROUNDS))?;
        Ok((round, undisturbed))
    }

    /// Every subject in turn, several times.
    fn times(&mut self) -> Result<Round> {
        let mut watched = Vec::new();
        let mut unwatched = Vec::new();
        let mut getppid = Vec::new();
        let mut read = Vec::new();
        for _ in 0..ROUNDS {
            unwatched.push(self.unwatched.measure()?);
            getppid.push(self.getppid.measure()?);
            read.push(self.read.measure()?);
            watched.push(self.watched.measure()?);
        }
        let least = |times: Vec<f64>| times.into_iter().reduce(f64::min);
        let round = || {
            Some(Round {
                watched_write: least(watched)?,
                unwatched_write: least(unwatched)?,
                getppid: least(getppid)?,
                read: least(read)?,
                attachment: None,
            })
        };
        round().context("measure at least once")
    }
}

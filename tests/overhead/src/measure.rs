//! `measure`: the repetitions, and what is kept of them.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::agent::{Agent, Start};
use crate::condition::Condition;
use crate::load::{self, Load, Watching};
use crate::peer::Subject;
use crate::sample::spread;
use crate::subject::{Kind, ROUND_WRITES};
use crate::{machine, table};

/// Times that each subject is measured in one attachment; the median counts, so that a neighbour's
/// burst of work does not.
const ROUNDS: usize = 3;

/// How long another agent on this machine is waited for, in all.
const OTHERS_LIMIT: Duration = Duration::from_mins(5);
/// Between two looks whether it is gone.
const OTHERS_POLL: Duration = Duration::from_millis(500);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The agent
    #[arg(long)]
    voxprobe: PathBuf,
    /// The voice system that the agent's own cost is measured on
    #[arg(long)]
    voicelab: PathBuf,
    /// Times that every condition is measured
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..=1000))]
    repetitions: u32,
}

/// What one attachment, or its absence, gave. Times of one call in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) watched_write: f64,
    pub(crate) unwatched_write: f64,
    pub(crate) getppid: f64,
    pub(crate) read: f64,
    /// With a probe.
    pub(crate) probe: Option<Probe>,
}

/// How the probe of one round behaved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// Time until every program was attached.
    pub(crate) start: Duration,
    /// Time until every program was detached.
    pub(crate) stop: Duration,
    /// Records lost.
    pub(crate) lost: f64,
}

/// Everything measured.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Conditions that this host refuses, with the agent's own words.
    pub(crate) refused: Vec<(Condition, String)>,
    /// Rounds of each repetition, in the order of [`Condition::ALL`]; `None` for a refused one.
    pub(crate) repetitions: Vec<[Option<Round>; Condition::COUNT]>,
    /// Rounds that were measured again, because another agent ran beside them.
    pub(crate) disturbed: u32,
    /// The worker with all its streams, in the order of [`Watching::ALL`], by turn; `None` as above.
    pub(crate) loads: Vec<[Option<Load>; Watching::ALL.len()]>,
}

/// The measured processes.
struct Bench {
    voxprobe: PathBuf,
    directory: tempfile::TempDir,
    watched: Subject,
    unwatched: Subject,
    getppid: Subject,
    read: Subject,
    disturbed: u32,
    waited: Duration,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (subject_cpu, reader_cpu) = machine::cpus()?;
    let mut bench = Bench {
        voxprobe: arguments.voxprobe.clone(),
        directory: tempfile::tempdir().context("make a temporary directory")?,
        watched: Subject::start(Kind::Write, subject_cpu, reader_cpu)?,
        unwatched: Subject::start(Kind::Write, subject_cpu, reader_cpu)?,
        getppid: Subject::start(Kind::Getppid, subject_cpu, reader_cpu)?,
        read: Subject::start(Kind::Read, subject_cpu, reader_cpu)?,
        disturbed: 0,
        waited: Duration::ZERO,
    };
    let refused = bench.refused()?;
    if let Some((_, reason)) = refused.first()
        && refused.len() + 1 == Condition::COUNT
    {
        println!("overhead: skipped: {reason}");
        return Ok(());
    }
    let is_refused = |condition| refused.iter().any(|(one, _)| *one == condition);
    let mut repetitions = Vec::new();
    for index in 0..arguments.repetitions as usize {
        let mut rounds = [None; Condition::COUNT];
        for condition in Condition::order(index).filter(|condition| !is_refused(*condition)) {
            rounds[condition as usize] = Some(bench.undisturbed(condition)?);
        }
        repetitions.push(rounds);
    }
    let loads = bench.loads(&arguments.voicelab, is_refused)?;
    let figures = Figures {
        refused,
        repetitions,
        disturbed: bench.disturbed,
        loads,
    };
    table::print(&machine::facts()?, &figures);
    Ok(())
}

impl Bench {
    /// The conditions that this host refuses, and why.
    fn refused(&self) -> Result<Vec<(Condition, String)>> {
        let mut refused = Vec::new();
        for condition in Condition::ALL {
            if let Some(Start::Refused(reason)) = self.start(condition)? {
                refused.push((condition, reason));
            }
        }
        Ok(refused)
    }

    fn start(&self, condition: Condition) -> Result<Option<Start>> {
        let Some(attachment) = condition.attachment() else {
            return Ok(None);
        };
        let pid = self.watched.pid();
        let directory = self.directory.path();
        Agent::start(&self.voxprobe, directory, attachment, false, pid).map(Some)
    }

    /// A round beside which no other agent ran.
    fn undisturbed(&mut self, condition: Condition) -> Result<Round> {
        loop {
            self.wait_for_others()?;
            let (round, undisturbed) = self.round(condition)?;
            if undisturbed {
                return Ok(round);
            }
            self.disturbed += 1;
        }
    }

    fn wait_for_others(&mut self) -> Result<()> {
        let started = Instant::now();
        while machine::has_other_agent(None)? {
            let waited = self.waited + started.elapsed();
            ensure!(
                waited < OTHERS_LIMIT,
                "another voxprobe runs on this machine and taxes every process: stop it first"
            );
            thread::sleep(OTHERS_POLL);
        }
        self.waited += started.elapsed();
        Ok(())
    }

    /// One round, and whether no other agent was there at its end.
    fn round(&mut self, condition: Condition) -> Result<(Round, bool)> {
        let agent = match self.start(condition)? {
            None => None,
            Some(Start::Ready(agent)) => Some(agent),
            Some(Start::Refused(reason)) => bail!("voxprobe was refused: {reason}"),
        };
        let before = match &agent {
            Some(agent) => {
                agent.wait_until_watching()?;
                Some(agent.counts()?)
            }
            None => None,
        };
        let mut round = self.times()?;
        let undisturbed = !machine::has_other_agent(agent.as_ref().map(Agent::pid))?;
        if let (Some(agent), Some(before)) = (agent, before) {
            // A figure of a write that was not seen would not be the figure of a watched write.
            let seen = before.records + before.lost + f64::from(ROUND_WRITES) * ROUNDS as f64;
            let counts = agent.wait_for_records(seen)?;
            round.probe = Some(Probe {
                start: agent.ready_after,
                lost: counts.lost,
                stop: agent.stop(),
            });
        }
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
        let median = |times: &[f64]| spread(times).map(|spread| spread.median);
        let round = || {
            Some(Round {
                watched_write: median(&watched)?,
                unwatched_write: median(&unwatched)?,
                getppid: median(&getppid)?,
                read: median(&read)?,
                probe: None,
            })
        };
        round().context("measure at least once")
    }

    fn loads(
        &mut self,
        voicelab: &Path,
        is_refused: impl Fn(Condition) -> bool,
    ) -> Result<Vec<[Option<Load>; Watching::ALL.len()]>> {
        let mut loads = Vec::new();
        for turn in 0..ROUNDS {
            let mut measured = [None; Watching::ALL.len()];
            for watching in Watching::order(turn) {
                if matches!(watching, Watching::Probe(condition) if is_refused(condition)) {
                    continue;
                }
                self.wait_for_others()?;
                let directory = self.directory.path();
                let load = load::measure(&self.voxprobe, voicelab, directory, watching)?;
                measured[watching.index()] = Some(load);
            }
            loads.push(measured);
        }
        Ok(loads)
    }
}

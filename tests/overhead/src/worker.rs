//! A busy worker with and without an agent, which diagnoses or does not: paced streams, one audio frame
//! of 20 ms each 20 ms on every one of them.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bench::Bench;
use crate::condition::in_turn;
use crate::machine::Refused;
use crate::process::Process;
use crate::sample::spread;
use crate::usage::{MIB, Used, cpu, percent};

/// Streams at the same time.
const STREAMS: u32 = 100;
/// How long the agent is measured.
const WINDOW: Duration = Duration::from_secs(4);
/// Before that: every stream has begun to play.
const RAMP: Duration = Duration::from_secs(2);
/// Characters of a stream's text: at 60 ms each the audio outlasts ramp and window.
const TEXT_LENGTH: &str = "200";

/// Times that each is measured.
const TURNS: usize = 3;

/// What watches the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watching {
    /// Nobody.
    Nobody,
    /// voxprobe with these hooks.
    Probe(&'static str),
    /// voxprobe that diagnoses all the time (`diagnosis.enabled`), with the hooks that it takes by itself.
    Diagnosis,
}

impl Watching {
    /// What can be had here, nobody first.
    fn all(bench: &Bench) -> Vec<Self> {
        let tiers = bench.tiers.iter().filter(|tier| tier.is_here());
        let mut all = vec![Self::Nobody];
        all.extend(tiers.map(|tier| Self::Probe(tier.name)));
        all.push(Self::Diagnosis);
        all
    }

    /// `hooks.syscalls` and `diagnosis.enabled`; `None` without voxprobe.
    fn settings(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Nobody => None,
            Self::Probe(tier) => Some((tier, false)),
            Self::Diagnosis => Some(("auto", true)),
        }
    }
}

impl fmt::Display for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.pad("no probe"),
            Self::Probe(tier) => f.pad(tier),
            Self::Diagnosis => f.pad("diagnosis"),
        }
    }
}

/// What was used in a window.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// How long it was measured.
    window: Duration,
    /// CPU time of the worker, user and system: what hooks take in it counts.
    worker: Duration,
    /// The agent's part, where there is one.
    agent: Option<Used>,
}

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    let all = Watching::all(bench);
    let places: Vec<usize> = (0..all.len()).collect();
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let mut loads = vec![None; all.len()];
        for place in in_turn(&places, turn) {
            bench.wait_for_others()?;
            loads[place] = Some(measure(bench, all[place])?);
        }
        turns.push(loads.into_iter().flatten().collect::<Vec<_>>());
    }
    println!(
        "A text-to-speech worker with {STREAMS} paced streams, medians of {TURNS} turns; CPU in percent of one:"
    );
    for (place, watching) in all.iter().enumerate() {
        if let Some(line) = line(&turns, place) {
            println!("{watching:<18} {line}");
        }
    }
    Ok(())
}

/// The worker and the agent of one kind of watching.
fn line(turns: &[Vec<Load>], place: usize) -> Option<String> {
    let median = |figure: &dyn Fn(&Load, &Load) -> Option<f64>| {
        let figures: Vec<f64> = turns
            .iter()
            .filter_map(|loads| figure(loads.get(place)?, loads.first()?))
            .collect();
        Some(spread(&figures)?.median)
    };
    let worker = median(&|load, _| Some(percent(load.worker, load.window)))?;
    let text = format!("worker {worker:.1} %");
    let Some(agent) = median(&|load, _| Some(percent(load.agent?.cpu, load.window))) else {
        return Some(text);
    };
    let ratio = median(&|load, none| {
        Some(percent(load.worker, load.window) / percent(none.worker, none.window))
    })?;
    let resident = median(&|load, _| Some(load.agent?.resident as f64 / MIB))?;
    let records = median(&|load, _| Some(load.agent?.records / load.window.as_secs_f64()))?;
    let agents = turns.iter().filter_map(|loads| loads.get(place)?.agent);
    let lost: f64 = agents.clone().map(|agent| agent.lost).sum();
    let shed: f64 = agents.map(|agent| agent.shed).sum();
    Some(format!(
        "{text} ({ratio:.2} times no probe), agent {agent:.1} %, {resident:.1} MiB resident, \
         {records:.0} records/s, {lost} lost, {shed} shed"
    ))
}

/// Measures a worker of the voicelab, and the agent that watches it.
fn measure(bench: &Bench, watching: Watching) -> Result<Load> {
    let worker = Worker::start(&bench.voicelab)?;
    let pid = worker.process.pid();
    let agent = match watching.settings() {
        None => None,
        Some((tier, diagnoses)) => match bench.agent(tier, diagnoses, pid)? {
            Ok(agent) => Some(agent),
            Err(Refused(reason)) => bail!("voxprobe was refused: {reason}"),
        },
    };
    if let Some(agent) = &agent {
        agent.wait_until_watching()?;
    }
    let mut client = client(&bench.voicelab, worker.port)?;
    thread::sleep(RAMP);

    let started = Instant::now();
    let worker_before = cpu(pid)?;
    let agent_before = agent.as_ref().map(Used::by).transpose()?;
    thread::sleep(WINDOW);
    let worker_after = cpu(pid)?;
    let agent_after = agent.as_ref().map(Used::by).transpose()?;
    let window = started.elapsed();
    if let Some(status) = client.ended()? {
        bail!("the streams ended with {status} before the measurement did");
    }
    Ok(Load {
        window,
        worker: worker_after.saturating_sub(worker_before),
        agent: agent_before
            .zip(agent_after)
            .map(|(before, after)| after.since(before)),
    })
}

/// The client that has all streams speak.
fn client(voicelab: &Path, port: u16) -> Result<Process> {
    let mut command = Command::new(voicelab);
    command.args(["client", "--target", &format!("127.0.0.1:{port}")]);
    command.args([
        "--sessions",
        &STREAMS.to_string(),
        "--text-length",
        TEXT_LENGTH,
    ]);
    // The whole text at once: all streams play during the whole window.
    command.args(["--chunk-length", TEXT_LENGTH]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Process::start(&mut command)
}

/// A worker of the voicelab.
struct Worker {
    process: Process,
    port: u16,
    /// Open until after the worker's end, when it writes its counts there.
    _output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(voicelab: &Path) -> Result<Self> {
        let mut command = Command::new(voicelab);
        command.args(["worker", "--port", "0", "--mode", "paced"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let (_, output) = process.pipes().context("reach the worker")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output
            .read_line(&mut line)
            .context("read what the worker says")?;
        let port = line.trim().strip_prefix("listening ");
        let port = port.with_context(|| format!("the worker says `{}`", line.trim()))?;
        Ok(Self {
            process,
            port: port.parse().context("read the worker's port")?,
            _output: output,
        })
    }
}

//! A busy worker with and without an agent, which diagnoses or does not: paced streams, one audio frame
//! of 20 ms each 20 ms on every one of them.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::agent::{Agent, Start};
use crate::condition::Condition;
use crate::process::Process;

/// Streams at the same time.
pub(crate) const STREAMS: u32 = 100;
/// How long the agent is measured.
const WINDOW: Duration = Duration::from_secs(6);
/// Before that: every stream has begun to play.
const RAMP: Duration = Duration::from_secs(2);
/// Characters of a stream's text: at 60 ms each the audio outlasts ramp and window.
const TEXT_LENGTH: &str = "200";

/// What watches the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watching {
    /// Nobody.
    Nobody,
    /// voxprobe with this attachment.
    Probe(Condition),
    /// voxprobe that diagnoses all the time (`diagnosis.enabled`), with the hooks that it takes by itself.
    Diagnosis,
}

impl Watching {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nobody,
        Self::Probe(Condition::Tracepoints),
        Self::Probe(Condition::Raw),
        Self::Probe(Condition::Sockets),
        Self::Diagnosis,
    ];

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        let place = Self::ALL.iter().position(|one| *one == self);
        place.unwrap_or_default()
    }

    /// All of them, beginning with another one each turn.
    pub(crate) fn order(turn: usize) -> impl Iterator<Item = Self> {
        let count = Self::ALL.len();
        Self::ALL.into_iter().cycle().skip(turn % count).take(count)
    }

    /// `hooks.syscalls` and `diagnosis.enabled`; `None` without voxprobe.
    fn settings(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Nobody => None,
            Self::Probe(condition) => condition.attachment().map(|attachment| (attachment, false)),
            Self::Diagnosis => Some(("auto", true)),
        }
    }
}

impl fmt::Display for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.pad("no probe"),
            Self::Probe(condition) => condition.fmt(f),
            Self::Diagnosis => f.pad("diagnosis"),
        }
    }
}

/// What was used in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How long it was measured.
    pub(crate) window: Duration,
    /// CPU time of the worker, user and system: what hooks take in it counts.
    pub(crate) worker: Duration,
    /// The agent's part, where there is one.
    pub(crate) agent: Option<Used>,
}

/// What the agent used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Its CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Its resident memory at the end, in bytes.
    pub(crate) resident: u64,
    /// Records it read in the window.
    pub(crate) records: f64,
    /// Records lost since it started.
    pub(crate) lost: f64,
}

/// Measures a worker of the voicelab, and the agent that watches it.
pub(crate) fn measure(
    voxprobe: &Path,
    voicelab: &Path,
    directory: &Path,
    watching: Watching,
) -> Result<Load> {
    let worker = Worker::start(voicelab)?;
    let pid = worker.process.pid();
    let agent = match watching.settings() {
        None => None,
        Some((attachment, diagnoses)) => {
            match Agent::start(voxprobe, directory, attachment, diagnoses, pid)? {
                Start::Ready(agent) => Some(agent),
                Start::Refused(reason) => bail!("voxprobe was refused: {reason}"),
            }
        }
    };
    if let Some(agent) = &agent {
        agent.wait_until_watching()?;
    }
    let mut client = client(voicelab, worker.port)?;
    thread::sleep(RAMP);

    let started = Instant::now();
    let worker_before = cpu(pid)?;
    let agent_before = agent.as_ref().map(used).transpose()?;
    thread::sleep(WINDOW);
    let worker_after = cpu(pid)?;
    let agent_after = agent.as_ref().map(used).transpose()?;
    let window = started.elapsed();
    if let Some(status) = client.ended()? {
        bail!("the streams ended with {status} before the measurement did");
    }
    drop(client);
    if let Some(agent) = agent {
        agent.stop();
    }
    Ok(Load {
        window,
        worker: worker_after.saturating_sub(worker_before),
        agent: agent_before.zip(agent_after).map(|(before, after)| Used {
            cpu: after.cpu.saturating_sub(before.cpu),
            records: after.records - before.records,
            ..after
        }),
    })
}

/// What an agent has used since its start.
fn used(agent: &Agent) -> Result<Used> {
    let counts = agent.counts()?;
    Ok(Used {
        cpu: cpu(agent.pid())?,
        resident: resident(agent.pid())?,
        records: counts.records,
        lost: counts.lost,
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

fn process(pid: u32) -> Result<procfs::process::Stat> {
    let pid = i32::try_from(pid).context("a process id fits")?;
    procfs::process::Process::new(pid)
        .and_then(|process| process.stat())
        .context("read the agent's use of CPU and memory")
}

/// User and system time of a process.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = process(pid)?;
    let ticks = stat.utime + stat.stime;
    Ok(Duration::from_secs_f64(
        ticks as f64 / procfs::ticks_per_second() as f64,
    ))
}

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> Result<u64> {
    Ok(process(pid)?.rss * procfs::page_size())
}

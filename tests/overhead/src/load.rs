//! The agent's own cost under the load of a busy worker: paced streams, one audio frame of 20 ms
//! each 20 ms on every one of them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::agent::{Agent, Start};
use crate::process::Process;

/// Streams at the same time.
pub(crate) const STREAMS: u32 = 100;
/// How long the agent is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Before that: every stream has begun to play.
const RAMP: Duration = Duration::from_secs(3);
/// Characters of a stream's text: at 60 ms each the audio outlasts ramp and window.
const TEXT_LENGTH: &str = "300";

/// What the agent used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How long it was measured.
    pub(crate) window: Duration,
    /// Its CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Its resident memory at the end, in bytes.
    pub(crate) resident: u64,
    /// Records it read in the window.
    pub(crate) records: f64,
    /// Records lost since it started.
    pub(crate) lost: f64,
}

/// Measures the agent on a worker of the voicelab.
pub(crate) fn measure(
    voxprobe: &Path,
    voicelab: &Path,
    directory: &Path,
    attachment: &str,
) -> Result<Load> {
    let worker = Worker::start(voicelab)?;
    let started = Agent::start(voxprobe, directory, attachment, worker.process.pid())?;
    let agent = match started {
        Start::Ready(agent) => agent,
        Start::Refused(reason) => bail!("voxprobe was refused: {reason}"),
    };
    agent.wait_until_watching()?;
    let mut command = Command::new(voicelab);
    command.args(["client", "--target", &format!("127.0.0.1:{}", worker.port)]);
    command.args([
        "--sessions",
        &STREAMS.to_string(),
        "--text-length",
        TEXT_LENGTH,
    ]);
    // The whole text at once: all streams play during the whole window.
    command.args(["--chunk-length", TEXT_LENGTH]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut client = Process::start(&mut command)?;
    thread::sleep(RAMP);

    let started = Instant::now();
    let (cpu_before, counts_before) = (cpu(agent.pid())?, agent.counts()?);
    thread::sleep(WINDOW);
    let cpu = cpu(agent.pid())?.saturating_sub(cpu_before);
    let window = started.elapsed();
    let counts = agent.counts()?;
    if let Some(status) = client.ended()? {
        bail!("the streams ended with {status} before the measurement did");
    }
    let load = Load {
        window,
        cpu,
        resident: resident(agent.pid())?,
        records: counts.records - counts_before.records,
        lost: counts.lost,
    };
    drop(client);
    agent.stop();
    Ok(load)
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

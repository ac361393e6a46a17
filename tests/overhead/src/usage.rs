//! CPU time and memory of a process, and what an agent used.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::agent::{Agent, counts};
use crate::http::sum;

/// Bytes of a mebibyte.
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// A metric of the agent, one series for each open session.
const FRAMES: &str = "worker_audio_frames_emitted_total";

/// What an agent used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Its CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Its resident memory, in bytes.
    pub(crate) resident: u64,
    /// Records it read.
    pub(crate) records: f64,
    /// Records lost.
    pub(crate) lost: f64,
    /// Records that came without their bytes.
    pub(crate) shed: f64,
    /// Audio frames that it counted.
    pub(crate) frames: f64,
}

impl Used {
    /// What it has used since its start.
    pub(crate) fn by(agent: &Agent) -> Result<Self> {
        let metrics = agent.metrics()?;
        let counts = counts(&metrics).context("read voxprobe's counts")?;
        let stat = stat(agent.pid())?;
        Ok(Self {
            cpu: cpu(agent.pid())?,
            resident: stat.rss * procfs::page_size(),
            records: counts.records,
            lost: counts.lost,
            shed: counts.shed,
            // Absent until the first one.
            frames: sum(&metrics, FRAMES).unwrap_or(0.0),
        })
    }

    /// What it used since; memory as it is now.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            resident: self.resident,
            records: self.records - before.records,
            lost: self.lost - before.lost,
            shed: self.shed - before.shed,
            frames: self.frames - before.frames,
        }
    }
}

/// User and system time of a process.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = stat(pid)?;
    let ticks = stat.utime + stat.stime;
    Ok(Duration::from_secs_f64(
        ticks as f64 / procfs::ticks_per_second() as f64,
    ))
}

/// CPU time in percent of one CPU.
pub(crate) fn percent(cpu: Duration, window: Duration) -> f64 {
    100.0 * cpu.as_secs_f64() / window.as_secs_f64()
}

fn stat(pid: u32) -> Result<procfs::process::Stat> {
    let pid = i32::try_from(pid).context("a process id fits")?;
    procfs::process::Process::new(pid)
        .and_then(|process| process.stat())
        .context("read a process's use of CPU and memory")
}

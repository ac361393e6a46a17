//! What every part of the measurement needs: the agent, the ways to see sockets that it has here, two
//! CPUs, and a machine without another agent.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::agent::Agent;
use crate::condition::TIERS;
use crate::hooks::{self, Hook};
use crate::machine::{self, Refused};

/// How long another agent on this machine is waited for, in all.
const OTHERS_LIMIT: Duration = Duration::from_mins(5);
/// Between two looks whether it is gone.
const OTHERS_POLL: Duration = Duration::from_millis(500);

/// One of voxprobe's ways to see sockets.
#[derive(Debug)]
pub(crate) struct Tier {
    /// Its name for `--hooks`.
    pub(crate) name: &'static str,
    /// Why this host does not have it.
    pub(crate) refused: Option<Refused>,
    /// Where its programs are; why that is not known.
    pub(crate) hooks: Result<Vec<Hook>, Refused>,
}

impl Tier {
    /// Whether this host has it.
    pub(crate) fn is_here(&self) -> bool {
        self.refused.is_none()
    }
}

/// What is measured with.
#[derive(Debug)]
pub(crate) struct Bench {
    voxprobe: PathBuf,
    /// The voice system.
    pub(crate) voicelab: PathBuf,
    directory: tempfile::TempDir,
    /// The CPU of what is measured, and that of what serves it.
    pub(crate) cpus: (usize, usize),
    /// Every way to see sockets.
    pub(crate) tiers: Vec<Tier>,
    waited: Cell<Duration>,
}

impl Bench {
    /// Looks at the machine.
    pub(crate) fn new(voxprobe: &Path, voicelab: &Path) -> Result<Self> {
        let mut bench = Self {
            voxprobe: voxprobe.to_owned(),
            voicelab: voicelab.to_owned(),
            directory: tempfile::tempdir().context("make a temporary directory")?,
            cpus: machine::cpus()?,
            tiers: Vec::new(),
            waited: Cell::new(Duration::ZERO),
        };
        bench.wait_for_others()?;
        for name in TIERS {
            // Any process does to be watched.
            let agent = bench.agent(name, false, std::process::id())?;
            let refused = agent.as_ref().err().cloned();
            let hooks = agent.and_then(|agent| {
                hooks::of(agent.pid()).map_err(|error| Refused(format!("{error:#}")))
            });
            bench.tiers.push(Tier {
                name,
                refused,
                hooks,
            });
        }
        Ok(bench)
    }

    /// Attaches voxprobe to one process.
    pub(crate) fn agent(
        &self,
        tier: &str,
        diagnoses: bool,
        pid: u32,
    ) -> Result<Result<Agent, Refused>> {
        Agent::start(&self.voxprobe, self.directory(), tier, diagnoses, pid)
    }

    /// The agent with the hooks that it takes by itself, once it watches the process.
    pub(crate) fn usual_agent(&self, pid: u32) -> Result<Agent> {
        let agent = self.agent("auto", false, pid)?;
        let agent =
            agent.map_err(|Refused(reason)| anyhow::anyhow!("voxprobe was refused: {reason}"))?;
        agent.wait_until_watching()?;
        Ok(agent)
    }

    /// For files of a moment.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until no other agent runs: its programs tax every process.
    pub(crate) fn wait_for_others(&self) -> Result<()> {
        let started = Instant::now();
        while machine::has_other_agent(None)? {
            ensure!(
                self.waited.get() + started.elapsed() < OTHERS_LIMIT,
                "another voxprobe runs on this machine and taxes every process: stop it first"
            );
            thread::sleep(OTHERS_POLL);
        }
        self.waited.set(self.waited.get() + started.elapsed());
        Ok(())
    }
}

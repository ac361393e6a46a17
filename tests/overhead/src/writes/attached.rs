//! What is attached during one round.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Attachment;
use crate::agent::{Agent, Counts};
use crate::bench::Bench;
use crate::condition::Condition;
use crate::empty::{Copying, Empty};
use crate::machine::Refused;
use crate::tool::Running;

/// Something that is attached, or nothing. Dropping it detaches it.
pub(super) enum Attached {
    Nothing,
    Empty {
        programs: Empty,
        start: Duration,
    },
    Copier {
        copying: Box<Copying>,
        start: Duration,
        /// Whether it is meant for the watched process.
        copies: bool,
    },
    /// With what it had counted before.
    Agent(Agent, Counts),
    Tool(Running),
}

impl Attached {
    /// Attaches it; `pid` is the watched process.
    pub(super) fn attach(
        bench: &Bench,
        condition: Condition,
        pid: u32,
    ) -> Result<Result<Self, Refused>> {
        Ok(match condition {
            Condition::Nothing => Ok(Self::Nothing),
            Condition::Empty(name) => {
                let tier = bench.tiers.iter().find(|tier| tier.name == name);
                match &tier.context("a known way to see sockets")?.hooks {
                    Ok(hooks) => {
                        let started = Instant::now();
                        let programs = Empty::attach(hooks)?;
                        let start = started.elapsed();
                        Ok(Self::Empty { programs, start })
                    }
                    Err(refused) => Err(refused.clone()),
                }
            }
            Condition::IdleCopier => copier(None),
            Condition::Copier => copier(Some(pid)),
            Condition::Probe(tier) => match bench.agent(tier, false, pid)? {
                Ok(agent) => {
                    agent.wait_until_watching()?;
                    let before = agent.counts()?;
                    Ok(Self::Agent(agent, before))
                }
                Err(refused) => Err(refused),
            },
            Condition::Tool(tool) => tool.start(bench.directory(), pid)?.map(Self::Tool),
        })
    }

    /// The agent's process, if it is one.
    pub(super) fn agent(&self) -> Option<u32> {
        match self {
            Self::Agent(agent, _) => Some(agent.pid()),
            _ => None,
        }
    }

    /// Detaches it; `writes` were made meanwhile.
    pub(super) fn end(self, writes: f64) -> Result<Option<Attachment>> {
        Ok(match self {
            Self::Nothing => None,
            Self::Empty { programs, start } => {
                let ended = Instant::now();
                drop(programs);
                let stop = ended.elapsed();
                Some(Attachment {
                    start,
                    stop,
                    lost: None,
                })
            }
            Self::Copier {
                mut copying,
                start,
                copies,
            } => {
                // A write that was not copied would make the copy cheaper than it is.
                let copied = copying.take() as f64;
                ensure!(
                    !copies || copied >= writes,
                    "the copying program saw {copied} of {writes} writes"
                );
                let ended = Instant::now();
                drop(copying);
                Some(Attachment {
                    start,
                    stop: ended.elapsed(),
                    lost: None,
                })
            }
            Self::Agent(agent, before) => {
                // A figure of a write that was not seen, or not its bytes, would not be the figure of a watched write.
                let counts = agent.wait_for_records(before.records + before.lost + writes)?;
                let unseen = counts.lost + counts.shed - before.lost - before.shed;
                Some(Attachment {
                    start: agent.ready_after,
                    lost: Some(unseen / writes),
                    stop: agent.stop(),
                })
            }
            Self::Tool(tool) => {
                let start = tool.ready_after;
                let (stop, seen) = tool.stop();
                Some(Attachment {
                    start,
                    stop,
                    lost: Some((1.0 - seen / writes).max(0.0)),
                })
            }
        })
    }
}

/// Attaches the program that copies what one process writes, or nobody.
fn copier(pid: Option<u32>) -> Result<Attached, Refused> {
    let started = Instant::now();
    // No process has the number 0.
    match Copying::attach(pid.unwrap_or(0)) {
        Ok(copying) => Ok(Attached::Copier {
            copying: Box::new(copying),
            start: started.elapsed(),
            copies: pid.is_some(),
        }),
        Err(error) => Err(Refused(format!("{error:#}"))),
    }
}

//! The voice system of the demo: a worker with clients of its own, an orchestrator with talkers in
//! front of it, and Redis where the orchestrator keeps its registrations.

mod client;
mod orchestrator;
mod redis;
mod worker;

use std::time::Duration;

use anyhow::{Result, bail};

pub(super) use self::client::{Client, Habit};
pub(super) use self::orchestrator::{Orchestrator, Talkers};
pub(super) use self::redis::Redis;
pub(super) use self::worker::Worker;
use super::process::Process;

/// Models that the sessions ask for.
const MODELS: &str = "tone-small,tone-large";
/// Time to start a program and have it listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Clients outlive the live view by the time that the steps around it take.
const CLIENT_MARGIN: Duration = Duration::from_mins(1);

fn expect_running(name: &str, process: &mut Process) -> Result<()> {
    match process.ended()? {
        None => Ok(()),
        Some(status) => bail!("{name} ended early with {status}: {}", process.last_word()),
    }
}

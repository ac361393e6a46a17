//! Attaches to voice systems that run already, and compares what voxprobe calls each of their calls
//! with what the client that made it says.
//!
//! A client puts its calls on one connection one after the other, so that its nth call is HTTP/2
//! stream 2n - 1 (RFC 9113, 5.1.1). Every name is held against that call's; if the two accounts were
//! ever out of step, nothing would agree.

mod moment;
mod said;
mod system;
mod table;
mod tally;

use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;

use self::moment::Moment;
use self::system::System;
use self::tally::Tally;

/// Streams at once on the one connection. Each load is attached to as often as the others.
const LOADS: [u32; 5] = [1, 5, 15, 30, 50];

/// The voxprobes of one load start within so many milliseconds, at random: they overlap.
const WITHIN_MS: u64 = 10_000;

/// Where the random moments start.
const SEED: u64 = 4;

/// What is attached, how often and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Attach to systems that run already, and tell how many of their calls get their right names
    #[arg(long)]
    pub(crate) late: bool,
    /// Moments at which each system is attached to
    #[arg(long, requires = "late", default_value_t = 20)]
    moments: u32,
    /// Seconds that each voxprobe watches
    #[arg(long, requires = "late", default_value_t = 30)]
    seconds: u64,
    /// Lose this share of the kernel's records on purpose (0 to 1)
    #[arg(long, requires = "late", value_name = "SHARE")]
    lose: Option<f64>,
}

/// Attaches to the systems of these names, or to all; whether every figure is as it must be.
pub(crate) fn run(options: &Options, names: &[String]) -> Result<bool> {
    let wanted =
        |system: &&System| names.is_empty() || names.iter().any(|name| name == system.name);
    let systems: Vec<_> = System::ALL.iter().filter(wanted).collect();
    let known: Vec<_> = System::ALL.iter().map(|system| system.name).collect();
    ensure!(
        !systems.is_empty(),
        "no such system: there are {}",
        known.join(", ")
    );
    let mut holds = true;
    let mut tallies = Vec::new();
    for system in systems {
        let Some(tally) = attach_to(system, options)? else {
            continue;
        };
        holds &= tally.holds(system, options.lose.is_some());
        tallies.push((system, tally));
    }
    table::print(&tallies, options.lose);
    Ok(holds)
}

/// Attaches to one system at every load; `None` where this host lacks a part, which is said.
fn attach_to(system: &System, options: &Options) -> Result<Option<Tally>> {
    let mut random = Rng::with_seed(SEED);
    let mut tally = Tally::default();
    let each = options.moments.div_ceil(LOADS.len() as u32);
    let time = Duration::from_secs(options.seconds);
    for streams in LOADS {
        let Some(running) = system.start(streams, &mut random) else {
            return Ok(None);
        };
        let (lab, worker) = (&running.lab, running.worker.pid());
        let waits = (0..each).map(|_| Duration::from_millis(random.u64(..WITHIN_MS)));
        let moments: Vec<_> = std::thread::scope(|scope| {
            let attached: Vec<_> = waits
                .map(|wait| {
                    scope.spawn(move || {
                        std::thread::sleep(wait);
                        Moment::attach(lab, worker, time, options.lose)
                    })
                })
                .collect();
            let ended = attached.into_iter().map(ScopedJoinHandle::join);
            ended.collect::<std::thread::Result<_>>()
        })
        .map_err(|_| anyhow::anyhow!("an attachment failed"))?;
        let account = running.end();
        for moment in &moments {
            let seen = tally.add(streams, moment, &account)?;
            table::print_moment(system, streams, &seen);
        }
    }
    Ok(Some(tally))
}

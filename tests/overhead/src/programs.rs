//! The kernel's own account of each program, and of what copying a write's bytes takes.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};

use crate::bench::{Bench, Tier};
use crate::empty::Copying;
use crate::http::by_label;
use crate::machine::Refused;
use crate::peer::Subject;
use crate::subject::{Kind, ROUND_WRITES};
use crate::writes::Added;

/// The agent publishes its counts every half second.
const PUBLISHED: Duration = Duration::from_secs(1);

/// Metrics of the agent, by `program`.
const SECONDS: &str = "voxprobe_program_run_seconds_total";
const RUNS: &str = "voxprobe_program_runs_total";

/// Measures and prints; with what the writes' part found, what the probe adds is held against empty
/// programs and the copy.
pub(crate) fn run(bench: &Bench, added: &[Added]) -> Result<()> {
    bench.wait_for_others()?;
    println!(
        "Run time of each program, from the kernel's statistics, under watched writes of 2 KiB:"
    );
    // Kept by the kernel while this is open: they cost each run some ten nanoseconds.
    let statistics = match enable_stats(Stats::RunTime) {
        Ok(statistics) => statistics,
        Err(error) => {
            println!("not measured: the kernel keeps no statistics: {error}");
            return Ok(());
        }
    };
    let (cpu, reader_cpu) = bench.cpus;
    let mut subject = Subject::start(Kind::Write, cpu, reader_cpu)?;
    for tier in bench.tiers.iter().filter(|tier| tier.is_here()) {
        of_tier(bench, tier, &mut subject)?;
    }
    let copy = copy(&mut subject)?;
    drop(statistics);
    println!("copying 2 KiB into a ring {:>24.0} ns", copy.as_nanos());
    for Added { tier, probe, empty } in added {
        println!(
            "{tier}: a watched write costs {probe:.0} ns more; empty programs {empty:.0} ns, with the copy {:.0} \
             ns: {:.2} times that",
            empty + copy.as_nanos() as f64,
            probe / (empty + copy.as_nanos() as f64)
        );
    }
    Ok(())
}

fn of_tier(bench: &Bench, tier: &Tier, subject: &mut Subject) -> Result<()> {
    let agent = match bench.agent(tier.name, false, subject.pid())? {
        Ok(agent) => agent,
        Err(Refused(reason)) => {
            println!("{}: not measured: {reason}", tier.name);
            return Ok(());
        }
    };
    agent.wait_until_watching()?;
    subject.measure()?;
    thread::sleep(PUBLISHED);
    let metrics = agent.metrics()?;
    let (seconds, runs) = (
        by_label(&metrics, SECONDS, "program"),
        by_label(&metrics, RUNS, "program"),
    );
    let mut busy: Vec<(&String, f64)> = runs
        .iter()
        .map(|(program, runs)| (program, *runs))
        .filter(|(_, runs)| *runs > 0.0)
        .collect();
    busy.sort_by(|one, other| other.1.total_cmp(&one.1));
    for (program, runs) in busy {
        let each = nanoseconds(&seconds, program, runs);
        println!(
            "{:<12} {program:<20} {runs:>8.0} runs {each:>6.0} ns each",
            tier.name
        );
    }
    Ok(())
}

fn nanoseconds(seconds: &HashMap<String, f64>, program: &str, runs: f64) -> f64 {
    1e9 * seconds.get(program).copied().unwrap_or(0.0) / runs
}

/// How much longer a program runs that copies a write's bytes than the same one that does not.
fn copy(subject: &mut Subject) -> Result<Duration> {
    // No process has this number: the program ends before it copies.
    let (idle, runs) = {
        let mut copying = Copying::attach(0)?;
        subject.measure()?;
        copying.run_time()?
    };
    let idle = idle / u32::try_from(runs.max(1)).context("count the runs")?;
    let mut copying = Copying::attach(subject.pid())?;
    subject.measure()?;
    let (busy, runs) = copying.run_time()?;
    let copied = u32::try_from(copying.take().max(1)).context("count the copies")?;
    anyhow::ensure!(
        copied >= ROUND_WRITES,
        "the copying program saw {copied} of {ROUND_WRITES} writes"
    );
    let idle = idle * u32::try_from(runs).context("count the runs")?;
    Ok(busy.saturating_sub(idle) / copied)
}

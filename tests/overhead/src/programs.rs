//! The kernel's own account of each program.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use aya::sys::{Stats, enable_stats};

use crate::bench::{Bench, Tier};
use crate::http::by_label;
use crate::machine::Refused;
use crate::peer::Subject;
use crate::subject::Kind;

/// The agent publishes its counts every half second.
const PUBLISHED: Duration = Duration::from_secs(1);

/// Metrics of the agent, by `program`.
const SECONDS: &str = "voxprobe_program_run_seconds_total";
const RUNS: &str = "voxprobe_program_runs_total";

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<()> {
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
    drop(statistics);
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

//! `measure`: the parts of the measurement, one after the other.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::bench::{Bench, Tier};
use crate::{intervals, machine, programs, rate, streams, worker, writes};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The agent
    #[arg(long)]
    voxprobe: PathBuf,
    /// The voice system that the agent's own cost is measured on
    #[arg(long)]
    voicelab: PathBuf,
    /// Times that every condition is measured
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..=1000))]
    repetitions: u32,
    /// Parts to measure, instead of all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What one call costs under the probe, empty programs, a copy of what is written, and other tools
    Writes,
    /// The kernel's own account of each program
    Programs,
    /// CPU of a text-to-speech worker and of the agent
    Worker,
    /// The agent with 10 to 5,000 streams
    Streams,
    /// The highest rate of frames of which none is lost
    Rate,
    /// Intervals between frames, with and without the probe
    Intervals,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let bench = Bench::new(&arguments.voxprobe, &arguments.voicelab)?;
    println!("{}", machine::facts()?);
    for tier in &bench.tiers {
        if let Some(refused) = &tier.refused {
            println!("{} is refused here: {}", tier.name, refused.0);
        }
    }
    if !bench.tiers.iter().any(Tier::is_here) {
        println!("overhead: skipped: voxprobe cannot be attached");
        return Ok(());
    }
    for part in Part::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(part) {
            println!();
            match part {
                Part::Writes => writes::run(&bench, arguments.repetitions)?,
                Part::Programs => programs::run(&bench)?,
                Part::Worker => worker::run(&bench)?,
                Part::Streams => streams::run(&bench)?,
                Part::Rate => rate::run(&bench)?,
                Part::Intervals => intervals::run(&bench)?,
            }
        }
    }
    Ok(())
}

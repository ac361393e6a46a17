//! Compares what voxprobe exports with what the watched processes say they did.
//!
//! Each scene is a live voice system with a voxprobe that was there first. The processes write down
//! what they did by their own clocks; at the end every series of the guide's metrics is put beside
//! their account: counters have to be equal, latencies to agree at the median and the 99th
//! percentile. What the guide lists has to be exported with exactly its labels and buckets.
//!
//! With `--late` it comes to systems that run already, and compares the names of calls.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the program's output"
)]

mod account;
mod causes;
mod compare;
mod guide;
mod late;
mod measured;
mod scene;
mod table;
mod truth;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use probe_tests::lab::Lab;

use crate::compare::Verdict;
use crate::scene::Scene;

/// Compares what voxprobe exports with what the watched processes say they did.
#[derive(Debug, Parser)]
#[command(name = "accuracy")]
struct Arguments {
    /// Inject faults instead, and compare the causes that a diagnosis names
    #[arg(long, conflicts_with = "late")]
    causes: bool,
    /// Scenes to play, with --late systems to attach to, with --causes faults to inject, by the names
    /// they are printed with; all of them when none is named
    scenes: Vec<String>,
    /// Leaves each scene's capture and what the processes wrote in a folder of its own in this one
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    late: late::Options,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the scenes; whether everything agreed.
fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.causes {
        return causes::run(&arguments.scenes, arguments.keep.as_deref());
    }
    if probe_tests::skip::unprivileged() {
        return Ok(true);
    }
    if arguments.late.late {
        return late::run(&arguments.late, &arguments.scenes);
    }
    let wanted = |scene: &&Scene| {
        arguments.scenes.is_empty() || arguments.scenes.iter().any(|name| name == scene.name)
    };
    let scenes: Vec<_> = Scene::ALL.iter().filter(wanted).collect();
    let names: Vec<_> = Scene::ALL.iter().map(|scene| scene.name).collect();
    ensure!(
        !scenes.is_empty(),
        "no such scene: there are {}",
        names.join(", ")
    );
    let mut agreed = true;
    let mut exported = measured::Series::default();
    for scene in scenes {
        println!("\n# {}: {}", scene.name, scene.about);
        let lab = match &arguments.keep {
            Some(folder) => Lab::kept(&folder.join(scene.name)),
            None => Lab::new(),
        };
        let Some(account) = scene.play(lab) else {
            continue;
        };
        exported.merge(&account.series);
        let rows = account.compare()?;
        for line in table::lines(&rows) {
            println!("{line}");
        }
        let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
        println!(
            "{} series: {} equal, {} close, {} wrong, {} missing, {} unfounded; records lost: {}",
            rows.len(),
            count(Verdict::Equal),
            count(Verdict::Close),
            count(Verdict::Wrong),
            count(Verdict::Missing),
            count(Verdict::Unfounded),
            account.lost
        );
        agreed &= count(Verdict::Equal) + count(Verdict::Close) == rows.len() && account.lost == 0;
    }
    if arguments.scenes.is_empty() {
        let exposition = exported.exposition();
        let faults: Vec<_> = guide::metrics()
            .iter()
            .flat_map(|metric| metric.faults(&exposition))
            .collect();
        println!(
            "\n# the guide's {} metrics, over all scenes",
            guide::metrics().len()
        );
        for fault in &faults {
            println!("{fault}");
        }
        println!("{} faults", faults.len());
        agreed &= faults.is_empty();
    }
    Ok(agreed)
}

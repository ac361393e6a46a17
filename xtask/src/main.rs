//! voxprobe's tasks: `cargo xtask <task>`.
//!
//! Each task is one module; this file is their table of contents.

#![expect(clippy::print_stdout, reason = "a task tells a person what it does")]

mod accuracy;
mod bench;
mod build;
mod demo;
mod dist;
mod http;
mod lint;
mod pictures;
mod rootfs;
mod setup;
mod step;
mod test;
mod toolchain;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Sets up, builds, tests and demonstrates voxprobe.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find or install what building, testing and the demo need.
    Setup {
        /// Only report what is there and what is missing; exit 1 when something is.
        #[arg(long)]
        check: bool,
    },
    /// Build the eBPF object and the voxprobe binary.
    Build {
        /// Stop after the eBPF object.
        #[arg(long)]
        ebpf_only: bool,
    },
    /// Check format, lints, documentation, dependencies and the layout of the tree.
    Lint,
    /// Lint, then run the tests of one level or of all.
    Test {
        /// The level; all of them when none is named.
        level: Option<test::Level>,
    },
    /// Compare what voxprobe exports with what the watched processes say they did; with `--late`, the
    /// names of calls on connections that are older than it; with `--causes`, why frames were late.
    Accuracy {
        /// Scenes to play, all of them when none is named; or `--late` and systems to attach to, or
        /// `--causes` and faults to inject. `--late --help` lists what else there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure what voxprobe costs: watched and unwatched processes, the host, itself; beside empty programs
    /// and other tools.
    Bench {
        /// Times that each condition is measured; fewer than 11 tell little on a shared machine.
        #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..=1000))]
        repetitions: u32,
        /// Parts to measure instead of all.
        #[arg(long, value_delimiter = ',', value_parser = bench::PARTS)]
        only: Vec<String>,
    },
    /// Make what is installed elsewhere: the stripped binary, and the container image.
    Dist,
    /// Draw the dashboards with Grafana's own panels, for `config/grafana/`.
    Pictures,
    /// Watch a small real voice system for a while, with a fault half-way.
    Demo {
        /// How long the live view runs, such as `20s` or `2m`.
        #[arg(long = "for", value_name = "DURATION", default_value = "20s", value_parser = demo::parse_duration)]
        duration: Duration,
        /// Where to save the capture of it [default: target/demo/demo.vxcap].
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = Workspace::locate().and_then(|workspace| match arguments.task {
        Task::Setup { check: true } => Ok(setup::check(&workspace)),
        Task::Setup { check: false } => setup::everything(&workspace).map(|()| true),
        Task::Build { ebpf_only } => build::task(&workspace, ebpf_only).map(|()| true),
        Task::Lint => lint::task(&workspace).map(|()| true),
        Task::Test { level } => test::task(&workspace, level),
        Task::Accuracy { arguments } => accuracy::task(&workspace, &arguments),
        Task::Bench { repetitions, only } => {
            bench::task(&workspace, repetitions, &only).map(|()| true)
        }
        Task::Pictures => pictures::task(&workspace),
        Task::Dist => dist::task(&workspace).map(|()| true),
        Task::Demo { duration, record } => {
            demo::task(&workspace, duration, record.as_deref()).map(|()| true)
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            step::complain(&error);
            ExitCode::FAILURE
        }
    }
}

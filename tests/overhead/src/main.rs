//! What voxprobe costs: the processes it watches, the ones it does not, and the host.
//!
//! `overhead measure` alternates between nothing, empty programs, the probe with each of its hooks and
//! other tools, and measures the same calls under each; then the agent itself under load, up to its limit.
//! `overhead replay` measures how many records a second the core takes. Nothing is estimated; what could not be
//! measured is said.

#![expect(clippy::print_stdout, reason = "the figures are the program's output")]

mod agent;
mod audience;
mod bench;
mod condition;
mod empty;
mod fit;
mod following;
mod hooks;
mod http;
mod intervals;
mod machine;
mod measure;
mod peer;
mod process;
mod programs;
mod rate;
mod replay;
mod sample;
mod speaker;
mod streams;
mod subject;
mod tool;
mod usage;
mod wire;
mod worker;
mod writes;

use std::process::ExitCode;

use clap::Parser;

/// Measures what voxprobe costs.
#[derive(Debug, Parser)]
#[command(name = "overhead")]
enum Command {
    /// Measure and print one table; needs the rights that voxprobe needs
    Measure(measure::Arguments),
    /// Measure how many records a second the core takes; needs no rights
    Replay(replay::Arguments),
    /// Be one of the measured processes; commands come on standard input
    #[command(hide = true)]
    Subject {
        #[arg(value_enum)]
        kind: subject::Kind,
        /// CPU it runs on
        #[arg(long)]
        cpu: usize,
    },
    /// Be the process that speaks; commands come on standard input
    #[command(hide = true)]
    Speaker {
        /// CPU it runs on
        #[arg(long)]
        cpu: usize,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Subject { kind, cpu } => subject::run(kind, cpu),
        Command::Speaker { cpu } => speaker::run(cpu),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the program's one error report")]
            {
                eprintln!("overhead: {error:#}");
            }
            ExitCode::from(2)
        }
    }
}

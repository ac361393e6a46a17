//! What voxprobe costs: the processes it watches, the ones it does not, and the host.
//!
//! `overhead measure` alternates between no probe and the probe in each of its attachments, many
//! times, and measures the same three things under each: a write in a watched process, the same
//! write in an unwatched one, and a bare system call in a process that has no socket at all. Then it
//! measures the agent itself under a paced load. `overhead replay` measures how many records a second
//! the core takes. Nothing is estimated; what could not be measured is
//! said.

#![expect(clippy::print_stdout, reason = "the figures are the program's output")]

mod agent;
mod condition;
mod http;
mod load;
mod machine;
mod measure;
mod peer;
mod process;
mod replay;
mod sample;
mod subject;
mod table;
mod wire;

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
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Subject { kind, cpu } => subject::run(kind, cpu),
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

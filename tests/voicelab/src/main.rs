//! The `voicelab` program: see the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use voicelab::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "the program's one error report")]
            {
                eprintln!("voicelab: {error:#}");
            }
            ExitCode::from(2)
        }
    }
}

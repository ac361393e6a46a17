//! The `voxprobe` command.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use probe_user::cli::{Cli, Outcome, is_broken_pipe};

fn main() -> ExitCode {
    let result = Cli::parse().execute();
    if let Err(error) = &result
        && !is_broken_pipe(error)
    {
        // Nobody to tell when stderr is closed.
        let _unwritten = writeln!(std::io::stderr(), "voxprobe: {error:#}");
    }
    Outcome::exit_code(&result)
}

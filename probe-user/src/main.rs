//! The `voxprobe` command.

use std::{io::Write as _, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};
use probe_user::{
    cli::{Cli, Outcome, in_one_line, is_broken_pipe},
    telemetry::redact,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help is more than a line, also where a command is missing.
        Err(help)
            if !help.use_stderr()
                || help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            help.exit()
        }
        Err(error) => {
            complain(&in_one_line(&error));
            return ExitCode::from(2);
        }
    };
    let result = cli.execute();
    if let Err(error) = &result
        && !is_broken_pipe(error)
    {
        complain(&format!("{error:#}"));
    }
    Outcome::exit_code(&result)
}

/// Says what went wrong, without what must not be written: arguments and paths may hold anything.
fn complain(error: &str) {
    // Nobody to tell when stderr is closed.
    let _unwritten = writeln!(std::io::stderr(), "voxprobe: {}", redact(error));
}

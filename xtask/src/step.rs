//! Running one command of a task: its output streams through, its duration is printed.

use std::fmt::Display;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Says what was found or done, on one line, with how long it took.
pub(crate) fn report(subject: &str, what: impl Display, took: Duration) {
    say(format_args!(
        "{subject:<14} {what} ({:.1} s)",
        took.as_secs_f64()
    ));
}

/// Says why a step was left out.
pub(crate) fn skipped(subject: &str, reason: impl Display) {
    say(format_args!("{subject:<14} skipped: {reason}"));
}

/// Prints a line. A reader that went away does not stop a task.
fn say(line: std::fmt::Arguments<'_>) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints an error, its whole chain on one line, to standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nothing is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "error: {error:#}"));
}

/// Runs a command whose output streams through.
pub(crate) fn run(subject: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    say(format_args!("{subject:<14} {}", shown(command)));
    let status = command
        .status()
        .with_context(|| format!("start {}", shown(command)))?;
    if !status.success() {
        bail!("{subject}: `{}` ended with {status}", shown(command));
    }
    report(subject, "done", started.elapsed());
    Ok(())
}

/// Runs a command silently; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", shown(command)))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "`{}` ended with {}\n{}{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )
}

/// What a command prints, or `None` when it is absent or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as a person would type it, without its environment.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_an_absent_program_is_none() {
        assert_eq!(answer(&mut Command::new("/nonexistent/program")), None);
    }

    #[test]
    fn quiet_failure_shows_what_the_program_said() {
        let error = run_quietly(Command::new("sh").args(["-c", "echo reason >&2; exit 3"]))
            .expect_err("exit 3 is a failure");
        let text = format!("{error:#}");
        assert!(
            text.contains("reason") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn command_is_shown_without_its_directory() {
        assert_eq!(
            shown(Command::new("/usr/bin/cargo").args(["build", "-p"])),
            "cargo build -p"
        );
    }
}

//! A process that uses sockets in every way a voice system may: `socket-peer SCENARIO` prints
//! `ready`, does the scenario when told a line on stdin, prints what each end of each connection
//! moved as one line of JSON, and ends when stdin does.

mod calls;
mod connection;
mod network;
mod processes;
mod ring;
mod scenarios;

use std::io::Write as _;

use anyhow::Context as _;
use probe_tests::report::Report;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("which scenario?")?;
    let arguments: Vec<String> = arguments.collect();
    // What the scenarios start.
    match name.as_str() {
        "serve-stdio" => return processes::serve_stdio_later(),
        "with-id" => return processes::run_with_id(&arguments),
        "resume" => return tell(&processes::resume(&arguments)?),
        _ => {}
    }
    let scenario = scenarios::prepare(&name)?;
    say("ready")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    anyhow::ensure!(!line.is_empty(), "nobody says when to start");
    tell(&scenario()?)
}

/// Says what was moved, and waits until nobody needs this process any more.
fn tell(reports: &[Report]) -> anyhow::Result<()> {
    say(&serde_json::to_string(reports)?)?;
    // Connections still open are closed by the end of the process.
    for line in std::io::stdin().lines() {
        line?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").context("write to stdout")?;
    stdout.flush().context("write to stdout")
}

//! A process that uses sockets in every way a voice system may: `socket-peer SCENARIO` prints
//! `ready`, does the scenario when told a line on stdin, prints what each end of each connection
//! moved as one line of JSON, and ends when stdin does.

mod calls;
mod connection;
mod scenarios;

use std::io::Write as _;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).context("which scenario?")?;
    let scenario = scenarios::prepare(&name)?;
    say("ready")?;
    let mut lines = std::io::stdin().lines();
    lines.next().context("wait for the start")??;
    let reports = scenario()?;
    say(&serde_json::to_string(&reports)?)?;
    // Connections still open are closed by the end of the process.
    for line in lines {
        line?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").context("write to stdout")?;
    stdout.flush().context("write to stdout")
}

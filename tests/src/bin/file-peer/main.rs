//! A process that loads weights files in every way a worker may: `file-peer FOLDER` prints `ready`,
//! loads each model of the folder in its own way when told a line on stdin, prints when each load
//! began and ended by its own clock as one line of JSON, and ends when stdin does.

mod ways;

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use probe_tests::report::FileLoad;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("which folder?")?;
    let folder = Path::new(&folder);
    // The kernel looks relative paths up from here.
    std::env::set_current_dir(folder).context("go to the folder")?;
    say("ready")?;
    let mut lines = std::io::stdin().lines();
    lines.next().context("wait for the start")??;
    let loads: Vec<FileLoad> = ways::ALL
        .iter()
        .map(|(model, load)| ways::timed(model, || load(&folder.join(model))))
        .collect::<anyhow::Result<_>>()?;
    ways::noise(folder)?;
    say(&serde_json::to_string(&loads)?)?;
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

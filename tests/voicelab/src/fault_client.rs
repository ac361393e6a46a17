//! Sends one command to the fault socket of a running worker or orchestrator and prints the answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::serving;

/// How long the program may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What to switch.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fault socket of a worker or an orchestrator
    #[arg(long)]
    socket: PathBuf,
    /// The command. Worker: `stall MS [SESSION]`, `jitter MS`, `drop N [SESSION]`, `error CODE [SESSION]`,
    /// `slow-load MS`, `burn THREADS MS`, `hold MS`, `read MS FILE`, `touch MS FILE`, `abort` or
    /// `clear`. Orchestrator: `drop N
    /// [SESSION]`, `slow MS`, `error CODE [SESSION]`, `close SESSION`, `end SESSION`,
    /// `redis-error`, `crash` or `clear`
    #[arg(required = true)]
    command: Vec<String>,
}

/// Sends the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut socket = UnixStream::connect(&args.socket)
        .with_context(|| format!("connect to {}", args.socket.display()))?;
    socket
        .set_read_timeout(Some(ANSWER))
        .context("limit the wait for an answer")?;
    writeln!(socket, "{}", args.command.join(" ")).context("send the command")?;
    let mut answer = String::new();
    BufReader::new(socket)
        .read_line(&mut answer)
        .context("read the answer")?;
    let answer = answer.trim();
    anyhow::ensure!(answer == "ok", "refused: {answer}");
    serving::print_line(answer)
}

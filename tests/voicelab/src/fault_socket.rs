//! The unix socket that switches the faults of a running program: one command per line, one answer
//! per line.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::truth::{Event, Truth};

/// Longest line of the fault protocol, in bytes: a command, two numbers and a session name.
const MAX_LINE_BYTES: u64 = 512;

/// Opens the socket, replacing one that an earlier run left behind.
pub(crate) fn open(path: &Path) -> anyhow::Result<UnixListener> {
    if path
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket())
    {
        std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
    }
    UnixListener::bind(path).with_context(|| format!("open the fault socket {}", path.display()))
}

/// Hears every connection, one at a time: each line that is a command is recorded, answered with
/// `ok` and then obeyed.
pub(crate) async fn serve<F>(listener: UnixListener, truth: Truth, obey: impl Fn(F))
where
    F: std::str::FromStr,
    F::Err: std::fmt::Display,
{
    loop {
        match listener.accept().await {
            // A connection that breaks has said all it will say.
            Ok((connection, _)) => drop(hear(connection, &truth, &obey).await),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn hear<F>(connection: UnixStream, truth: &Truth, obey: &impl Fn(F)) -> std::io::Result<()>
where
    F: std::str::FromStr,
    F::Err: std::fmt::Display,
{
    let (from, mut to) = connection.into_split();
    let mut from = BufReader::new(from);
    loop {
        let mut line = String::new();
        if (&mut from)
            .take(MAX_LINE_BYTES)
            .read_line(&mut line)
            .await?
            == 0
        {
            return Ok(());
        }
        let line = line.trim();
        let answer = match line.parse::<F>() {
            Ok(fault) => {
                truth.record(Event::Fault {
                    line: line.to_owned(),
                });
                to.write_all(b"ok\n").await?;
                obey(fault);
                continue;
            }
            Err(error) => format!("error: {error}\n"),
        };
        to.write_all(answer.as_bytes()).await?;
    }
}

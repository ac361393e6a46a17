//! The unix socket that switches faults; see [`super::faults`] for the commands.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::engine::Engine;
use super::faults::Fault;
use crate::clock::monotonic_ns;
use crate::truth::Event;

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

/// Obeys every connection, one at a time.
pub(crate) async fn serve(listener: UnixListener, engine: Arc<Engine>) {
    loop {
        match listener.accept().await {
            // A connection that breaks has said all it will say.
            Ok((connection, _)) => drop(obey(connection, &engine).await),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn obey(connection: UnixStream, engine: &Engine) -> std::io::Result<()> {
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
        match line.parse::<Fault>() {
            Ok(fault) => {
                engine.truth.record(Event::Fault {
                    line: line.to_owned(),
                });
                to.write_all(b"ok\n").await?;
                switch(&fault, engine);
            }
            Err(error) => to.write_all(format!("error: {error}\n").as_bytes()).await?,
        }
    }
}

fn switch(fault: &Fault, engine: &Engine) {
    engine.faults.switch(fault);
    match *fault {
        Fault::Burn { threads, ns } => {
            let until_ns = monotonic_ns().saturating_add(ns);
            for _ in 0..threads {
                std::thread::spawn(move || {
                    while monotonic_ns() < until_ns {
                        std::hint::spin_loop();
                    }
                });
            }
        }
        Fault::Abort => {
            // What is lost with the file does not change that the process must go.
            drop(engine.truth.finish());
            std::process::abort();
        }
        _ => {}
    }
}

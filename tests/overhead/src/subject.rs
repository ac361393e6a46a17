//! The measured processes. Each is pinned to one CPU and does one round for each line `measure` on
//! standard input; it answers with the time of one call in nanoseconds.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustix::process::getppid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::sample::spread;
use crate::wire::{self, AudioFrame, WRITE_BYTES};

/// Writes that are timed together: the clock's own cost is spread over them, and 32 KiB fit the
/// initial HTTP/2 window and the socket's buffers, so that no write waits for the reader.
pub(crate) const BURST_WRITES: u32 = 16;
/// Bytes of a burst.
pub(crate) const BURST_BYTES: usize = BURST_WRITES as usize * WRITE_BYTES;
/// Bursts of a round. The rounds of one attachment together are less than the probe's ring holds
/// (16 MiB), so that no write is cheaper because its record was dropped.
const BURSTS: u32 = 96;
/// Bursts of a round that come before the timed ones: pages, caches and windows settle.
const WARM_UP_BURSTS: u32 = 16;
/// Bursts of a round in all.
pub(crate) const ROUND_BURSTS: u32 = WARM_UP_BURSTS + BURSTS;
/// Writes of a round, all of which a probe that watches must see.
pub(crate) const ROUND_WRITES: u32 = ROUND_BURSTS * BURST_WRITES;

/// Bare calls that are timed together.
const BATCH_CALLS: u32 = 1000;
/// Batches of a round.
const BATCHES: u32 = 96;

/// A kind of measured process.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Serves one HTTP/2 connection per round and writes audio messages of 2 KiB on it.
    Write,
    /// Calls `getppid`, which does next to nothing in the kernel and which no probe looks at.
    Getppid,
    /// Reads from `/dev/null`, which does next to nothing either, by a call that the probe looks at.
    Read,
}

/// Serves rounds until standard input ends.
pub(crate) fn run(kind: Kind, cpu: usize) -> Result<()> {
    pin(cpu)?;
    let mut answers = std::io::stdout();
    let listener = match kind {
        Kind::Write => Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?),
        Kind::Getppid | Kind::Read => None,
    };
    let port = match &listener {
        Some(listener) => listener.local_addr().context("find the port")?.port(),
        None => 0,
    };
    let null = File::open("/dev/null").context("open /dev/null")?;
    writeln!(answers, "listening {port}").context("tell the port")?;
    for command in std::io::stdin().lock().lines() {
        if command.context("read a command")? != "measure" {
            bail!("the only command is `measure`");
        }
        let times = match (&listener, kind) {
            (Some(listener), _) => writes(listener)?,
            (None, Kind::Read) => reads(&null)?,
            (None, _) => bare_calls(|| {
                black_box(getppid());
            }),
        };
        let median = spread(&times).context("time at least one call")?.median;
        writeln!(answers, "nanoseconds {median}").context("answer")?;
    }
    Ok(())
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("stay on CPU {cpu}"))
}

/// Nanoseconds of one write, for each burst.
fn writes(listener: &TcpListener) -> Result<Vec<f64>> {
    let (mut stream, _) = listener.accept().context("accept the reader")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    let mut opening = vec![0; wire::client_opening(1).len()];
    stream
        .read_exact(&mut opening)
        .context("read the client's opening")?;
    write_whole(&stream, &wire::server_opening(1))?;

    let mut leave = vec![0; wire::window_updates(0).len()];
    let mut frame = AudioFrame::new(0, 0);
    let mut sequence = 0;
    let mut times = Vec::new();
    for burst in 0..ROUND_BURSTS {
        let started = Instant::now();
        for _ in 0..BURST_WRITES {
            sequence += 1;
            write_whole(&stream, frame.numbered(sequence))?;
        }
        let took = started.elapsed();
        if burst >= WARM_UP_BURSTS {
            times.push(took.as_nanos() as f64 / f64::from(BURST_WRITES));
        }
        stream
            .read_exact(&mut leave)
            .context("read the reader's leave to go on")?;
    }
    Ok(times)
}

/// One `write(2)`: a blocking socket takes all of it.
pub(crate) fn write_whole(stream: &TcpStream, bytes: &[u8]) -> Result<()> {
    let written = rustix::io::write(stream, bytes).context("write")?;
    if written == bytes.len() {
        Ok(())
    } else {
        bail!("the socket took {written} of {} bytes", bytes.len())
    }
}

/// Nanoseconds of one empty read, for each batch.
fn reads(null: &File) -> Result<Vec<f64>> {
    let mut byte = [0];
    rustix::io::read(null, &mut byte).context("read /dev/null")?;
    // What succeeded once does so always.
    Ok(bare_calls(|| {
        let read = rustix::io::read(null, &mut byte);
        black_box(read.is_ok());
    }))
}

/// Nanoseconds of one call, for each batch.
fn bare_calls(mut call: impl FnMut()) -> Vec<f64> {
    let mut batch = || {
        let started = Instant::now();
        for _ in 0..BATCH_CALLS {
            call();
        }
        started.elapsed().as_nanos() as f64 / f64::from(BATCH_CALLS)
    };
    (0..BATCHES).map(|_| batch()).collect()
}

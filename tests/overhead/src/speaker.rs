//! The process that speaks: paced streams of audio frames over HTTP/2, one write for each frame, at a rate
//! that a text-to-speech worker does not reach.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::sample::quantiles;
use crate::subject::{pin, write_whole};
use crate::wire::{self, AudioFrame};

/// Most calls on one connection, as gRPC servers allow by custom.
pub(crate) const CALLS: u32 = 100;

/// Intervals of the first second are not counted: connections, caches and pages settle.
const WARM_UP: Duration = Duration::from_secs(1);

/// What it is told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Streams at the same time: up to [`CALLS`], or a multiple of it.
    pub(crate) streams: u32,
    /// Frames of all streams together.
    pub(crate) frames_per_second: u32,
    /// How long.
    pub(crate) length: Duration,
}

impl Order {
    /// Calls on each connection, and connections.
    pub(crate) fn calls(self) -> (u32, u32) {
        let calls = self.streams.clamp(1, CALLS);
        (calls, self.streams.div_ceil(calls))
    }

    /// As a line of standard input.
    pub(crate) fn line(self) -> String {
        let Self {
            streams,
            frames_per_second,
            length,
        } = self;
        format!("{streams} {frames_per_second} {}", length.as_millis())
    }

    fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            streams: next()?,
            frames_per_second: next()?,
            length: Duration::from_millis(u64::from(next()?)),
        })
    }
}

/// What it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speech {
    /// Frames that it really sent in each second.
    pub(crate) frames_per_second: f64,
    /// Intervals between the frames of a stream in milliseconds: median and 99th percentile.
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

impl Speech {
    /// As an answer.
    fn line(self) -> String {
        let Self {
            frames_per_second,
            median,
            p99,
        } = self;
        format!("{frames_per_second} {median} {p99}")
    }

    /// From its answer.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            frames_per_second: next()?,
            median: next()?,
            p99: next()?,
        })
    }
}

/// Speaks as often as standard input says.
pub(crate) fn run(cpu: usize) -> Result<()> {
    pin(cpu)?;
    let mut answers = std::io::stdout();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    let port = listener.local_addr().context("find the port")?.port();
    writeln!(answers, "listening {port}").context("tell the port")?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("read a command")?;
        let order = Order::read(&line).with_context(|| format!("understand `{line}`"))?;
        let speech = speak(&listener, order)?;
        writeln!(answers, "spoke {}", speech.line()).context("answer")?;
    }
    Ok(())
}

fn speak(listener: &TcpListener, order: Order) -> Result<Speech> {
    let (calls, connections) = order.calls();
    let connections: Vec<TcpStream> = (0..connections)
        .map(|_| accept(listener, calls))
        .collect::<Result<_>>()?;
    let mut frames: Vec<AudioFrame> = (0..order.streams)
        .map(|session| AudioFrame::new(session % calls, session))
        .collect();
    let mut sent_at = vec![None; frames.len()];
    let mut intervals = Vec::new();
    let mut sent: u32 = 0;
    let started = Instant::now();
    let gap = Duration::from_secs(1) / order.frames_per_second;
    loop {
        // What is behind its time is sent at once: the rate is then as high as it gets.
        thread::sleep((gap * sent).saturating_sub(started.elapsed()));
        let now = started.elapsed();
        if now >= order.length {
            break;
        }
        let stream = (sent % order.streams) as usize;
        let connection = &connections[stream / calls as usize];
        write_whole(
            connection,
            frames[stream].numbered(sent / order.streams + 1),
        )?;
        sent += 1;
        if let Some(before) = sent_at[stream].replace(now)
            && before > WARM_UP
        {
            intervals.push(now.saturating_sub(before).as_secs_f64() * 1000.0);
        }
    }
    let took = started.elapsed();
    let [median, p99] = quantiles(intervals, [0.5, 0.99]).context("measure an interval")?;
    Ok(Speech {
        frames_per_second: f64::from(sent) / took.as_secs_f64(),
        median,
        p99,
    })
}

fn accept(listener: &TcpListener, calls: u32) -> Result<TcpStream> {
    let (mut stream, _) = listener.accept().context("accept a listener")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    let mut opening = vec![0; opening(calls).len()];
    stream
        .read_exact(&mut opening)
        .context("read the client's opening")?;
    write_whole(&stream, &wire::server_opening(calls))?;
    Ok(stream)
}

/// What a listener sends.
pub(crate) fn opening(calls: u32) -> Vec<u8> {
    let mut bytes = wire::client_opening(calls);
    bytes.extend(wire::wide_windows());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_speech_survive_their_lines() {
        let order = Order {
            streams: 5000,
            frames_per_second: 250_000,
            length: Duration::from_secs(4),
        };
        let read = Order::read(&order.line()).expect("an order");
        assert_eq!(read.calls(), (100, 50));
        assert_eq!(read.line(), order.line());
        let speech = Speech {
            frames_per_second: 4999.5,
            median: 20.0,
            p99: 20.25,
        };
        assert_eq!(Speech::read(&speech.line()), Some(speech));
    }
}

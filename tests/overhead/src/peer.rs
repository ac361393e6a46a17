//! The measured processes as their measurer sees them, and the reader at the other end of their
//! connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum as _;

use crate::process::Process;
use crate::subject::{self, BURST_BYTES, Kind};
use crate::wire;

/// This program as a process of its own, which takes commands and answers; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Peer {
    // Standard input first: closing it ends the process.
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    process: Process,
    /// Where it listens, if it does.
    pub(crate) port: u16,
}

impl Peer {
    /// Starts it and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(program);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let (commands, answers) = process.pipes().context("reach the measured process")?;
        let mut peer = Self {
            commands,
            answers: BufReader::new(answers),
            process,
            port: 0,
        };
        peer.port = peer.answer("listening ")?.parse().context("read a port")?;
        Ok(peer)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Tells it to do something.
    pub(crate) fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}").context("tell a measured process")
    }

    /// Its next line, which has to begin with these words; what comes after them.
    pub(crate) fn answer(&mut self, start: &str) -> Result<String> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("read an answer")?;
        let rest = line.trim_end().strip_prefix(start);
        rest.map(String::from)
            .with_context(|| format!("a measured process says `{}`", line.trim_end()))
    }
}

/// A process whose calls are measured.
#[derive(Debug)]
pub(crate) struct Subject {
    peer: Peer,
    reader_cpu: usize,
}

impl Subject {
    /// Starts one on CPU `cpu`; its reader runs on `reader_cpu`.
    pub(crate) fn start(kind: Kind, cpu: usize, reader_cpu: usize) -> Result<Self> {
        let value = kind.to_possible_value().context("name the kind")?;
        let peer = Peer::start(&["subject", value.get_name(), "--cpu", &cpu.to_string()])?;
        Ok(Self { peer, reader_cpu })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.peer.pid()
    }

    /// One round: nanoseconds of one call.
    pub(crate) fn measure(&mut self) -> Result<f64> {
        self.peer.tell("measure")?;
        let reader = (self.peer.port != 0).then(|| {
            let (port, cpu) = (self.peer.port, self.reader_cpu);
            thread::spawn(move || read(port, cpu))
        });
        let answer = self.peer.answer("nanoseconds ");
        if let Some(reader) = reader {
            reader
                .join()
                .map_err(|_| anyhow!("the reader panicked"))??;
        }
        answer?.parse().context("read a time")
    }
}

/// Longer than a burst takes: its reader does not wait for it, so that no write pays for waking one.
const BURST: Duration = Duration::from_millis(1);

/// Takes what a subject writes, and gives leave for the next burst when one is complete.
fn read(port: u16, cpu: usize) -> Result<()> {
    subject::pin(cpu)?;
    let mut stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect to a measured process")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    stream
        .write_all(&wire::client_opening(1))
        .context("send the client's opening")?;
    let mut opening = vec![0; wire::server_opening(1).len()];
    stream
        .read_exact(&mut opening)
        .context("read the server's opening")?;
    let leave = wire::window_updates(BURST_BYTES as u32);
    let mut burst = vec![0; BURST_BYTES];
    for _ in 0..subject::ROUND_BURSTS {
        thread::sleep(BURST);
        stream.read_exact(&mut burst).context("read a burst")?;
        stream.write_all(&leave).context("give leave to go on")?;
    }
    Ok(())
}

//! The process that speaks as its measurer sees it, and those who listen to it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::bench::Bench;
use crate::peer::Peer;
use crate::speaker::{Order, Speech, opening};
use crate::subject::pin;

/// Bytes that a listener takes at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes that wait for a listener: what a neighbour's burst of work keeps it from taking is not dropped, to
/// be sent again a fifth of a second later.
const WAITING_BYTES: usize = 8 << 20;

/// A process that speaks.
#[derive(Debug)]
pub(crate) struct Speaker {
    peer: Peer,
    reader_cpu: usize,
}

impl Speaker {
    /// Starts it.
    pub(crate) fn start(bench: &Bench) -> Result<Self> {
        let (cpu, reader_cpu) = bench.cpus;
        let peer = Peer::start(&["speaker", "--cpu", &cpu.to_string()])?;
        Ok(Self { peer, reader_cpu })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.peer.pid()
    }

    /// Has it speak, listens, and does something meanwhile.
    pub(crate) fn speak<T>(
        &mut self,
        order: Order,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Speech, T)> {
        self.peer.tell(&order.line())?;
        let (calls, connections) = order.calls();
        let (port, cpu) = (self.peer.port, self.reader_cpu);
        let listeners: Vec<_> = (0..connections)
            .map(|_| thread::spawn(move || listen(port, cpu, calls)))
            .collect();
        let done = meanwhile();
        let answer = self.peer.answer("spoke ")?;
        for listener in listeners {
            listener
                .join()
                .map_err(|_| anyhow!("a listener panicked"))??;
        }
        let speech = Speech::read(&answer).with_context(|| format!("understand `{answer}`"))?;
        Ok((speech, done?))
    }
}

/// Takes what is said on one connection until it ends.
fn listen(port: u16, cpu: usize, calls: u32) -> Result<()> {
    pin(cpu)?;
    let mut stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect to the speaker")?;
    // Beyond the system's bound only with CAP_NET_ADMIN; without it, what fits waits.
    set_socket_recv_buffer_size_force(&stream, WAITING_BYTES).ok();
    stream
        .write_all(&opening(calls))
        .context("send the client's opening")?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while stream.read(&mut buffer).context("listen")? > 0 {}
    Ok(())
}

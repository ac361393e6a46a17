//! Both ends of a connection, with what each moved.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::Context as _;
use probe_core::record::{Address, Side};
use probe_tests::report::Report;
use probe_tests::traffic;

use crate::calls::{Receive, Send};

/// One end of a connection.
pub(crate) struct End {
    pub(crate) fd: OwnedFd,
    pub(crate) report: Report,
}

/// A connection within this process.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
}

impl End {
    fn new(fd: OwnedFd, side: Side, local: Option<Address>, peer: Option<Address>) -> Self {
        let report = Report {
            side,
            local,
            peer,
            sent: 0,
            received: 0,
            received_elsewhere: 0,
        };
        Self { fd, report }
    }

    /// The end that connected; its listener serves no other connection.
    pub(crate) fn connected(socket: TcpStream) -> anyhow::Result<Self> {
        let peer = address(socket.peer_addr().context("read the peer's address")?);
        Ok(Self::new(socket.into(), Side::Client, None, Some(peer)))
    }

    /// The end that accepted.
    pub(crate) fn accepted(socket: TcpStream) -> anyhow::Result<Self> {
        let peer = address(socket.peer_addr().context("read the peer's address")?);
        Ok(Self::new(socket.into(), Side::Server, None, Some(peer)))
    }

    /// Sends in one call and counts what the kernel took.
    pub(crate) fn send(&mut self, call: Send, bytes: &[u8], parts: usize) -> io::Result<usize> {
        let taken = call.call(&self.fd, bytes, parts)?;
        self.report.sent += taken as u64;
        Ok(taken)
    }

    /// Sends everything, in as many calls as it takes.
    pub(crate) fn send_all(&mut self, call: Send, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.send(call, bytes, 2)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Receives in one call and counts it.
    pub(crate) fn receive(
        &mut self,
        call: Receive,
        most: usize,
        parts: usize,
    ) -> io::Result<usize> {
        let mut buffer = vec![0; most];
        let received = call.call(&self.fd, &mut buffer, parts)?;
        self.report.received += received as u64;
        Ok(received)
    }

    /// Receives exactly this many bytes.
    pub(crate) fn receive_all(&mut self, call: Receive, bytes: usize) -> anyhow::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let received = self.receive(call, left, 2)?;
            anyhow::ensure!(received > 0, "the connection ended {left} bytes too early");
            left -= received;
        }
        Ok(())
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Pair {
    /// Over TCP on IPv4, by a listener of its own, after the opening of HTTP/2.
    pub(crate) fn tcp() -> anyhow::Result<Self> {
        Self::over("127.0.0.1:0", "127.0.0.1")
    }

    /// Over TCP between a listener's address and the host that the client names.
    pub(crate) fn over(listener: &str, host: &str) -> anyhow::Result<Self> {
        Self::silent(listener, host)?.opened()
    }

    /// The same, before anything is sent.
    pub(crate) fn silent(listener: &str, host: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listener).context("listen")?;
        let port = listener.local_addr().context("read the address")?.port();
        let client = TcpStream::connect((host, port)).context("connect")?;
        let (server, _) = listener.accept().context("accept")?;
        let (client, server) = (End::connected(client)?, End::accepted(server)?);
        Ok(Self { client, server })
    }

    /// Over a unix socket at a path of its own.
    pub(crate) fn unix(path: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(path).context("listen")?;
        let client = UnixStream::connect(path).context("connect")?;
        let (server, _) = listener.accept().context("accept")?;
        let path = Some(Address::Unix(path.to_string_lossy().into_owned()));
        Self {
            client: End::new(client.into(), Side::Client, None, path.clone()),
            server: End::new(server.into(), Side::Server, path, None),
        }
        .opened()
    }

    /// The opening of HTTP/2 in both directions.
    pub(crate) fn opened(mut self) -> anyhow::Result<Self> {
        let opening = traffic::client_opening();
        self.client.send_all(Send::Write, &opening)?;
        self.server.receive_all(Receive::Read, opening.len())?;
        let opening = traffic::server_opening();
        self.server.send_all(Send::Write, &opening)?;
        self.client.receive_all(Receive::Read, opening.len())?;
        Ok(self)
    }

    /// What both ends moved; closes them.
    pub(crate) fn into_reports(self) -> [Report; 2] {
        [self.client.report, self.server.report]
    }
}

/// As the agent writes addresses: IPv4-mapped ones as IPv4.
pub(crate) fn address(mut address: SocketAddr) -> Address {
    address.set_ip(address.ip().to_canonical());
    Address::Inet(address)
}

/// Serves one connection plainly: takes the client's opening and `bytes` more, sends the server's.
pub(crate) fn serve(mut socket: TcpStream, bytes: usize) -> anyhow::Result<()> {
    let mut received = vec![0; traffic::client_opening().len() + bytes];
    socket.write_all(&traffic::server_opening())?;
    socket.read_exact(&mut received)?;
    Ok(())
}

//! A TCP stream that stamps the clock around its system calls.
//!
//! The libraries on top of it (HTTP/2, WebSocket, RESP) do not say when their bytes crossed the
//! kernel; the stream below them knows. A stamp is the entry of a send and the return of a receive,
//! as the kernel's tracepoints see them, but for the few instructions in between.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{SendFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::clock::monotonic_ns;

/// How long a hand-over may take to reach the socket before its own time must do: a library that
/// waits for flow control may take any time.
const HAND_OVER: Duration = Duration::from_secs(1);

/// When a stream's last system calls happened, in monotonic nanoseconds; 0 for none yet.
pub(crate) struct Stamps {
    read_ns: AtomicU64,
    written: watch::Sender<u64>,
    /// A second descriptor, kept only where the socket is to be treated badly.
    raw: Mutex<Option<OwnedFd>>,
}

impl Stamps {
    /// No system call yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            read_ns: AtomicU64::new(0),
            written: watch::Sender::new(0),
            raw: Mutex::new(None),
        })
    }

    /// Return of the last receive that brought something.
    pub(crate) fn read_ns(&self) -> u64 {
        self.read_ns.load(Ordering::Relaxed)
    }

    /// Entry of the last send.
    pub(crate) fn written_ns(&self) -> u64 {
        *self.written.borrow()
    }

    /// Entry of the first send at or after `since_ns`: the one that carries what was handed to the
    /// library then, as it writes all it has. Gives `since_ns` itself if nothing is sent for long.
    pub(crate) async fn written_since(&self, since_ns: u64) -> u64 {
        let mut written = self.written.subscribe();
        let wait = written.wait_for(|at_ns| *at_ns >= since_ns);
        match tokio::time::timeout(HAND_OVER, wait).await {
            Ok(Ok(at_ns)) => *at_ns,
            _ => since_ns,
        }
    }

    /// Writes `bytes` below the library, past whatever protocol it speaks.
    pub(crate) fn write_raw(&self, bytes: &[u8]) -> io::Result<()> {
        match &*self.raw.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(socket) => {
                rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?;
                Ok(())
            }
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends FIN below the library.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        match &*self.raw.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(socket) => Ok(rustix::net::shutdown(socket, Shutdown::Write)?),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes the end of the stream a reset (RST) instead of an orderly one.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        let raw = self
            .raw
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match raw {
            Some(socket) => {
                rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
                Ok(())
            }
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A TCP stream and its stamps.
pub(crate) struct Stamped {
    socket: TcpStream,
    stamps: Arc<Stamps>,
}

impl Stamped {
    /// Stamps `socket` into `stamps`, which may be those of an earlier stream to the same peer.
    pub(crate) fn new(socket: TcpStream, stamps: Arc<Stamps>) -> Self {
        Self { socket, stamps }
    }

    /// The other end's address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// The times of its system calls.
    pub(crate) fn stamps(&self) -> Arc<Stamps> {
        Arc::clone(&self.stamps)
    }

    /// The same, with a second descriptor for [`Stamps::write_raw`] and
    /// [`Stamps::reset_on_close`].
    pub(crate) fn with_raw(socket: TcpStream, stamps: Arc<Stamps>) -> io::Result<Self> {
        let raw = socket.as_fd().try_clone_to_owned()?;
        *stamps.raw.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
        Ok(Self { socket, stamps })
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(task, buffer))?;
        if buffer.filled().len() > before {
            self.stamps.read_ns.store(monotonic_ns(), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let before_ns = monotonic_ns();
        let written = ready!(Pin::new(&mut self.socket).poll_write(task, bytes))?;
        self.stamps.written.send_replace(before_ns);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before_ns = monotonic_ns();
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(task, parts))?;
        self.stamps.written.send_replace(before_ns);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Stamped, Arc<Stamps>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let stamps = Stamps::new();
        let stamped = Stamped::with_raw(client, Arc::clone(&stamps)).unwrap();
        (stamped, stamps, server)
    }

    #[tokio::test]
    async fn stamps_lie_between_the_clock_before_and_after_the_call() {
        let (mut stamped, stamps, mut server) = pair().await;
        let before_ns = monotonic_ns();
        stamped.write_all(b"ping").await.unwrap();
        assert!((before_ns..=monotonic_ns()).contains(&stamps.written_ns()));

        server.write_all(b"pong").await.unwrap();
        let before_ns = monotonic_ns();
        let mut answer = [0; 4];
        stamped.read_exact(&mut answer).await.unwrap();
        assert!((before_ns..=monotonic_ns()).contains(&stamps.read_ns()));
    }

    #[tokio::test]
    async fn hand_over_gets_the_time_of_the_write_that_follows_it() {
        let (mut stamped, stamps, _server) = pair().await;
        stamped.write_all(b"before").await.unwrap();
        let since_ns = monotonic_ns();
        let (at_ns, written) =
            tokio::join!(stamps.written_since(since_ns), stamped.write_all(b"after"));
        written.unwrap();
        assert!(at_ns >= since_ns && at_ns == stamps.written_ns());
    }

    #[tokio::test]
    async fn reset_stream_ends_with_an_error_at_the_peer() {
        let (stamped, stamps, mut server) = pair().await;
        stamps.write_raw(b"raw").unwrap();
        let mut raw = [0; 3];
        server.read_exact(&mut raw).await.unwrap();
        assert_eq!(&raw, b"raw");
        stamps.reset_on_close().unwrap();
        drop(stamped);
        let error = server.read(&mut raw).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

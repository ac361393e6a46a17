//! Connections of the endpoint, by TLS where the web configuration says so.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::Guard;

/// How long a client may take for its side of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections that may be between their first byte and their request: more wait for the kernel.
const MAX_WAITING: usize = 64;

/// Between two attempts to accept when the process has no descriptor left.
const RETRY: Duration = Duration::from_millis(100);

/// A connection that may be read and written.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connections that are ready for requests. Handshakes run beside each other, so that a client that
/// says nothing keeps nobody waiting.
pub(super) struct Listener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Box<dyn Stream>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Starts to accept. Runs inside a tokio runtime.
    pub(super) fn start(listener: TcpListener, guard: Guard) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (out, ready) = mpsc::channel(MAX_WAITING);
        Ok(Self {
            address,
            ready,
            accepting: tokio::spawn(accept(listener, guard, out)),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for Listener {
    type Io = Box<dyn Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Nobody accepts any more: the runtime is ending.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(
    listener: TcpListener,
    guard: Guard,
    out: mpsc::Sender<(Box<dyn Stream>, SocketAddr)>,
) {
    loop {
        // A place first: what is not accepted waits in the kernel.
        let Ok(place) = out.clone().reserve_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "connection not accepted");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let Some(config) = guard.tls() else {
            drop(place.send((Box::new(stream), peer)));
            continue;
        };
        let acceptor = TlsAcceptor::from(config);
        tokio::spawn(async move {
            match handshake(&acceptor, stream).await {
                Ok(stream) => drop(place.send((stream, peer))),
                Err(error) => tracing::debug!(%peer, %error, "no TLS handshake"),
            }
        });
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
    Ok(Box::new(accepted.map_err(|_| io::ErrorKind::TimedOut)??))
}

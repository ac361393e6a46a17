//! The opening handshake (RFC 6455 section 4), on both sides and with both libraries.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as Asked, Response,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;
use yawc::{HttpRequestBuilder, Options, UpgradeFut, WebSocket};

use super::{Library, MAX_MESSAGE_BYTES, Socket};
use crate::stamped::{Stamped, Stamps};

/// The header that says which trace a request belongs to.
const TRACEPARENT: &str = "traceparent";

/// A connection that a client opened.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    /// When the request was received, in monotonic nanoseconds.
    pub(crate) requested_ns: u64,
    /// When the answer 101 was sent, in monotonic nanoseconds.
    pub(crate) answered_ns: u64,
    /// The value of `model` in the request's query.
    pub(crate) model: Option<String>,
}

/// Answers a client's handshake.
pub(crate) async fn accept(socket: TcpStream, deflate: bool) -> anyhow::Result<Accepted> {
    socket.set_nodelay(true).context("turn off Nagle")?;
    let stamps = Stamps::new();
    let stamped = Stamped::new(socket, Arc::clone(&stamps));
    let (library, requested_ns, query) = if deflate {
        accept_deflating(stamped, &stamps).await?
    } else {
        accept_plain(stamped, &stamps).await?
    };
    let answered_ns = stamps.written_ns();
    Ok(Accepted {
        socket: Socket { library, stamps },
        requested_ns,
        answered_ns,
        model: query.and_then(|query| model(&query)),
    })
}

fn model(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "model")
        .map(|(_, model)| model.into_owned())
}

type Answered = (Library, u64, Option<String>);

async fn accept_deflating(stamped: Stamped, stamps: &Arc<Stamps>) -> anyhow::Result<Answered> {
    let (upgrading, upgraded) = oneshot::channel();
    let upgrading = Mutex::new(Some(upgrading));
    let asked = Arc::clone(stamps);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let requested_ns = asked.read_ns();
        let query = request.uri().query().map(str::to_owned);
        let answer = WebSocket::upgrade_with_options(&mut request, options());
        let answer = answer.map(|(response, upgrade)| {
            let waiting = upgrading
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waiting) = waiting {
                // The other side waits until the connection is over.
                waiting.send((upgrade, requested_ns, query)).ok();
            }
            response
        });
        // A request that is no handshake gets none: the connection ends with it.
        async move { answer }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stamped), service)
        .with_upgrades();
    tokio::spawn(async move {
        // An error here shows as an upgrade that never comes.
        serving.await.ok();
    });
    let (upgrade, requested_ns, query): (UpgradeFut, u64, Option<String>) =
        upgraded.await.context("no WebSocket handshake came")?;
    let socket = upgrade.await.context("upgrade the connection")?;
    Ok((Library::Deflating(Box::new(socket)), requested_ns, query))
}

async fn accept_plain(stamped: Stamped, stamps: &Arc<Stamps>) -> anyhow::Result<Answered> {
    let mut requested_ns = 0;
    let mut query = None;
    #[allow(
        clippy::result_large_err,
        reason = "the type of the library's callback"
    )]
    let look = |request: &Asked, response: Response| -> Result<Response, ErrorResponse> {
        requested_ns = stamps.read_ns();
        query = request.uri().query().map(str::to_owned);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async_with_config(stamped, look, Some(config()))
        .await
        .context("answer the handshake")?;
    Ok((Library::Plain(Box::new(socket)), requested_ns, query))
}

/// Opens a connection to `server` that can be treated badly; the request belongs to the trace that
/// `traceparent` says (W3C Trace Context).
pub(crate) async fn connect(
    server: SocketAddr,
    model: Option<&str>,
    deflate: bool,
    traceparent: Option<&str>,
) -> anyhow::Result<Socket> {
    let socket = TcpStream::connect(server)
        .await
        .with_context(|| format!("connect to {server}"))?;
    socket.set_nodelay(true).context("turn off Nagle")?;
    let stamps = Stamps::new();
    let stamped = Stamped::with_raw(socket, Arc::clone(&stamps)).context("copy a descriptor")?;
    let mut address = Url::parse(&format!("ws://{server}/ws")).context("make the address")?;
    if let Some(model) = model {
        address.query_pairs_mut().append_pair("model", model);
    }
    let library = if deflate {
        let mut request = HttpRequestBuilder::new();
        if let Some(traceparent) = traceparent {
            request = request.header(TRACEPARENT, traceparent);
        }
        let socket = WebSocket::handshake_with_request(address, stamped, options(), request)
            .await
            .context("shake hands")?;
        Library::DeflatingClient(Box::new(socket))
    } else {
        let mut request = address.as_str().into_client_request()?;
        if let Some(traceparent) = traceparent {
            let headers = request.headers_mut();
            headers.insert(TRACEPARENT, traceparent.parse().context("no header")?);
        }
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stamped, Some(config()))
                .await
                .context("shake hands")?;
        Library::Plain(Box::new(socket))
    };
    Ok(Socket { library, stamps })
}

fn options() -> Options {
    Options::default()
        .with_balanced_compression()
        .with_limits(MAX_MESSAGE_BYTES, 2 * MAX_MESSAGE_BYTES)
        .with_utf8()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

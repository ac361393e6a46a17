//! A collector of traces: OTLP's server side, over gRPC and over HTTP with protobuf, with and without TLS, as
//! OpenTelemetry's own definitions of the protocol have it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// Which of OTLP's transports it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf.
    Http,
}

impl Protocol {
    /// As the agent's `traces.protocol` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }

    /// As a TLS handshake names it (RFC 7301).
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Grpc => b"h2",
            Self::Http => b"http/1.1",
        }
    }
}

/// What the collector does with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It takes them.
    #[default]
    Takes,
    /// It takes all but one span of each.
    TakesAllButOne,
    /// It cannot now (gRPC 14, HTTP 503).
    IsBusy,
    /// It never will (gRPC 3, HTTP 400).
    Refuses,
}

/// A running collector; it ends with its owner.
pub struct Collector {
    protocol: Protocol,
    endpoint: String,
    state: Arc<State>,
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    mood: Mutex<Mood>,
    spans: Mutex<Vec<Collected>>,
    requests: Mutex<u64>,
    refusals: Mutex<u64>,
}

/// A span with what was said of its process.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The span.
    pub span: Span,
    /// Attributes of the resource, as text.
    pub resource: BTreeMap<String, String>,
    /// Its own, as text.
    pub attributes: BTreeMap<String, String>,
    /// A field of the request's head: `authorization`.
    pub authorization: Option<String>,
}

impl Collector {
    /// One in clear text, on a free port.
    pub fn start(protocol: Protocol) -> Self {
        Self::serve(protocol, None)
    }

    /// One with a certificate for `localhost` by this authority.
    pub fn secure(protocol: Protocol, authority: &Authority) -> Self {
        let server = authority.server(protocol.alpn());
        Self::serve(protocol, Some(TlsAcceptor::from(Arc::new(server))))
    }

    fn serve(protocol: Protocol, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("start a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("listen");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let endpoint = match &tls {
            None => format!("http://{address}"),
            Some(_) => format!("https://localhost:{}", address.port()),
        };
        let state = Arc::new(State::default());
        runtime.spawn(accept(protocol, tls, listener, Arc::clone(&state)));
        Self {
            protocol,
            endpoint,
            state,
            _runtime: runtime,
        }
    }

    /// Where it listens and what it speaks, as the agent's section `traces` says it.
    pub fn settings(&self) -> String {
        let (endpoint, protocol) = (&self.endpoint, self.protocol.name());
        format!("endpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\n")
    }

    /// What it does from now on.
    pub fn set_mood(&self, mood: Mood) {
        *lock(&self.state.mood) = mood;
    }

    /// Spans that it took until now.
    pub fn spans(&self) -> Vec<Collected> {
        lock(&self.state.spans).clone()
    }

    /// Requests that came until now.
    pub fn requests(&self) -> u64 {
        *lock(&self.state.requests)
    }

    /// Handshakes that came to nothing: the client does not trust the certificate.
    pub fn refusals(&self) -> u64 {
        *lock(&self.state.refusals)
    }
}

async fn accept(
    protocol: Protocol,
    tls: Option<TlsAcceptor>,
    listener: TcpListener,
    state: Arc<State>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return converse(protocol, socket, state).await;
            };
            match tls.accept(socket).await {
                Ok(socket) => converse(protocol, socket, state).await,
                Err(_) => *lock(&state.refusals) += 1,
            }
        });
    }
}

/// Serves one connection to its end. A client that goes away is the client's business.
async fn converse(
    protocol: Protocol,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
) {
    let socket = TokioIo::new(socket);
    match protocol {
        Protocol::Grpc => {
            let service = TowerToHyperService::new(TraceServiceServer::new(Service(state)));
            let connection = http2::Builder::new(TokioExecutor::new());
            connection.serve_connection(socket, service).await.ok();
        }
        Protocol::Http => {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(request, &state).await) }
            });
            let connection = http1::Builder::new();
            connection.serve_connection(socket, service).await.ok();
        }
    }
}

impl State {
    /// Takes a request as the mood is.
    fn take(
        &self,
        request: ExportTraceServiceRequest,
        authorization: Option<&str>,
    ) -> (Mood, ExportTraceServiceResponse) {
        *lock(&self.requests) += 1;
        let mood = *lock(&self.mood);
        let mut answer = ExportTraceServiceResponse::default();
        if matches!(mood, Mood::IsBusy | Mood::Refuses) {
            return (mood, answer);
        }
        let mut all = collected(request, authorization);
        if mood == Mood::TakesAllButOne && all.pop().is_some() {
            answer.partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "one is too many".to_owned(),
            });
        }
        lock(&self.spans).extend(all);
        (mood, answer)
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.and_then(|it| it.to_str().ok().map(str::to_owned));
        match self.0.take(request.into_inner(), authorization.as_deref()) {
            (Mood::IsBusy, _) => Err(tonic::Status::unavailable("busy")),
            (Mood::Refuses, _) => Err(tonic::Status::invalid_argument("no")),
            (_, answer) => Ok(tonic::Response::new(answer)),
        }
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let head = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|it| it.to_str().ok().map(str::to_owned))
    };
    let wanted = request.method() == "POST"
        && request.uri().path() == "/v1/traces"
        && head("content-type").as_deref() == Some("application/x-protobuf");
    let authorization = head("authorization");
    let status = |status| {
        let mut response = Response::default();
        *response.status_mut() = status;
        response
    };
    if !wanted {
        return status(StatusCode::NOT_FOUND);
    }
    let body = request.into_body().collect().await.expect("a body");
    let Ok(request) = ExportTraceServiceRequest::decode(body.to_bytes()) else {
        return status(StatusCode::BAD_REQUEST);
    };
    match state.take(request, authorization.as_deref()) {
        (Mood::IsBusy, _) => status(StatusCode::SERVICE_UNAVAILABLE),
        (Mood::Refuses, _) => status(StatusCode::BAD_REQUEST),
        (_, answer) => Response::new(Full::new(answer.encode_to_vec().into())),
    }
}

fn collected(request: ExportTraceServiceRequest, authorization: Option<&str>) -> Vec<Collected> {
    let mut all = Vec::new();
    for of in request.resource_spans {
        let resource = said(of.resource.as_ref().map_or(&[], |it| &it.attributes));
        for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Collected {
                attributes: said(&span.attributes),
                span,
                resource: resource.clone(),
                authorization: authorization.map(str::to_owned),
            });
        }
    }
    all
}

fn said(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.clone(), text(&pair.value)))
        .collect()
}

fn lock<T>(place: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

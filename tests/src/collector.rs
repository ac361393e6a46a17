//! A collector of traces: OTLP's server side, over gRPC and over HTTP with protobuf, as OpenTelemetry's own
//! definitions of the protocol have it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
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
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;

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
    address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    mood: Mutex<Mood>,
    spans: Mutex<Vec<Collected>>,
    requests: Mutex<u64>,
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
    /// One that speaks gRPC, on a free port.
    pub fn grpc() -> Self {
        Self::start(|listener, state| async move {
            let incoming = TcpListenerStream::new(listener);
            let service = TraceServiceServer::new(Service(state));
            let served = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming);
            served.await.expect("serve");
        })
    }

    /// One that speaks HTTP, on a free port.
    pub fn http() -> Self {
        Self::start(|listener, state| async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, Infallible>(answer(request, &state).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                // A client that goes away is the client's business.
                tokio::spawn(async { connection.await.ok() });
            }
        })
    }

    fn start<F>(serve: impl FnOnce(TcpListener, Arc<State>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("start a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("listen");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        runtime.spawn(serve(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// Where it listens, as an endpoint is configured.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
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

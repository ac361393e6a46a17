//! The HTTP endpoint: `/metrics`, `/healthz`, `/readyz`, `/streams`; with a web configuration by TLS and
//! with a password, which `/healthz` and `/readyz` ask nobody for: they tell nothing else.

mod guard;
mod listener;
pub mod otlp;
mod web_config;

use std::{
    future::IntoFuture as _,
    io,
    net::{SocketAddr, TcpListener},
    sync::atomic::Ordering,
    time::Instant,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus::{Encoder as _, Histogram, HistogramOpts, Registry, TEXT_FORMAT, TextEncoder};

use crate::agent::{Shared, StreamRow};
pub use guard::Guard;
use listener::Listener;
pub use web_config::{WebConfig, WebConfigError};

/// The endpoint cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({error}): {}", remedy(error))]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop what uses the port, or choose another with --listen",
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose an address of this host with --listen",
    }
}

/// An endpoint that listens and does not answer yet.
pub struct Endpoint(TcpListener);

impl Endpoint {
    /// Takes the port.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        bind()
            .map(Self)
            .map_err(|error| ListenError { address, error })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers until `shutdown` is done. Runs inside a tokio runtime.
    pub async fn serve(
        self,
        shared: Shared,
        guard: Guard,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.0)?;
        let listener = Listener::start(listener, guard.clone())?;
        axum::serve(listener, router(shared, guard))
            .with_graceful_shutdown(shutdown)
            .into_future()
            .await
    }
}

#[derive(Clone)]
struct Exporter {
    shared: Shared,
    scrapes: Histogram,
}

fn router(shared: Shared, guard: Guard) -> Router {
    let scrapes = scrape_duration(shared.metrics.registry());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/streams", get(streams))
        // Only the routes so far.
        .route_layer(from_fn_with_state(guard, guard::admit))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Exporter { shared, scrapes })
}

fn scrape_duration(registry: &Registry) -> Histogram {
    let options = HistogramOpts::new(
        "voxprobe_scrape_duration_seconds",
        "Time to gather and encode the metrics.",
    )
    .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5]);
    let histogram = Histogram::with_opts(options).expect("the options are constant");
    if let Err(error) = registry.register(Box::new(histogram.clone())) {
        tracing::debug!(%error, "scrape durations are not exported");
    }
    histogram
}

/// The exposition in Prometheus' text format.
pub fn encode(registry: &Registry) -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

async fn metrics(State(exporter): State<Exporter>) -> Response {
    let start = Instant::now();
    let encoded = encode(exporter.shared.metrics.registry());
    exporter.scrapes.observe(start.elapsed().as_secs_f64());
    match encoded {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(exporter): State<Exporter>) -> Response {
    if exporter.shared.ready.load(Ordering::Acquire) {
        "ready\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "programs are not attached yet\n",
        )
            .into_response()
    }
}

async fn streams(State(exporter): State<Exporter>) -> Json<Vec<StreamRow>> {
    Json(exporter.shared.streams.rows())
}

//! One request to the collector, and what became of it.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
pub(super) use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceResponse as Response, trace_service_client::TraceServiceClient,
};
use prost::Message as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tonic::{Code, Status, body::Body, metadata::MetadataMap};

use super::settings::{EndpointError, Protocol, Settings};

/// Bytes of an answer that are read: it holds a number and a remark.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

type Http = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// A connection to the collector, made when it is first needed and again when it is lost.
pub(super) struct Client {
    endpoint: Uri,
    headers: HeaderMap,
    transport: Transport,
}

enum Transport {
    Grpc(TraceServiceClient<Http>),
    Http(Http),
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was taken, but for so many spans.
    Taken {
        /// Spans that were not taken.
        rejected: u64,
        /// Why not.
        message: String,
    },
    /// It will never be taken.
    Rejected(String),
    /// It may be taken later.
    Unavailable {
        /// Why not now.
        error: String,
        /// When the collector wants to be asked again.
        after: Option<Duration>,
    },
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, EndpointError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings)?)
            .https_or_http();
        let mut client = legacy::Client::builder(TokioExecutor::new());
        let transport = match settings.protocol {
            Protocol::Grpc => {
                let connector = builder.enable_http2().wrap_connector(tcp);
                let client = client.http2_only(true).build(connector);
                let origin = settings.endpoint.clone();
                Transport::Grpc(TraceServiceClient::with_origin(client, origin))
            }
            Protocol::Http => {
                let connector = builder.enable_http1().wrap_connector(tcp);
                Transport::Http(client.build(connector))
            }
        };
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            headers: settings.headers.clone(),
            transport,
        })
    }

    /// The collector's address.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }

    pub(super) async fn send(&mut self, request: Request) -> Outcome {
        match &mut self.transport {
            Transport::Grpc(client) => {
                let headers = MetadataMap::from_headers(self.headers.clone());
                let request =
                    tonic::Request::from_parts(headers, tonic::Extensions::new(), request);
                match client.export(request).await {
                    Ok(answer) => taken(answer.into_inner()),
                    Err(status) => refused(&status),
                }
            }
            Transport::Http(client) => {
                let body = Body::new(Full::new(Bytes::from(request.encode_to_vec())));
                let mut request = hyper::Request::new(body);
                *request.method_mut() = Method::POST;
                *request.uri_mut() = self.endpoint.clone();
                request.headers_mut().clone_from(&self.headers);
                let kind = HeaderValue::from_static("application/x-protobuf");
                request.headers_mut().insert(CONTENT_TYPE, kind);
                match client.request(request).await {
                    Ok(answer) => answered(answer).await,
                    Err(error) => Outcome::Unavailable {
                        error: chain(&error),
                        after: None,
                    },
                }
            }
        }
    }
}

/// TLS to the collector, also where it is not needed.
fn tls(settings: &Settings) -> Result<ClientConfig, EndpointError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EndpointError::NoCertificates(error.to_string()))?;
    let builder = match &settings.ca_file {
        Some(path) => {
            let wrong = |reason: String| EndpointError::Certificates {
                path: path.clone(),
                reason,
            };
            let mut roots = RootCertStore::empty();
            let all = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
            for certificate in all {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("it holds none".to_owned()));
            }
            builder.with_root_certificates(roots)
        }
        None if settings.is_secure() => builder
            .with_native_roots()
            .map_err(|error| EndpointError::NoCertificates(error.to_string()))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn taken(answer: Response) -> Outcome {
    let partial = answer.partial_success.unwrap_or_default();
    Outcome::Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    }
}

/// OTLP 1.x, "Failures" of OTLP/gRPC: these may be tried again, and whatever the collector did not say.
fn refused(status: &Status) -> Outcome {
    let error = status.source().map_or_else(
        || format!("{:?}: {}", status.code(), status.message()),
        chain,
    );
    let may_be_taken = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    if may_be_taken || status.source().is_some() {
        Outcome::Unavailable { error, after: None }
    } else {
        Outcome::Rejected(error)
    }
}

/// OTLP 1.x, "Failures" of OTLP/HTTP.
async fn answered(answer: hyper::Response<hyper::body::Incoming>) -> Outcome {
    let status = answer.status();
    let after = answer.headers().get(RETRY_AFTER);
    let after = after.and_then(|it| it.to_str().ok()?.parse().ok());
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await;
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Unavailable {
            error: status.to_string(),
            after: after.map(Duration::from_secs),
        },
        status if status.is_success() => {
            // It was taken, whatever the answer looks like.
            let answer = body.ok().map(|body| Response::decode(body.to_bytes()));
            taken(answer.and_then(Result::ok).unwrap_or_default())
        }
        status => Outcome::Rejected(status.to_string()),
    }
}

/// An error with its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}

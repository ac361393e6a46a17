//! Where traces go, and how.

use std::{path::PathBuf, time::Duration};

use hyper::{
    HeaderMap, Uri,
    header::{HeaderName, HeaderValue},
    http::uri::Scheme,
};
use serde::Deserialize;

/// Path of traces where an endpoint has none (OTLP 1.x, "OTLP/HTTP request").
const HTTP_PATH: &str = "/v1/traces";

/// Which of OTLP's transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// HTTP with protobuf, usually on port 4318.
    Http,
}

/// Settings of the exporter.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The collector; for HTTP with its path.
    pub endpoint: Uri,
    /// How to talk to it.
    pub protocol: Protocol,
    /// Fields of every request: tokens, tenants.
    pub headers: HeaderMap,
    /// Certificates that the collector's has to lead to; `None` for those of the host.
    pub ca_file: Option<PathBuf>,
    /// Share of the traces, 0 to 1.
    pub rate: f64,
    /// Most spans that wait.
    pub queue: usize,
    /// Most spans of one request.
    pub batch: usize,
    /// Longest time that a span waits for others.
    pub interval: Duration,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Traces cannot be sent as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No address.
    #[error(
        "endpoint: `{0}` is no address of a collector: write it like \"http://127.0.0.1:4317\""
    )]
    Address(String),
    /// A header that HTTP does not allow. Its value may be a secret.
    #[error("headers: `{0}` is no header of HTTP, or its value is none")]
    Header(String),
    /// A share that is none.
    #[error("sample: {0} is no share: give a number from 0 to 1")]
    Share(f64),
    /// Room for less than a batch.
    #[error("batch: it has to be from 1 to `queue`, which is {0}")]
    Batch(usize),
    /// No certificates.
    #[error("ca_file: {}: {reason}: give a PEM file of certificates", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nor in the host's store.
    #[error("endpoint: the host has no certificates to trust ({0}): name them in ca_file")]
    NoCertificates(String),
}

impl Settings {
    /// Reads an endpoint's address.
    ///
    /// # Errors
    /// Where it is none.
    pub fn endpoint(text: &str, protocol: Protocol) -> Result<Uri, EndpointError> {
        let wrong = || EndpointError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        // A name or password in an address would be told in logs.
        let plain = uri.authority().is_some_and(|it| !it.as_str().contains('@'));
        if !known || !plain || uri.query().is_some() {
            return Err(wrong());
        }
        if protocol == Protocol::Grpc || uri.path() != "/" {
            return Ok(uri);
        }
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(HTTP_PATH.parse().map_err(|_| wrong())?);
        Uri::from_parts(parts).map_err(|_| wrong())
    }

    /// Reads headers.
    ///
    /// # Errors
    /// Where one is none.
    pub fn headers<'a>(
        given: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Result<HeaderMap, EndpointError> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            let wrong = || EndpointError::Header(name.clone());
            let known = HeaderName::try_from(name).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(known, value);
        }
        Ok(headers)
    }

    /// Whether the collector is asked by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.endpoint.scheme() == Some(&Scheme::HTTPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_for_http_has_a_path() {
        let endpoint = |text, protocol| Settings::endpoint(text, protocol).unwrap().to_string();
        assert_eq!(endpoint("http://c:4317", Protocol::Grpc), "http://c:4317/");
        assert_eq!(
            endpoint("http://c:4318", Protocol::Http),
            "http://c:4318/v1/traces"
        );
        assert_eq!(
            endpoint("https://c/otlp/x", Protocol::Http),
            "https://c/otlp/x"
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "c:4317",
            "ftp://c",
            "http://",
            "http://me:secret@c",
            "http://c/?token=x",
        ] {
            let error = Settings::endpoint(text, Protocol::Grpc).unwrap_err();
            assert!(error.to_string().contains("write it like"), "{error}");
        }
    }

    #[test]
    fn wrong_header_is_named_without_its_value() {
        let given = [("authorization".to_owned(), "secret\n".to_owned())];
        let error = Settings::headers(given.iter().map(|(name, value)| (name, value)));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("authorization") && !error.contains("secret"),
            "{error}"
        );
    }
}

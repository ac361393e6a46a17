//! A client of the endpoint, with and without TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client's own certificate.
pub(super) struct Certificate {
    chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    pub(super) fn of(certified: &CertifiedKey<KeyPair>) -> Self {
        let key = certified.signing_key.serialize_pem();
        Self {
            chain: certified.cert.der().clone(),
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
        }
    }
}

/// Whom it trusts, what it shows and who it says it is.
#[derive(Clone, Default)]
pub(super) struct Client {
    tls: Option<Arc<ClientConfig>>,
    user: Option<String>,
}

impl Client {
    pub(super) fn plain() -> Self {
        Self::default()
    }

    pub(super) fn trusting(trusted: &str) -> Self {
        Self::tls(trusted, None)
    }

    pub(super) fn showing(trusted: &str, own: &Certificate) -> Self {
        Self::tls(trusted, Some(own))
    }

    /// `user:password`.
    pub(super) fn with(self, user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            ..self
        }
    }

    fn tls(trusted: &str, own: Option<&Certificate>) -> Self {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate");
        roots.add(trusted).expect("it can be trusted");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            Some(own) => builder
                .with_client_auth_cert(vec![own.chain.clone()], own.key.clone_key())
                .expect("a certificate of its own"),
            None => builder.with_no_client_auth(),
        };
        Self {
            tls: Some(Arc::new(config)),
            user: None,
        }
    }

    /// Status and body; an error where the connection comes to nothing.
    pub(super) async fn get(&self, address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
        let stream = TcpStream::connect(address).await?;
        match &self.tls {
            None => self.ask(stream, path).await,
            Some(config) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let connector = TlsConnector::from(Arc::clone(config));
                self.ask(connector.connect(name, stream).await?, path).await
            }
        }
    }

    /// Whether an answer comes within some seconds.
    pub(super) async fn eventually(&self, address: SocketAddr, path: &str) -> bool {
        for _ in 0..50 {
            if self.get(address, path).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    async fn ask(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        path: &str,
    ) -> io::Result<(u16, String)> {
        let authorization = self.user.as_ref().map_or_else(String::new, |user| {
            format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(user))
        });
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some((status, body.to_owned()))
        });
        parsed.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

//! The endpoint's TLS and basic authentication, by the conventions of Prometheus' own programs
//! (exporter-toolkit, "web configuration").

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use serde::Deserialize;

/// What the file says, checked.
#[derive(Clone, Default)]
pub struct WebConfig {
    /// Files that it came from.
    pub files: Vec<PathBuf>,
    /// TLS; plain HTTP without it.
    pub tls: Option<Arc<ServerConfig>>,
    /// Hashes of passwords (bcrypt) by user; everybody is let in where there is none.
    pub users: BTreeMap<String, String>,
}

/// Why the file cannot be used: one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct WebConfigError {
    path: PathBuf,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Tls>,
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_auth_type: ClientAuth,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    min_version: Version,
}

/// Go's names. Those that would take a certificate of anybody are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Version {
    #[default]
    TLS12,
    TLS13,
}

impl WebConfig {
    /// Reads the file and those that it names; their paths count from its folder.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        let error = |path: &Path, reason: String| WebConfigError {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| error(path, e.to_string()))?;
        let file: File = serde_saphyr::from_str(&text)
            .map_err(|e| error(path, e.to_string().trim().replace('\n', " ")))?;
        for (user, hash) in &file.basic_auth_users {
            if hash.parse::<bcrypt::HashParts>().is_err() {
                let reason =
                    format!("the password of {user} is no bcrypt hash: `htpasswd -nB` makes one");
                return Err(error(path, reason));
            }
        }
        let mut files = vec![path.to_path_buf()];
        let mut tls = None;
        if let Some(mut server) = file.tls_server_config {
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            let named = [&mut server.cert_file, &mut server.key_file];
            for file in named.into_iter().chain(server.client_ca_file.as_mut()) {
                *file = folder.join(&*file);
                files.push(file.clone());
            }
            tls = Some(
                server
                    .config()
                    .map_err(|(path, reason)| error(&path, reason))?,
            );
        }
        Ok(Self {
            files,
            tls,
            users: file.basic_auth_users,
        })
    }
}

impl Tls {
    fn config(&self) -> Result<Arc<ServerConfig>, (PathBuf, String)> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |reason: String| (path, reason)
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.cert_file).map_err(at(&self.cert_file))?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file)
            .map_err(|e| at(&self.key_file)(format!("no private key: {e}")))?;
        let versions: &[&SupportedProtocolVersion] = match self.min_version {
            Version::TLS12 => &[&TLS12, &TLS13],
            Version::TLS13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|e| at(&self.cert_file)(e.to_string()))?;
        let config = match self.verifier(provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = config
            .with_single_cert(chain, key)
            .map_err(|e| at(&self.cert_file)(format!("not usable with its key: {e}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// What asks clients for certificates, where they have to show one.
    fn verifier(
        &self,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, (PathBuf, String)> {
        if self.client_auth_type == ClientAuth::NoClientCert {
            return Ok(None);
        }
        let Some(path) = &self.client_ca_file else {
            let reason = "client_auth_type needs client_ca_file".to_owned();
            return Err((self.cert_file.clone(), reason));
        };
        let failed = |reason: String| (path.clone(), reason);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path).map_err(failed)? {
            roots.add(certificate).map_err(|e| failed(e.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if self.client_auth_type == ClientAuth::VerifyClientCertIfGiven {
            builder.allow_unauthenticated()
        } else {
            builder
        };
        let verifier = builder.build().map_err(|e| failed(e.to_string()))?;
        Ok(Some(verifier))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| e.to_string())?
        .collect();
    let all = all.map_err(|e| e.to_string())?;
    if all.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(all)
}

//! Who is let in: the web configuration in force, read again when one of its files changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::ServerConfig;

use super::{WebConfig, WebConfigError};
use crate::settings::Contents;

/// Between two looks at the files, at least: certificates are replaced once in months.
const LOOK: Duration = Duration::from_secs(1);

/// A hash to compare with where the user is not known, whose outcome is not looked at: the answer then takes
/// as long as with a known one (cost 10, which Prometheus advises).
const NOBODY: &str = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// The configuration in force. Clones share it.
#[derive(Clone, Default)]
pub struct Guard(Arc<Mutex<Live>>);

#[derive(Default)]
struct Live {
    path: Option<PathBuf>,
    config: WebConfig,
    contents: Option<Contents>,
    looked: Option<Instant>,
    /// The header that was let in last: a scraper sends the same each time, and a hash takes a tenth of a
    /// second of CPU.
    accepted: Option<Vec<u8>>,
}

impl Guard {
    /// Lets everybody in without a file.
    pub fn load(path: Option<&Path>) -> Result<Self, WebConfigError> {
        let mut live = Live::default();
        if let Some(path) = path {
            live.path = Some(path.to_path_buf());
            live.config = WebConfig::load(path)?;
            live.contents = Some(Contents::read(&live.config.files));
        }
        Ok(Self(Arc::new(Mutex::new(live))))
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.refresh();
        live
    }

    /// TLS for the next connection; plain HTTP without it.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.live().config.tls.clone()
    }

    /// Whether a request with this header may go on.
    async fn admits(&self, header: Option<&[u8]>) -> bool {
        let users = {
            let live = self.live();
            if live.config.users.is_empty() {
                return true;
            }
            let known = live.accepted.as_deref();
            if known.is_some_and(|known| header.is_some_and(|header| is_same(known, header))) {
                return true;
            }
            live.config.users.clone()
        };
        let Some((user, password)) = header.and_then(credentials) else {
            return false;
        };
        // Not on the thread that answers.
        let checked = tokio::task::spawn_blocking(move || knows(&users, &user, &password)).await;
        let admitted = checked.unwrap_or(false);
        if admitted {
            self.live().accepted = header.map(<[u8]>::to_vec);
        }
        admitted
    }
}

impl Live {
    /// Reads the files again where they changed. What cannot be used changes nothing.
    fn refresh(&mut self) {
        let Some(path) = &self.path else { return };
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let contents = Some(Contents::read(&self.config.files));
        if contents == self.contents {
            return;
        }
        self.contents = contents;
        match WebConfig::load(path) {
            Ok(config) => {
                self.contents = Some(Contents::read(&config.files));
                self.config = config;
                self.accepted = None;
                tracing::info!(path = %path.display(), "web configuration applied");
            }
            Err(error) => {
                tracing::error!(%error, "web configuration refused: the old one stays");
            }
        }
    }
}

/// User and password of a header (RFC 7617).
fn credentials(header: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether the user is known and the password is its.
fn knows(users: &BTreeMap<String, String>, user: &str, password: &str) -> bool {
    let hash = users.get(user);
    let matches = bcrypt::verify(password, hash.map_or(NOBODY, String::as_str));
    hash.is_some() && matches.unwrap_or(false)
}

/// Equality that takes as long wherever they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Refuses requests without the right credentials.
pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard.admits(authorization(request.headers())).await {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, "Basic")],
        "Unauthorized\n",
    )
        .into_response()
}

fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)
}

//! The HTTP endpoint with a web configuration: TLS, certificates of clients, passwords.

mod client;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use probe_user::agent::Shared;
use probe_user::export::{Endpoint, Guard};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use client::{Certificate, Client};

/// `secret`, by `htpasswd -nbB -C 4`: the least cost, so that the test is fast.
fn hash() -> String {
    bcrypt::hash("secret", 4).expect("a hash")
}

/// A folder with a web configuration.
struct Web(tempfile::TempDir);

impl Web {
    fn new(text: &str) -> Self {
        let web = Self(tempfile::tempdir().expect("a folder"));
        web.write("web.yml", text);
        web
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("write a file");
    }

    /// A new certificate for the endpoint; gives what a client has to trust.
    fn certify(&self) -> String {
        let CertifiedKey { cert, signing_key } = certificate();
        self.write("key.pem", &signing_key.serialize_pem());
        self.write("cert.pem", &cert.pem());
        cert.pem()
    }

    fn serve(&self) -> Served {
        let guard = Guard::load(Some(&self.path("web.yml"))).expect("a configuration");
        Served::start(guard)
    }

    fn refusal(&self) -> String {
        let error = Guard::load(Some(&self.path("web.yml"))).err();
        error.expect("it is wrong").to_string()
    }
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

struct Served {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Served {
    fn start(guard: Guard) -> Self {
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().expect("an address")).expect("bind");
        let address = endpoint.address().expect("bound");
        let server = tokio::spawn(async move {
            let never = std::future::pending();
            endpoint
                .serve(Shared::default(), guard, never)
                .await
                .expect("it serves");
        });
        Self { address, server }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

const TLS: &str = "tls_server_config: { cert_file: cert.pem, key_file: key.pem }\n";

#[tokio::test]
async fn without_a_web_configuration_everybody_is_answered() {
    let served = Served::start(Guard::load(None).expect("none"));
    let answer = Client::plain().get(served.address, "/metrics").await;
    assert_eq!(answer.expect("an answer").0, 200);
}

#[tokio::test]
async fn tls_answers_who_trusts_it_and_nobody_in_clear() {
    let web = Web::new(TLS);
    let trusted = web.certify();
    let served = web.serve();
    let answer = Client::trusting(&trusted)
        .get(served.address, "/metrics")
        .await;
    assert_eq!(answer.expect("an answer").0, 200);
    assert!(
        Client::plain()
            .get(served.address, "/metrics")
            .await
            .is_err()
    );
    let other = certificate().cert.pem();
    assert!(
        Client::trusting(&other)
            .get(served.address, "/metrics")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn replaced_certificate_is_taken_and_a_wrong_one_is_not() {
    let web = Web::new(TLS);
    web.certify();
    let served = web.serve();
    let new = web.certify();
    let client = Client::trusting(&new);
    assert!(client.eventually(served.address, "/healthz").await);
    web.write("cert.pem", "no certificate");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let answer = client.get(served.address, "/healthz").await;
    assert_eq!(answer.expect("the old one stays").0, 200);
}

#[tokio::test]
async fn password_is_asked_for_but_not_by_who_looks_whether_it_lives() {
    let web = Web::new(&format!(
        "basic_auth_users: {{ prometheus: '{}' }}\n",
        hash()
    ));
    let served = web.serve();
    let status = async |user: &str, path: &str| {
        let client = Client::plain().with(user);
        client.get(served.address, path).await.expect("an answer").0
    };
    let anonymous = Client::plain().get(served.address, "/metrics").await;
    assert_eq!(anonymous.expect("an answer").0, 401);
    assert_eq!(status("prometheus:wrong", "/metrics").await, 401);
    assert_eq!(status("somebody:secret", "/metrics").await, 401);
    for _ in 0..2 {
        assert_eq!(status("prometheus:secret", "/metrics").await, 200);
        assert_eq!(status("prometheus:secret", "/streams").await, 200);
    }
    // What was let in is remembered, and nothing else is let in for it.
    assert_eq!(status("prometheus:wrong", "/metrics").await, 401);
    for path in ["/healthz", "/readyz"] {
        let (status, _) = Client::plain()
            .get(served.address, path)
            .await
            .expect("an answer");
        assert_ne!(status, 401, "{path}");
    }
}

#[tokio::test]
async fn client_without_its_certificate_is_refused() {
    let web = Web::new(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n",
    );
    let trusted = web.certify();
    let known = certificate();
    web.write("clients.pem", &known.cert.pem());
    let served = web.serve();
    let answer = Client::showing(&trusted, &Certificate::of(&known))
        .get(served.address, "/metrics")
        .await;
    assert_eq!(answer.expect("an answer").0, 200);
    let stranger = Certificate::of(&certificate());
    for client in [
        Client::trusting(&trusted),
        Client::showing(&trusted, &stranger),
    ] {
        assert!(client.get(served.address, "/metrics").await.is_err());
    }
}

#[tokio::test]
async fn clients_that_say_nothing_keep_nobody_waiting() {
    let web = Web::new(TLS);
    let trusted = web.certify();
    let served = web.serve();
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(TcpStream::connect(served.address).await.expect("connect"));
    }
    let client = Client::trusting(&trusted);
    let asked = client.get(served.address, "/healthz");
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
    assert_eq!(answer.expect("in time").expect("an answer").0, 200);
    drop(silent);
}

#[test]
fn what_is_wrong_is_named_with_its_file() {
    let wrong = [
        (
            "tls_server_config: { cert_file: cert.pem }\n",
            "web.yml",
            "key_file",
        ),
        ("tls: {}\n", "web.yml", "tls"),
        ("basic_auth_users: { a: plain }\n", "web.yml", "bcrypt"),
        (TLS, "cert.pem", "No such file"),
    ];
    for (text, file, word) in wrong {
        let refusal = Web::new(text).refusal();
        assert!(
            refusal.contains(file) && refusal.contains(word),
            "{refusal}"
        );
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
    let web = Web::new(TLS);
    web.certify();
    web.write("key.pem", &certificate().signing_key.serialize_pem());
    let refusal = web.refusal();
    assert!(
        refusal.contains("cert.pem") && refusal.contains("its key"),
        "{refusal}"
    );
}

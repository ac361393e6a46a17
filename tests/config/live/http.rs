//! JSON answers of the servers on this machine, and the messages that Alertmanager sends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// Longest wait for each read: a query over every series takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of a GET; `None` where nobody answers in time.
pub(crate) fn get(server: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A 200 answer as JSON.
pub(super) fn json(server: SocketAddr, path: &str) -> Value {
    match get(server, path) {
        Some((200, body)) => serde_json::from_str(&body).expect("JSON"),
        other => panic!("GET {path}: {other:?}"),
    }
}

/// Text as it may stand in a query string (RFC 3986 section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| match byte {
            byte if unreserved(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// What takes the place of Slack: an incoming webhook that keeps every message.
pub(super) struct Webhook {
    address: SocketAddr,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    /// Listens on a free port until the test ends.
    pub(super) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(message) = receive(stream) {
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(message);
                }
            }
        });
        Self { address, messages }
    }

    /// Its URL, as Slack gives one.
    pub(super) fn url(&self) -> String {
        format!("http://{}/services/T0/B0/X0", self.address)
    }

    /// Messages whose text has all of these.
    pub(super) fn messages(&self, parts: &[&str]) -> Vec<String> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let with = |message: &&String| parts.iter().all(|part| message.contains(part));
        messages.iter().filter(with).cloned().collect()
    }
}

/// One POST, answered with 200; gives its body.
fn receive(stream: TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    String::from_utf8(body).ok()
}

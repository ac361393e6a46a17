//! One HTTP/1.1 GET to a server on this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Longest wait for a connection, and for each read: the server is on this machine.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes taken of an answer: two orders of magnitude above a large `/metrics`.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// The body of a 200 answer.
pub(crate) fn get(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)
        .with_context(|| format!("connect to {server}"))?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .context("set the read time-out")?;
    stream
        .set_write_timeout(Some(TIMEOUT))
        .context("set the write time-out")?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .context("send the request")?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .context("read the answer")?;
    body(&String::from_utf8_lossy(&answer)).with_context(|| format!("GET http://{server}{path}"))
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of headers")?;
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.to_string()),
        _ => bail!("the answer is `{status}`"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn serve(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("request");
                request.extend(byte);
            }
            assert!(request.starts_with(b"GET /metrics HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).expect("answer");
        });
        address
    }

    #[test]
    fn body_of_a_good_answer_is_returned() {
        let server = serve("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\na 1\nb 2\n");
        assert_eq!(get(server, "/metrics").expect("body"), "a 1\nb 2\n");
    }

    #[test]
    fn refusal_is_an_error_with_its_status() {
        let server = serve("HTTP/1.0 503 Service Unavailable\r\n\r\nno");
        let error = get(server, "/metrics").expect_err("503 is no success");
        assert!(format!("{error:#}").contains("503"), "{error:#}");
    }

    #[test]
    fn answer_that_ends_in_its_headers_is_an_error() {
        assert!(body("HTTP/1.0 200 OK\r\nconten").is_err());
        assert!(body("").is_err());
    }
}

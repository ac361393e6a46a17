//! One GET to the agent on this machine.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Longest wait for a connection and for each read.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes taken of an answer: two orders of magnitude above a large `/metrics`.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// The body of a 200 answer.
pub(crate) fn get(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).context("connect to voxprobe")?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .context("set the read time-out")?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").context("send the request")?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .context("read the answer")?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => bail!(
            "GET {path}: `{}`",
            answer.lines().next().unwrap_or_default()
        ),
    }
}

/// Sum of a metric over its labels, from Prometheus' text format; `None` where it is absent.
pub(crate) fn sum(metrics: &str, name: &str) -> Option<f64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = rest.strip_prefix(' ').or_else(|| {
            let labels = rest.strip_prefix('{')?;
            labels.rsplit_once("} ").map(|(_, value)| value)
        })?;
        value.trim().parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// Values of a metric by one of its labels.
pub(crate) fn by_label(metrics: &str, name: &str, label: &str) -> HashMap<String, f64> {
    let start = format!("{name}{{");
    let key = format!("{label}=\"");
    let samples = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(&start)?.rsplit_once("} ")?;
        let (_, rest) = labels.split_once(&key)?;
        let (of, _) = rest.split_once('"')?;
        Some((of.to_owned(), value.trim().parse().ok()?))
    });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# TYPE lost_total counter\n\
                           lost_total{reason=\"a\"} 2\n\
                           lost_total{reason=\"b} \"} 3\n\
                           lost_total_other 100\n\
                           plain 1.5\n";

    #[test]
    fn metric_is_summed_over_its_labels_and_over_no_other_metric() {
        assert_eq!(sum(METRICS, "lost_total"), Some(5.0));
        assert_eq!(sum(METRICS, "plain"), Some(1.5));
    }

    #[test]
    fn values_are_told_apart_by_a_label() {
        let values = by_label(
            "runs{program=\"p\"} 3\nruns{program=\"q\"} 4\n",
            "runs",
            "program",
        );
        assert_eq!((values["p"], values["q"]), (3.0, 4.0));
    }

    #[test]
    fn absent_metric_is_unknown() {
        assert_eq!(sum(METRICS, "lost"), None);
    }
}

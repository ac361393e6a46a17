//! What every server here does around its work: open the port, say so, end on a signal.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::truth::Summary;

/// Opens `port` on both address families, or on IPv4 alone where the host has no IPv6. Port 0
/// takes a free one.
pub(crate) fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let dual = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    TcpListener::bind([dual, v4].as_slice()).with_context(|| format!("listen on port {port}"))
}

/// Prints `listening PORT`, the line that scripts wait for, and gives the port.
pub(crate) fn announce(listener: &TcpListener) -> anyhow::Result<u16> {
    let port = listener
        .local_addr()
        .context("read the listening address")?
        .port();
    print_line(&format!("listening {port}"))?;
    Ok(port)
}

/// Prints the counts as one JSON line.
pub(crate) fn print_summary(summary: &Summary) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(summary).context("encode the summary")?)
}

/// Prints one line and flushes it, also when stdout is a pipe.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("write to stdout")
}

/// Waits for a line on stdin, or its end.
pub(crate) fn next_line() {
    // One that cannot be read has ended.
    drop(std::io::stdin().read_line(&mut String::new()));
}

/// Starts listening for SIGTERM and SIGINT; the future ends with the first of them.
///
/// Called inside a runtime, and before [`announce`], so that no early signal is missed.
pub(crate) fn signalled() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

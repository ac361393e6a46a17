//! What the process can be told to do.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use probe_abi::RING_BYTES;
use probe_core::record::Side;
use probe_tests::report::Report;
use probe_tests::traffic::{FIRST_SEND_BYTES, client_opening, filler, server_opening};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{RecvFlags, recv, sockopt};

use crate::calls::{Receive, Send};
use crate::connection::{End, Pair, address, serve};
use crate::{network, processes, ring};

/// Writes of `many_records`.
const MANY: usize = 5_000;

/// A scenario that is set up and waits for its start.
pub(crate) type Scenario = Box<dyn FnOnce() -> anyhow::Result<Vec<Report>>>;

/// Sets up a scenario.
pub(crate) fn prepare(name: &str) -> anyhow::Result<Scenario> {
    Ok(match name {
        "every_call" => Box::new(every_call),
        "partial_writes" => Box::new(partial_writes),
        "nothing_moved" => Box::new(nothing_moved),
        "many_vectors" => Box::new(many_vectors),
        "large_message" => Box::new(large_message),
        "threads" => Box::new(threads),
        "send_that_waits" => Box::new(send_that_waits),
        "first_send_in_pieces" => Box::new(first_send_in_pieces),
        "duplicates" => Box::new(duplicates),
        "reused_descriptors" => Box::new(reused_descriptors),
        "addresses" => Box::new(addresses),
        "other_network" => Box::new(other_network),
        "unix" => Box::new(unix),
        "inherited_listener" => inherited_listener()?,
        "waiting_accept" => waiting_accept()?,
        "blocked_receives" => Box::new(blocked_receives),
        "ask_redis" => Box::new(ask_redis),
        "fork_server" => Box::new(processes::fork_server),
        "stdio" => Box::new(processes::stdio),
        "stdio_of_a_program" => Box::new(processes::stdio_of_a_program),
        "prefork" => processes::prefork()?,
        "passed" => processes::passed()?,
        "closed_under_a_reader" => Box::new(processes::closed_under_a_reader),
        "executes_itself" => Box::new(processes::executes_itself),
        "ring" => Box::new(ring::moved),
        "many_records" => Box::new(many_records),
        "many_bytes" => Box::new(many_bytes),
        other => anyhow::bail!("no scenario {other}"),
    })
}

/// Each sending call against each receiving call, in both directions.
fn every_call() -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for sending in Send::ALL {
        let mut pair = Pair::tcp()?;
        for (index, receiving) in Receive::ALL.into_iter().enumerate() {
            let bytes = filler(1000 + 700 * index);
            pair.client.send_all(sending, &bytes)?;
            pair.server.receive_all(receiving, bytes.len())?;
            pair.server.send_all(sending, &bytes)?;
            pair.client.receive_all(receiving, bytes.len())?;
        }
        reports.extend(pair.into_reports());
    }
    Ok(reports)
}

/// Each receiving call, entered well before there is anything to receive.
fn blocked_receives() -> anyhow::Result<Vec<Report>> {
    const BYTES: usize = 500;
    const WAIT: Duration = Duration::from_millis(200);
    let Pair {
        mut client,
        mut server,
    } = Pair::tcp()?;
    for receiving in Receive::ALL {
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let sending = scope.spawn(|| {
                std::thread::sleep(WAIT);
                client.send_all(Send::Write, &filler(BYTES))
            });
            server.receive_all(receiving, BYTES)?;
            Ok(sending.join().expect("the sender ends")?)
        })?;
    }
    Ok(Pair { client, server }.into_reports().into())
}

/// A non-blocking writer that is faster than its reader: the kernel takes parts, then nothing.
fn partial_writes() -> anyhow::Result<Vec<Report>> {
    /// Bytes in one call: the kernel cannot take them whole, and one capture can hold them.
    const CALL_BYTES: usize = 200_000;
    let mut pair = Pair::tcp()?;
    sockopt::set_socket_send_buffer_size(&pair.client, 32 * 1024)?;
    sockopt::set_socket_recv_buffer_size(&pair.server, 32 * 1024)?;
    fcntl_setfl(&pair.client, OFlags::NONBLOCK)?;
    fcntl_setfl(&pair.server, OFlags::NONBLOCK)?;
    let bytes = filler(3_000_000);
    let (mut sent, mut partial, mut refused, mut empty) = (0, 0, 0, 0);
    while sent < bytes.len() {
        let part = &bytes[sent..bytes.len().min(sent + CALL_BYTES)];
        match pair.client.send(Send::Writev, part, 16) {
            Ok(taken) => {
                partial += usize::from(taken < part.len());
                sent += taken;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refused += 1;
                // What was sent may still be on its way.
                match pair.server.receive(Receive::Recvmsg, 30_000, 3) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Err(error).context("receive");
                    }
                    _ => {}
                }
            }
            Err(error) => return Err(error).context("send"),
        }
    }
    while pair.server.report.received < pair.client.report.sent {
        match pair.server.receive(Receive::Recvfrom, 50_000, 1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                empty += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("receive"),
        }
    }
    // One more that finds nothing.
    empty += usize::from(pair.server.receive(Receive::Read, 100, 1).is_err());
    anyhow::ensure!(
        partial > 0 && refused > 0 && empty > 0,
        "{partial} partial writes, {refused} refused, {empty} empty reads"
    );
    Ok(pair.into_reports().into())
}

/// Calls that move nothing, between calls that do.
fn nothing_moved() -> anyhow::Result<Vec<Report>> {
    let mut pair = Pair::tcp()?;
    for _ in 0..5 {
        let bytes = filler(500);
        pair.client.send_all(Send::Sendmsg, &bytes)?;
        pair.client.send(Send::Write, &[], 1)?;
        pair.client.send(Send::Sendto, &[], 1)?;
        pair.client.send(Send::Sendmsg, &[], 1)?;
        let mut buffer = [0; 600];
        for _ in 0..3 {
            recv(&pair.server, &mut buffer, RecvFlags::PEEK)?;
        }
        pair.server.receive(Receive::Read, 0, 1)?;
        pair.server.receive(Receive::Recvmsg, 0, 1)?;
        pair.server.receive_all(Receive::Recvfrom, 200)?;
        recv(&pair.server, &mut buffer, RecvFlags::PEEK)?;
        pair.server.receive_all(Receive::Read, 300)?;
    }
    Ok(pair.into_reports().into())
}

/// As many vectors as grpc-core uses, and more; small ones and large ones.
fn many_vectors() -> anyhow::Result<Vec<Report>> {
    let mut pair = Pair::tcp()?;
    for (parts, size) in [(24, 2400), (24, 60_000), (40, 4000), (200, 20_000)] {
        let bytes = filler(size);
        for sending in [Send::Sendmsg, Send::Writev] {
            let sent = pair.client.send(sending, &bytes, parts)?;
            anyhow::ensure!(sent == bytes.len(), "{sent} of {size} bytes sent");
            while pair.server.report.received < pair.client.report.sent {
                pair.server.receive(Receive::Recvmsg, size, parts)?;
            }
        }
    }
    Ok(pair.into_reports().into())
}

/// One message larger than one capture, between small ones.
fn large_message() -> anyhow::Result<Vec<Report>> {
    const LARGE_BYTES: usize = 2_000_000;
    let mut pair = Pair::tcp()?;
    sockopt::set_socket_send_buffer_size(&pair.client, 1 << 20)?;
    sockopt::set_socket_recv_buffer_size(&pair.server, 1 << 20)?;
    for size in [1000, LARGE_BYTES, 1000, 2000] {
        let bytes = filler(size);
        std::thread::scope(|scope| {
            let Pair { client, server } = &mut pair;
            let reading = scope.spawn(move || server.receive_all(Receive::Recvmsg, size));
            let sent = client.send(Send::Sendmsg, &bytes, 1)?;
            anyhow::ensure!(sent == size, "{sent} of {size} bytes sent in one call");
            reading.join().expect("the reader ends")
        })?;
    }
    Ok(pair.into_reports().into())
}

/// Four threads write on one socket, two read on the other.
fn threads() -> anyhow::Result<Vec<Report>> {
    const WRITES: usize = 300;
    const BYTES: usize = 900;
    const WRITERS: usize = 4;
    let mut pair = Pair::tcp()?;
    let (client, server) = (&pair.client.fd, &pair.server.fd);
    std::thread::scope(|scope| {
        let writer = move || -> io::Result<()> {
            let bytes = filler(BYTES);
            for number in 0..WRITES {
                let call = Send::ALL[number % Send::ALL.len()];
                let mut sent = 0;
                while sent < BYTES {
                    sent += call.call(client, &bytes[sent..], 3)?;
                }
            }
            Ok(())
        };
        let reader = move || -> io::Result<usize> {
            let mut received = 0;
            let mut buffer = [0; 4096];
            loop {
                match Receive::Recvmsg.call(server, &mut buffer, 3)? {
                    0 => return Ok(received),
                    bytes => received += bytes,
                }
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(writer)).collect();
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(reader)).collect();
        for writer in writers {
            writer.join().expect("a writer ends")?;
        }
        rustix::net::shutdown(client, rustix::net::Shutdown::Write)?;
        let mut received = 0;
        for reader in readers {
            received += reader.join().expect("a reader ends")?;
        }
        anyhow::ensure!(received == WRITERS * WRITES * BYTES, "{received} received");
        Ok(())
    })?;
    pair.client.report.sent += (WRITERS * WRITES * BYTES) as u64;
    pair.server.report.received += (WRITERS * WRITES * BYTES) as u64;
    Ok(pair.into_reports().into())
}

/// A send that finds no room for a single byte, and waits.
fn send_that_waits() -> anyhow::Result<Vec<Report>> {
    const LAST_BYTES: usize = 4000;
    let mut pair = Pair::tcp()?;
    sockopt::set_socket_send_buffer_size(&pair.client, 8 << 10)?;
    sockopt::set_socket_recv_buffer_size(&pair.server, 8 << 10)?;
    let bytes = filler(FIRST_SEND_BYTES);
    let mut at = 0;
    fcntl_setfl(&pair.client, OFlags::NONBLOCK)?;
    // The kernel moves bytes on until the receiver has no room either.
    for _ in 0..10 {
        loop {
            match pair.client.send(Send::Write, &bytes[at..], 1) {
                Ok(taken) => at += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("send"),
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fcntl_setfl(&pair.client, OFlags::empty())?;
    anyhow::ensure!(at + LAST_BYTES < bytes.len(), "{at} bytes found room");
    let last = bytes.get(at..at + LAST_BYTES).context("the last send")?;
    std::thread::scope(|scope| {
        let Pair { client, server } = &mut pair;
        let sending = scope.spawn(move || client.send(Send::Write, last, 1));
        std::thread::sleep(Duration::from_millis(300));
        server.receive_all(Receive::Read, at + LAST_BYTES)?;
        let sent = sending.join().expect("the sender ends")?;
        anyhow::ensure!(sent == LAST_BYTES, "{sent} bytes sent in one call");
        Ok(())
    })?;
    Ok(pair.into_reports().into())
}

/// A connection's first send finds no room for all of it, and another thread receives on the connection before the
/// kernel takes the rest: by a call with one buffer, and by one with several.
fn first_send_in_pieces() -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for (call, parts) in [(Send::Write, 1), (Send::Writev, 3)] {
        let mut pair = Pair::silent("127.0.0.1:0", "127.0.0.1")?;
        sockopt::set_socket_send_buffer_size(&pair.client, 8 << 10)?;
        sockopt::set_socket_recv_buffer_size(&pair.server, 8 << 10)?;
        let bytes = [client_opening(), filler(FIRST_SEND_BYTES)].concat();
        let opening = server_opening();
        std::thread::scope(|scope| {
            let Pair { client, server } = &mut pair;
            let (socket, bytes) = (&client.fd, &bytes);
            let sending = scope.spawn(move || call.call(socket, bytes, parts));
            // The first piece is there; the second one has to wait.
            let mut readable = [PollFd::new(&server.fd, PollFlags::IN)];
            poll(&mut readable, None)?;
            std::thread::sleep(Duration::from_millis(100));
            server.send_all(Send::Write, &opening)?;
            let mut buffer = [0; 64];
            let received = Receive::Read.call(socket, &mut buffer, 1)?;
            anyhow::ensure!(received == opening.len(), "{received} bytes of an opening");
            // From here on it need not take long.
            sockopt::set_socket_recv_buffer_size(&*server, 1 << 20)?;
            server.receive_all(Receive::Read, bytes.len())?;
            let sent = sending.join().expect("the sender ends")?;
            anyhow::ensure!(sent == bytes.len(), "{sent} bytes sent in one call");
            client.report.sent += sent as u64;
            client.report.received += received as u64;
            Ok(())
        })?;
        reports.extend(pair.into_reports());
    }
    Ok(reports)
}

/// One connection with as many records as a test of losses needs: each write and each read is one.
fn many_records() -> anyhow::Result<Vec<Report>> {
    const BYTES: usize = 300;
    let mut pair = Pair::tcp()?;
    let bytes = filler(BYTES);
    for _ in 0..MANY {
        pair.client.send_all(Send::Write, &bytes)?;
        pair.server.receive_all(Receive::Read, BYTES)?;
    }
    Ok(pair.into_reports().into())
}

/// One connection with twice as many bytes as find room in the ring while nobody reads it, and few enough records.
fn many_bytes() -> anyhow::Result<Vec<Report>> {
    const BYTES: usize = 4096;
    let mut pair = Pair::tcp()?;
    let bytes = filler(BYTES);
    for _ in 0..RING_BYTES as usize / BYTES {
        pair.client.send_all(Send::Write, &bytes)?;
        pair.server.receive_all(Receive::Read, BYTES)?;
    }
    Ok(pair.into_reports().into())
}

/// Writes through each kind of duplicate after the original is closed.
fn duplicates() -> anyhow::Result<Vec<Report>> {
    let Pair { client, mut server } = Pair::tcp()?;
    let End { fd, report } = client;
    let mut sent = report.sent;
    let mut write = |fd: &rustix::fd::OwnedFd, size: usize| -> anyhow::Result<()> {
        let taken = Send::Write.call(fd, &filler(size), 1)?;
        anyhow::ensure!(taken == size, "{taken} of {size} bytes sent");
        sent += size as u64;
        server.receive_all(Receive::Read, size)
    };
    write(&fd, 100)?;
    let by_dup = rustix::io::dup(&fd)?;
    drop(fd);
    write(&by_dup, 200)?;
    let mut by_dup2 = rustix::io::dup(&replaced_file()?)?;
    rustix::io::dup2(&by_dup, &mut by_dup2)?;
    drop(by_dup);
    write(&by_dup2, 300)?;
    let mut by_dup3 = rustix::io::dup(&replaced_file()?)?;
    rustix::io::dup3(&by_dup2, &mut by_dup3, rustix::io::DupFlags::CLOEXEC)?;
    drop(by_dup2);
    write(&by_dup3, 400)?;
    let by_fcntl = rustix::io::fcntl_dupfd_cloexec(&by_dup3, 100)?;
    drop(by_dup3);
    write(&by_fcntl, 500)?;
    drop(by_fcntl);
    let client = Report { sent, ..report };
    Ok(vec![client, server.report])
}

/// A file to be replaced by `dup2`.
fn replaced_file() -> anyhow::Result<std::fs::File> {
    std::fs::File::open("/dev/null").context("open /dev/null")
}

/// Connections one after the other on the same descriptors, each with bytes of its own.
fn reused_descriptors() -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for number in 0..50 {
        let mut pair = Pair::tcp()?;
        let bytes = filler(100 + number);
        pair.client.send_all(Send::Sendto, &bytes)?;
        pair.server.receive_all(Receive::Recvfrom, bytes.len())?;
        reports.extend(pair.into_reports());
    }
    Ok(reports)
}

/// IPv4 and IPv6 clients of a dual-stack listener.
fn addresses() -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for host in ["127.0.0.1", "::1"] {
        let mut pair = Pair::over("[::]:0", host)?;
        let bytes = filler(700);
        pair.client.send_all(Send::Sendmsg, &bytes)?;
        pair.server.receive_all(Receive::Recvmsg, bytes.len())?;
        reports.extend(pair.into_reports());
    }
    Ok(reports)
}

/// Both families again, in a network namespace of the process' own.
fn other_network() -> anyhow::Result<Vec<Report>> {
    network::enter_new().context("enter a new network namespace")?;
    addresses()
}

/// A stream over a unix socket.
fn unix() -> anyhow::Result<Vec<Report>> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let mut pair = Pair::unix(&folder.path().join("peer.sock"))?;
    for (sending, receiving) in Send::ALL.into_iter().zip(Receive::ALL) {
        let bytes = filler(800);
        pair.client.send_all(sending, &bytes)?;
        pair.server.receive_all(receiving, bytes.len())?;
    }
    Ok(pair.into_reports().into())
}

/// A child, forked after the start, accepts from a listener that is older.
fn inherited_listener() -> anyhow::Result<Scenario> {
    const BYTES: usize = 5000;
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    Ok(Box::new(move || {
        // SAFETY: this process has one thread, so that the child may go on like any process.
        let child = unsafe { libc::fork() };
        anyhow::ensure!(child >= 0, "fork: {}", io::Error::last_os_error());
        if child == 0 {
            let served = listener
                .accept()
                .map_err(anyhow::Error::from)
                .and_then(|(socket, _)| serve(socket, BYTES));
            // SAFETY: ends the child without the parent's clean-up.
            unsafe { libc::_exit(i32::from(served.is_err())) };
        }
        let target = listener.local_addr().context("read the address")?;
        let socket = TcpStream::connect(target).context("connect")?;
        let own = address(socket.local_addr().context("read the address")?);
        let mut client = End::connected(socket)?;
        client.send_all(Send::Write, &client_opening())?;
        client.receive_all(Receive::Read, server_opening().len())?;
        client.send_all(Send::Writev, &filler(BYTES))?;
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        anyhow::ensure!(ended == child && status == 0, "the child: {status}");
        let server = Report {
            side: Side::Server,
            local: None,
            peer: Some(own),
            sent: client.report.received,
            received: client.report.sent,
            received_elsewhere: 0,
        };
        Ok(vec![client.report, server])
    }))
}

/// A thread waits in `accept` since before the start.
fn waiting_accept() -> anyhow::Result<Scenario> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let target = listener.local_addr().context("read the address")?;
    let accepting = std::thread::spawn(move || listener.accept());
    // Long enough to be inside the call; the test starts the probe only afterwards.
    std::thread::sleep(Duration::from_millis(100));
    Ok(Box::new(move || {
        let client = TcpStream::connect(target).context("connect")?;
        let (server, _) = accepting.join().expect("the thread ends")?;
        let (client, server) = (End::connected(client)?, End::accepted(server)?);
        let mut pair = Pair { client, server }.opened()?;
        let bytes = filler(4000);
        pair.client.send_all(Send::Sendmsg, &bytes)?;
        pair.server.receive_all(Receive::Recvmsg, bytes.len())?;
        Ok(pair.into_reports().into())
    }))
}

/// Asks each Redis server of the command line's addresses, and takes what it answers until it hangs
/// up.
fn ask_redis() -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for address in std::env::args().skip(2) {
        let socket =
            TcpStream::connect(&address).with_context(|| format!("connect to {address}"))?;
        let mut end = End::connected(socket)?;
        end.send_all(Send::Sendto, b"*1\r\n$4\r\nPING\r\n")?;
        while end.receive(Receive::Recvfrom, 65_536, 1)? > 0 {}
        reports.push(end.report);
    }
    Ok(reports)
}

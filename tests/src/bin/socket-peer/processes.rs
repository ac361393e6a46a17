//! Connections that pass from process to process.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use probe_core::record::{Address, Side};
use probe_tests::report::Report;
use probe_tests::traffic::{client_opening, filler, server_opening};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::calls::{Receive, Send};
use crate::connection::{End, Pair, address, serve};
use crate::scenarios::Scenario;

/// Bytes that a client sends after its opening.
const BYTES: usize = 5000;

/// Long enough for the probe to have looked where no record tells it: it comes by every 50 ms.
const LOOKED: Duration = Duration::from_millis(400);

/// What a child process does, and whether it went well.
fn child(what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<libc::pid_t> {
    // SAFETY: this process has one thread, so that the child may go on like any process.
    let child = unsafe { libc::fork() };
    anyhow::ensure!(child >= 0, "fork: {}", io::Error::last_os_error());
    if child == 0 {
        let failed = what().is_err();
        // SAFETY: ends the child without the parent's clean-up.
        unsafe { libc::_exit(i32::from(failed)) };
    }
    Ok(child)
}

fn wait_for(child: libc::pid_t) -> anyhow::Result<()> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    anyhow::ensure!(ended == child && status == 0, "the child: {status}");
    Ok(())
}

/// A client's end and what it says to whoever serves.
struct Visit {
    client: End,
    own: Address,
}

impl Visit {
    fn connect(listener: &TcpListener) -> anyhow::Result<Self> {
        let target = listener.local_addr().context("read the address")?;
        let socket = TcpStream::connect(target).context("connect")?;
        let own = address(socket.local_addr().context("read the address")?);
        let client = End::connected(socket)?;
        Ok(Self { client, own })
    }

    fn talk(&mut self) -> anyhow::Result<()> {
        self.client.send_all(Send::Write, &client_opening())?;
        self.client
            .receive_all(Receive::Read, server_opening().len())?;
        Ok(self.client.send_all(Send::Writev, &filler(BYTES))?)
    }

    /// What a server's end of it moved; nothing where another end did.
    fn served(&self, all: bool) -> Report {
        let (sent, received) = if all {
            (self.client.report.received, self.client.report.sent)
        } else {
            (0, 0)
        };
        Report {
            side: Side::Server,
            local: None,
            peer: Some(self.own.clone()),
            sent,
            received,
            received_elsewhere: 0,
        }
    }
}

/// The parent accepts; a child made for each connection serves it.
pub(crate) fn fork_server() -> anyhow::Result<Vec<Report>> {
    each_in_a_child(|socket| serve(socket, BYTES))
}

/// The same, with the connection at descriptors 0 and 1, as inetd has it.
pub(crate) fn stdio() -> anyhow::Result<Vec<Report>> {
    each_in_a_child(|socket| {
        at_stdio(&socket)?;
        drop(socket);
        serve_stdio(Duration::ZERO)
    })
}

fn each_in_a_child(serving: fn(TcpStream) -> anyhow::Result<()>) -> anyhow::Result<Vec<Report>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let mut reports = Vec::new();
    for _ in 0..3 {
        let mut visit = Visit::connect(&listener)?;
        let (socket, _) = listener.accept().context("accept")?;
        // This process's own copy ends with the closure.
        let child = child(move || serving(socket))?;
        visit.talk()?;
        wait_for(child)?;
        reports.extend([visit.served(true), visit.client.report]);
    }
    Ok(reports)
}

/// The same, and the child then executes another program: what is read before the probe has looked
/// cannot be told.
pub(crate) fn stdio_of_a_program() -> anyhow::Result<Vec<Report>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let mut visit = Visit::connect(&listener)?;
    let (socket, _) = listener.accept().context("accept")?;
    let child = child(move || {
        at_stdio(&socket)?;
        Err(Command::new("/proc/self/exe")
            .arg("serve-stdio")
            .exec()
            .into())
    })?;
    visit.talk()?;
    wait_for(child)?;
    Ok(vec![
        visit.served(false),
        visit.served(true),
        visit.client.report,
    ])
}

fn at_stdio(socket: &TcpStream) -> anyhow::Result<()> {
    rustix::stdio::dup2_stdin(socket)?;
    rustix::stdio::dup2_stdout(socket)?;
    Ok(())
}

/// Serves the connection at descriptors 0 and 1.
pub(crate) fn serve_stdio(pause: Duration) -> anyhow::Result<()> {
    std::thread::sleep(pause);
    rustix::io::write(rustix::stdio::stdout(), &server_opening())?;
    let mut left = client_opening().len() + BYTES;
    while left > 0 {
        let mut buffer = vec![0; left];
        let taken = rustix::io::read(rustix::stdio::stdin(), &mut buffer)?;
        anyhow::ensure!(taken > 0, "{left} bytes are missing");
        left -= taken;
    }
    Ok(())
}

/// What `socket-peer serve-stdio` does.
pub(crate) fn serve_stdio_later() -> anyhow::Result<()> {
    serve_stdio(LOOKED)
}

/// Children that are older than the probe wait in `accept` on one listener.
pub(crate) fn prefork() -> anyhow::Result<Scenario> {
    /// Connections that each child serves.
    const EACH: usize = 2;
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let mut children = Vec::new();
    for _ in 0..3 {
        children.push(child(|| {
            for _ in 0..EACH {
                serve(listener.accept()?.0, BYTES)?;
            }
            Ok(())
        })?);
    }
    Ok(Box::new(move || {
        let mut reports = Vec::new();
        for _ in 0..children.len() * EACH {
            let mut visit = Visit::connect(&listener)?;
            visit.talk()?;
            reports.extend([visit.served(true), visit.client.report]);
        }
        for child in children {
            wait_for(child)?;
        }
        Ok(reports)
    }))
}

/// The parent accepts and passes each connection to a child that is older than the probe. What the
/// child moves before the probe has looked cannot be told.
pub(crate) fn passed() -> anyhow::Result<Scenario> {
    const CONNECTIONS: usize = 2;
    let (ours, theirs) = UnixStream::pair().context("make a pair")?;
    let worker = child(|| {
        for _ in 0..CONNECTIONS {
            let socket = TcpStream::from(receive_descriptor(&theirs)?);
            std::thread::sleep(LOOKED);
            serve(socket, BYTES)?;
        }
        Ok(())
    })?;
    Ok(Box::new(move || {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let mut reports = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut visit = Visit::connect(&listener)?;
            let (socket, _) = listener.accept().context("accept")?;
            send_descriptor(&ours, socket.as_fd())?;
            drop(socket);
            visit.talk()?;
            reports.extend([visit.served(false), visit.served(true)]);
            reports.push(visit.client.report);
        }
        wait_for(worker)?;
        Ok(reports)
    }))
}

fn send_descriptor(through: &UnixStream, descriptor: BorrowedFd<'_>) -> anyhow::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [descriptor];
    anyhow::ensure!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    sendmsg(
        through,
        &[IoSlice::new(b"!")],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

fn receive_descriptor(through: &UnixStream) -> anyhow::Result<OwnedFd> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        through,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::empty(),
    )?;
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.context("no descriptor was passed")
}

/// A descriptor is closed, and its number given to another connection, while a thread waits in a read
/// on it.
pub(crate) fn closed_under_a_reader() -> anyhow::Result<Vec<Report>> {
    let Pair { mut client, server } = Pair::tcp()?;
    let End { fd, report } = server;
    let number = fd.as_raw_fd();
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        // SAFETY: the buffer is as long as is said. The descriptor is open when the call begins.
        unsafe { libc::read(number, buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    std::thread::sleep(Duration::from_millis(100));
    let mut later = Pair::tcp()?;
    // Closes the old one and takes its number in one step.
    let mut fd = fd;
    rustix::io::dup2(&later.server.fd, &mut fd)?;
    later.server.fd = fd;
    later.client.send_all(Send::Write, &filler(900))?;
    later.server.receive_all(Receive::Read, 900)?;
    // By its descriptor nobody can say whose the reader's bytes are.
    client.send_all(Send::Write, &filler(700))?;
    let read = reading.join().expect("the reader ends");
    anyhow::ensure!(read == 700, "{read} bytes were read");
    let report = Report {
        received_elsewhere: 700,
        ..report
    };
    let [second, third] = later.into_reports();
    Ok(vec![client.report, report, second, third])
}

/// The process executes itself and goes on with its connection, after the probe has looked.
pub(crate) fn executes_itself() -> anyhow::Result<Vec<Report>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let client = TcpStream::connect(listener.local_addr()?).context("connect")?;
    let (server, _) = listener.accept().context("accept")?;
    let pair = Pair {
        client: End::connected(client)?,
        server: End::accepted(server)?,
    }
    .opened()?;
    let kept = [
        listener.as_raw_fd(),
        pair.client.fd.as_raw_fd(),
        pair.server.fd.as_raw_fd(),
    ];
    for number in kept {
        // SAFETY: a descriptor of this process.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    }
    let [client, server] = [&pair.client, &pair.server].map(|end| end.fd.as_raw_fd().to_string());
    let reports = serde_json::to_string(&[&pair.client.report, &pair.server.report])?;
    Err(Command::new("/proc/self/exe")
        .args(["resume", &client, &server, &reports])
        .exec()
        .into())
}

/// What `socket-peer resume CLIENT SERVER REPORTS` does: goes on with both ends of a connection, and
/// gives what was moved before and since.
pub(crate) fn resume(arguments: &[String]) -> anyhow::Result<Vec<Report>> {
    let [client, server, reports] = arguments else {
        anyhow::bail!("two descriptors and what they moved");
    };
    let [before_client, before_server]: [Report; 2] = serde_json::from_str(reports)?;
    let end = |number: &str, before: &Report| -> anyhow::Result<End> {
        let number: RawFd = number.parse()?;
        let report = Report {
            sent: 0,
            received: 0,
            ..before.clone()
        };
        // SAFETY: the program before left it open for this one, which has nothing else there.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(End { fd, report })
    };
    std::thread::sleep(LOOKED);
    let mut client = end(client, &before_client)?;
    let mut server = end(server, &before_server)?;
    let bytes = filler(BYTES);
    client.send_all(Send::Sendmsg, &bytes)?;
    server.receive_all(Receive::Recvmsg, bytes.len())?;
    server.send_all(Send::Writev, &bytes)?;
    client.receive_all(Receive::Readv, bytes.len())?;
    Ok(vec![
        before_client,
        before_server,
        client.report,
        server.report,
    ])
}

/// What `socket-peer with-id PID SCENARIO` does: runs itself for a scenario in a process with this id,
/// which must be free.
pub(crate) fn run_with_id(arguments: &[String]) -> anyhow::Result<()> {
    let [id, scenario] = arguments else {
        anyhow::bail!("which id, and which scenario?");
    };
    let wanted: [libc::pid_t; 1] = [id.parse().context("read the id")?];
    // SAFETY: zero is a valid value of each field.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = libc::SIGCHLD as u64;
    how.set_tid = wanted.as_ptr() as u64;
    how.set_tid_size = 1;
    // SAFETY: the arguments outlive the call. Without CLONE_VM this is a fork, of a process with one
    // thread.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const how,
            size_of::<libc::clone_args>(),
        )
    };
    anyhow::ensure!(child >= 0, "clone3: {}", io::Error::last_os_error());
    if child == 0 {
        return Err(Command::new("/proc/self/exe").arg(scenario).exec().into());
    }
    wait_for(child as libc::pid_t)
}

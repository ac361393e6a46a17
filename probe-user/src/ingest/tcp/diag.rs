//! Questions about one TCP connection to the kernel, over `NETLINK_SOCK_DIAG`.

use std::{
    fs::File,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
};

use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
        socket_with,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// Message type of question and answer, and the flag of a question.
/// Source: `include/uapi/linux/sock_diag.h`, `include/uapi/linux/netlink.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;

/// Bytes of `struct nlmsghdr`, `struct inet_diag_req_v2` and `struct inet_diag_msg`.
/// Source: `include/uapi/linux/netlink.h`, `include/uapi/linux/inet_diag.h`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// The attribute with `struct tcp_info`, and the bit that asks for it.
const INET_DIAG_INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INET_DIAG_INFO - 1);

/// Any socket with these addresses. Source: `INET_DIAG_NOCOOKIE`.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// Source: include/uapi/linux/in.h, include/linux/socket.h.
const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Every state. Source: `include/net/tcp_states.h`.
const ALL_STATES: u32 = u32::MAX;

/// Offsets in `struct tcp_info` of `tcpi_total_retrans` (segments), `tcpi_busy_time` and
/// `tcpi_rwnd_limited` (microseconds, from Linux 4.10; the first includes the second).
/// Source: include/uapi/linux/tcp.h.
const TOTAL_RETRANS: usize = 100;
const BUSY_TIME: usize = 168;
const RWND_LIMITED: usize = 176;

/// Bytes of an answer at most: it has some hundred.
const ANSWER: usize = 4096;

/// What TCP counted since a connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// Segments sent again.
    pub(super) resent: u32,
    /// For how long the receiver's window kept it from sending, microseconds.
    pub(super) window_full_us: u64,
    /// For how long it had bytes that were not acknowledged, microseconds.
    pub(super) busy_us: u64,
}

/// A way to ask in one network namespace.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    /// Number of the last question: an answer to an earlier one is passed over.
    asked: u32,
}

impl Diag {
    /// In the namespace of a file (`/proc/PID/ns/net`). A thread of its own enters it, since a thread
    /// cannot be sure to come back; the socket stays in it.
    ///
    /// # Errors
    /// Where the namespace is another than the agent's and `CAP_SYS_ADMIN` is missing.
    pub(super) fn open(namespace: &str) -> io::Result<Self> {
        let theirs = File::open(namespace)?;
        let own = std::fs::metadata("/proc/self/ns/net")?;
        let is_own = {
            use std::os::unix::fs::MetadataExt as _;
            own.ino() == theirs.metadata()?.ino()
        };
        let make = move || -> io::Result<OwnedFd> {
            if !is_own {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&theirs),
                    Some(LinkNameSpaceType::Network),
                )?;
            }
            let protocol = Some(netlink::SOCK_DIAG);
            let flags = SocketFlags::CLOEXEC;
            Ok(socket_with(
                AddressFamily::NETLINK,
                SocketType::DGRAM,
                flags,
                protocol,
            )?)
        };
        let made = std::thread::Builder::new()
            .name("namespace".to_owned())
            .spawn(make)?
            .join();
        let socket = made.map_err(|_| io::Error::other("the thread panicked"))??;
        Ok(Self { socket, asked: 0 })
    }

    /// What TCP counted of a connection; `None` when it is gone.
    pub(super) fn ask(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<Figures> {
        self.asked = self.asked.wrapping_add(1);
        let question = question(local, peer, self.asked);
        send(&self.socket, &question, SendFlags::empty()).ok()?;
        let mut answer = [0; ANSWER];
        // The kernel answers before `send` returns.
        loop {
            let (length, _) = recv(&self.socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
            let answer = answer.get(..length)?;
            if number(answer, 8) == Some(self.asked) {
                return figures(answer);
            }
        }
    }
}

fn question(local: SocketAddr, peer: SocketAddr, number: u32) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let length = (HEADER + REQUEST) as u32;
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    // From the kernel's point of view this process has no number here.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, IPPROTO_TCP, WITH_INFO, 0]);
    bytes.extend(ALL_STATES.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(address(local.ip()));
    bytes.extend(address(peer.ip()));
    // Any interface.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(NO_COOKIE);
    bytes
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = ip.octets();
            }
            bytes
        }
    }
}

fn figures(answer: &[u8]) -> Option<Figures> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    if kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(HEADER + MESSAGE..)?;
    // `struct nlattr`: its length with this head, its kind; padded to four bytes.
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            return Some(Figures {
                resent: number(value, TOTAL_RETRANS)?,
                window_full_us: long_number(value, RWND_LIMITED)?,
                busy_us: long_number(value, BUSY_TIME)?,
            });
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long_number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection over an address of this host, both ends.
    fn connection(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((address, 0)).expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        (server, client)
    }

    fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
        let local = stream.local_addr().expect("an address");
        (local, stream.peer_addr().expect("a peer"))
    }

    #[test]
    fn window_of_a_reader_that_does_not_read_is_full() {
        let mut diag = Diag::open("/proc/self/ns/net").expect("the own namespace");
        for address in ["127.0.0.1", "::1"] {
            let (mut server, _client) = connection(address);
            let (local, peer) = ends(&server);
            let before = diag.ask(local, peer).expect("it is there");
            assert_eq!(before, Figures::default(), "{address}");
            server.set_nonblocking(true).expect("nonblocking");
            let block = [0; 4096];
            while server.write(&block).is_ok() {}
            std::thread::sleep(std::time::Duration::from_millis(50));
            let after = diag.ask(local, peer).expect("it is there");
            assert!(after.window_full_us > 10_000, "{address}: {after:?}");
            assert!(
                after.busy_us >= after.window_full_us,
                "{address}: {after:?}"
            );
        }
    }

    #[test]
    fn connection_that_is_not_there_has_no_figures() {
        let mut diag = Diag::open("/proc/self/ns/net").expect("the own namespace");
        let (server, _client) = connection("127.0.0.1");
        let (local, _) = ends(&server);
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(diag.ask(local, nobody), None);
        let (local, peer) = ends(&server);
        assert!(
            diag.ask(local, peer).is_some(),
            "and the next one is answered"
        );
    }

    #[test]
    fn answers_cut_short_are_none() {
        assert_eq!(figures(&[]), None);
        let mut answer = vec![0; HEADER + MESSAGE];
        if let Some(kind) = answer.get_mut(4) {
            *kind = 20;
        }
        // An attribute shorter than its own head.
        for attribute in [&[0_u8, 0, 2, 0][..], &[4, 0, 9, 0], &[255, 255, 2, 0]] {
            let cut = [&answer, attribute].concat();
            assert_eq!(figures(&cut), None);
        }
    }
}

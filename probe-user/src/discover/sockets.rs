//! Stream sockets of a process that existed before it was watched: descriptor → inode → addresses.

use std::collections::{HashMap, HashSet};

use probe_core::record::{Address, Side};
use procfs::{
    net::{TcpState, UnixState},
    process::{FDTarget, Process},
};

/// A stream socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Descriptor.
    pub fd: i32,
    /// Inode in sockfs: the socket's identity.
    pub inode: u64,
    /// Whether it listens.
    pub listening: bool,
    /// This end.
    pub local: Address,
    /// The other end; `None` for a listener and for unix sockets.
    pub peer: Option<Address>,
    /// Which end it is: the server's where anybody of its network namespace listens on its port, for
    /// the kernel gives a client no port that is bound (`inet_hash_connect`). `None` for a listener and
    /// for unix sockets.
    pub side: Option<Side>,
}

/// The stream sockets of one process.
#[derive(Clone, Debug, Default)]
pub struct SocketTable {
    /// In descriptor order.
    pub sockets: Vec<Socket>,
}

/// `SOCK_STREAM`. Source: include/linux/net.h.
const SOCK_STREAM: u16 = 1;

impl SocketTable {
    /// Reads the descriptors of a process and looks each socket up in its network namespace's
    /// tables; `None` when the process is gone or may not be read.
    pub fn read(pid: u32) -> Option<Self> {
        let process = Process::new(i32::try_from(pid).ok()?).ok()?;
        let inodes: Vec<(i32, u64)> = process
            .fd()
            .ok()?
            .flatten()
            .filter_map(|info| match info.target {
                FDTarget::Socket(inode) => Some((info.fd, inode)),
                _ => None,
            })
            .collect();
        if inodes.is_empty() {
            return Some(Self::default());
        }
        let known = streams(&process);
        let mut sockets: Vec<Socket> = inodes
            .into_iter()
            .filter_map(|(fd, inode)| {
                let socket = known.get(&inode)?;
                Some(Socket {
                    fd,
                    ..socket.clone()
                })
            })
            .collect();
        sockets.sort_by_key(|socket| socket.fd);
        Some(Self { sockets })
    }

    /// TCP ports on which it listens, ascending.
    pub fn listening_ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .sockets
            .iter()
            .filter(|socket| socket.listening)
            .filter_map(|socket| match &socket.local {
                Address::Inet(address) => Some(address.port()),
                Address::Unix(_) => None,
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// Stream sockets of the process's network namespace by inode.
fn streams(process: &Process) -> HashMap<u64, Socket> {
    let canonical = |address: std::net::SocketAddr| {
        Address::Inet(std::net::SocketAddr::new(
            address.ip().to_canonical(),
            address.port(),
        ))
    };
    let tcp = process
        .tcp()
        .into_iter()
        .flatten()
        .chain(process.tcp6().into_iter().flatten());
    let mut known: HashMap<u64, Socket> = tcp
        .filter(|entry| {
            matches!(
                entry.state,
                TcpState::Listen
                    | TcpState::Established
                    | TcpState::SynSent
                    | TcpState::FinWait1
                    | TcpState::FinWait2
                    | TcpState::CloseWait
            )
        })
        .map(|entry| {
            let listening = entry.state == TcpState::Listen;
            let socket = Socket {
                fd: -1,
                inode: entry.inode,
                listening,
                local: canonical(entry.local_address),
                peer: (!listening).then(|| canonical(entry.remote_address)),
                side: None,
            };
            (entry.inode, socket)
        })
        .collect();
    let port = |socket: &Socket| match &socket.local {
        Address::Inet(address) => Some(address.port()),
        Address::Unix(_) => None,
    };
    let listeners = known.values().filter(|socket| socket.listening);
    let served: HashSet<_> = listeners.filter_map(port).collect();
    for socket in known.values_mut().filter(|socket| !socket.listening) {
        socket.side = port(socket).map(|port| {
            if served.contains(&port) {
                Side::Server
            } else {
                Side::Client
            }
        });
    }
    // A unix socket without a path is one of a pair, which event loops use to wake themselves.
    for entry in process.unix().into_iter().flatten() {
        let Some(path) = entry.path.filter(|_| entry.socket_type == SOCK_STREAM) else {
            continue;
        };
        let listening = entry.state == UnixState::UNCONNECTED;
        let local = Address::Unix(path.display().to_string());
        let socket = Socket {
            fd: -1,
            inode: entry.inode,
            listening,
            local,
            peer: None,
            side: None,
        };
        known.insert(entry.inode, socket);
    }
    known
}

/// Inode of the socket behind a descriptor; `None` when it is no socket, or gone.
pub fn socket_inode(pid: u32, fd: i32) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    link.to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd as _,
    };

    use super::*;

    #[test]
    fn own_connection_is_found_with_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let table = SocketTable::read(std::process::id()).unwrap();
        let find = |fd| table.sockets.iter().find(|socket| socket.fd == fd).unwrap();
        assert!(find(listener.as_raw_fd()).listening);
        let accepted = find(server.as_raw_fd());
        assert_eq!(accepted.local, Address::Inet(address));
        assert_eq!(accepted.side, Some(Side::Server));
        assert_eq!(find(client.as_raw_fd()).side, Some(Side::Client));
        assert_eq!(
            accepted.peer,
            Some(Address::Inet(client.local_addr().unwrap()))
        );
        assert_eq!(
            socket_inode(std::process::id(), server.as_raw_fd()),
            Some(accepted.inode)
        );
        assert!(table.listening_ports().contains(&address.port()));
    }

    #[test]
    fn process_that_is_gone_has_no_table() {
        assert!(SocketTable::read(u32::MAX).is_none());
    }
}

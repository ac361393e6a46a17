//! The own address of a socket of another process, asked of the socket itself.

use std::net::SocketAddr;

use probe_core::record::Address;
use rustix::{
    fd::OwnedFd,
    net::{SocketAddrAny, SocketAddrUnix, SocketType, getpeername, getsockname, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// The address that a connected TCP socket was given; `None` when it is gone or may not be asked.
/// For some microseconds the agent holds the socket too: closed meanwhile, it ends that much later.
pub fn own_address(pid: u32, fd: i32) -> Option<Address> {
    let address = SocketAddr::try_from(getsockname(borrow(pid, fd)?).ok()?).ok()?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    Some(Address::Inet(address))
}

/// Both addresses of a connected TCP socket as the kernel knows them, its own first.
pub fn own_ends(pid: u32, fd: i32) -> Option<(SocketAddr, SocketAddr)> {
    let socket = borrow(pid, fd)?;
    let own = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?;
    let peer = SocketAddr::try_from(getpeername(&socket).ok()??).ok()?;
    Some((own, peer))
}

/// What a socket of another process tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Both ends; `None` for one without a name. Of a pair neither has one.
    Stream {
        /// This end.
        local: Option<Address>,
        /// The other one.
        peer: Option<Address>,
    },
    /// It is no stream.
    Other,
    /// It is gone, or may not be asked.
    Gone,
}

/// Asks a socket of another process what it is; `inode`: the number of its inode, where it is known. The
/// descriptor may be another one's by now.
pub fn ask_socket(pid: u32, fd: i32, inode: Option<u64>) -> Asked {
    let Some(socket) = borrow(pid, fd) else {
        return Asked::Gone;
    };
    let is_it = |inode| rustix::fs::fstat(&socket).is_ok_and(|stat| stat.st_ino == inode);
    if !inode.is_none_or(is_it) {
        return Asked::Gone;
    }
    match sockopt::socket_type(&socket) {
        Ok(SocketType::STREAM) => Asked::Stream {
            local: getsockname(&socket).ok().and_then(named),
            peer: getpeername(&socket).ok().flatten().and_then(named),
        },
        Ok(_) => Asked::Other,
        // No socket any more.
        Err(_) => Asked::Gone,
    }
}

/// An address as the agent writes it; `None` for none.
fn named(address: SocketAddrAny) -> Option<Address> {
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        return Some(Address::Inet(address));
    }
    let address = SocketAddrUnix::try_from(address).ok()?;
    let path = address
        .path()
        .map(|path| path.to_string_lossy().into_owned());
    let abstract_name = || {
        // Of a socket without a name it is empty.
        let name = address.abstract_name().filter(|name| !name.is_empty())?;
        Some(format!("@{}", String::from_utf8_lossy(name)))
    };
    path.or_else(abstract_name).map(Address::Unix)
}

fn borrow(pid: u32, fd: i32) -> Option<OwnedFd> {
    if fd < 0 {
        return None;
    }
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn socket_of_a_process_tells_its_own_address() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
        let expected = Address::Inet(client.local_addr().expect("connected"));
        let told = own_address(std::process::id(), client.as_raw_fd());
        assert_eq!(told, Some(expected));
        let ends = own_ends(std::process::id(), client.as_raw_fd());
        let own = client.local_addr().expect("connected");
        assert_eq!(ends, Some((own, client.peer_addr().expect("connected"))));
    }

    #[test]
    fn ends_of_a_unix_socket_are_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("peer.sock");
        let listener = UnixListener::bind(&path).expect("bind");
        let client = UnixStream::connect(&path).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        let named = Some(Address::Unix(path.display().to_string()));
        let asked = |socket: &UnixStream| {
            let inode = rustix::fs::fstat(socket).expect("stat").st_ino;
            let asked = ask_socket(std::process::id(), socket.as_raw_fd(), Some(inode));
            let other = ask_socket(std::process::id(), socket.as_raw_fd(), Some(inode + 1));
            assert_eq!(other, Asked::Gone);
            asked
        };
        let ends = |local: &Option<Address>, peer: &Option<Address>| Asked::Stream {
            local: local.clone(),
            peer: peer.clone(),
        };
        assert_eq!(asked(&client), ends(&None, &named));
        assert_eq!(asked(&server), ends(&named, &None));
        let (one, _other) = UnixStream::pair().expect("pair");
        assert_eq!(asked(&one), ends(&None, &None));
    }

    #[test]
    fn socket_that_is_no_stream_says_so() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let asked = ask_socket(std::process::id(), socket.as_raw_fd(), None);
        assert_eq!(asked, Asked::Other);
        assert_eq!(ask_socket(std::process::id(), -1, None), Asked::Gone);
    }

    #[test]
    fn descriptor_that_is_no_socket_has_no_address() {
        let file = std::fs::File::open("/dev/null").expect("open");
        assert_eq!(own_address(std::process::id(), file.as_raw_fd()), None);
        assert_eq!(own_address(std::process::id(), -1), None);
    }
}

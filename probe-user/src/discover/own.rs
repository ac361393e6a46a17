//! The own address of a socket of another process, asked of the socket itself.

use std::net::SocketAddr;

use probe_core::record::Address;
use rustix::{
    fd::OwnedFd,
    net::{getpeername, getsockname},
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
    fn descriptor_that_is_no_socket_has_no_address() {
        let file = std::fs::File::open("/dev/null").expect("open");
        assert_eq!(own_address(std::process::id(), file.as_raw_fd()), None);
        assert_eq!(own_address(std::process::id(), -1), None);
    }
}

//! A network namespace of this process' own.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// Leaves the host's network for one that has nothing but a loopback device.
pub(crate) fn enter_new() -> io::Result<()> {
    // SAFETY: no pointer; this process has one thread.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: zero is a valid value of each field.
    let mut loopback: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in loopback.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    loopback.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request outlives the call, which only reads it.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const loopback) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

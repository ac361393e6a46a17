//! How TCP connections began, and with whom.

use aya_ebpf::{
    bindings::BPF_ANY, helpers::bpf_ktime_get_ns, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use probe_abi::origin;

use super::socket::{AF_INET, Socket};
use crate::{
    layout::{layout, read},
    maps::ORIGINS,
};

/// States of a connection. Source: include/net/tcp_states.h.
const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const SYN_RECV: i32 = 3;

/// Bytes of an address. Source: include/uapi/linux/in.h, include/uapi/linux/in6.h.
const SOCKADDR_IN: u32 = 16;
const SOCKADDR_IN6: u32 = 28;

/// How a connection began.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Origin {
    /// Kernel time, nanoseconds.
    pub established_ns: u64,
    /// Of `probe_abi::origin`.
    pub origin: u32,
    /// Bytes of the address; 0 where it could not be read.
    pub length: u32,
    /// The other end: a `sockaddr_in` or `sockaddr_in6`.
    pub address: [u8; 28],
    pub pad: u32,
}

/// A TCP socket changes its state, in any context.
///
/// match-proto: `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`,
/// from Linux 4.16.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state(ctx: BtfTracePointContext) -> i32 {
    let (old, new): (i32, i32) = (ctx.arg(1), ctx.arg(2));
    if new != ESTABLISHED {
        return 0;
    }
    let how = match old {
        SYN_SENT => origin::CONNECTED,
        SYN_RECV => origin::ACCEPTED,
        _ => return 0,
    };
    let sock: *const core::ffi::c_void = ctx.arg(0);
    let socket = Socket(sock as u64);
    let mut begun = Origin {
        // SAFETY: no argument, no side effect.
        established_ns: unsafe { bpf_ktime_get_ns() },
        origin: u32::from(how),
        length: 0,
        address: [0; 28],
        pad: 0,
    };
    let family = socket.family();
    begun.address[..2].copy_from_slice(&family.to_ne_bytes());
    let port: [u8; 2] = read(socket.0, layout!(sock_peer_port));
    begun.address[2..4].copy_from_slice(&port);
    if family == AF_INET {
        let peer: [u8; 4] = read(socket.0, layout!(sock_peer_v4));
        begun.address[4..8].copy_from_slice(&peer);
        begun.length = SOCKADDR_IN;
    } else if layout!(sock_peer_v6) != 0 {
        let peer: [u8; 16] = read(socket.0, layout!(sock_peer_v6));
        begun.address[8..24].copy_from_slice(&peer);
        begun.length = SOCKADDR_IN6;
    }
    // Full is not possible: the least recently used goes.
    let _full = ORIGINS.insert(socket.0, begun, u64::from(BPF_ANY));
    0
}

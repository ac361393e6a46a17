//! How TCP connections began, and with whom.
//!
//! `sock:inet_sock_set_state` is taken as a classic tracepoint: its fields are the kernel's promise, where
//! the layout of a socket is none. They are checked when the programs are attached.

use aya_ebpf::{
    EbpfContext as _, bindings::BPF_ANY, helpers::bpf_ktime_get_ns, macros::tracepoint,
    programs::TracePointContext,
};
use probe_abi::origin;

use crate::maps::ORIGINS;

/// Fields of the tracepoint. Source: include/trace/events/sock.h.
const SOCKET: usize = 8;
const OLD_STATE: usize = 16;
const NEW_STATE: usize = 20;
const PEER_PORT: usize = 26;
const FAMILY: usize = 28;
const PEER_V4: usize = 36;
const PEER_V6: usize = 56;

/// States of a connection. Source: include/net/tcp_states.h.
const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;

/// Source: include/linux/socket.h, include/uapi/linux/in.h, include/uapi/linux/in6.h.
const AF_INET: u16 = 2;
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
    /// Bytes of the address.
    pub length: u32,
    /// The other end: a `sockaddr_in` or `sockaddr_in6`.
    pub address: [u8; 28],
    pub pad: u32,
}

/// A TCP socket changes its state, in any context.
#[tracepoint]
pub fn socket_state(ctx: TracePointContext) -> u32 {
    let fields = ctx.as_ptr().cast::<u8>();
    // SAFETY: the kernel checks at attach time that the tracepoint has these fields.
    let (socket, old, new, port, family) = unsafe {
        (
            *fields.add(SOCKET).cast::<u64>(),
            *fields.add(OLD_STATE).cast::<u32>(),
            *fields.add(NEW_STATE).cast::<u32>(),
            *fields.add(PEER_PORT).cast::<u16>(),
            *fields.add(FAMILY).cast::<u16>(),
        )
    };
    if new != ESTABLISHED {
        return 0;
    }
    let how = match old {
        SYN_SENT => origin::CONNECTED,
        SYN_RECV => origin::ACCEPTED,
        _ => return 0,
    };
    let mut begun = Origin {
        // SAFETY: no argument, no side effect.
        established_ns: unsafe { bpf_ktime_get_ns() },
        origin: u32::from(how),
        length: 0,
        address: [0; 28],
        pad: 0,
    };
    begun.address[..2].copy_from_slice(&family.to_ne_bytes());
    begun.address[2..4].copy_from_slice(&port.to_be_bytes());
    if family == AF_INET {
        begun.length = SOCKADDR_IN;
        // SAFETY: as above.
        let peer = unsafe { *fields.add(PEER_V4).cast::<u32>() };
        begun.address[4..8].copy_from_slice(&peer.to_ne_bytes());
    } else {
        begun.length = SOCKADDR_IN6;
        // SAFETY: as above.
        let [first, second] = unsafe { *fields.add(PEER_V6).cast::<[u64; 2]>() };
        begun.address[8..16].copy_from_slice(&first.to_ne_bytes());
        begun.address[16..24].copy_from_slice(&second.to_ne_bytes());
    }
    // Full is not possible: the least recently used goes.
    let _full = ORIGINS.insert(socket, begun, u64::from(BPF_ANY));
    0
}

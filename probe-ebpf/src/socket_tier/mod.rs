//! The socket tier: the kernel's own tracepoints where a socket has sent, received or gone. A process
//! that does nothing with sockets runs no program and pays nothing, whatever else it calls.
//!
//! match-proto: `sock_send_length(struct sock *sk, int ret, int flags)` and `sock_recv_length`, alike,
//! from Linux 6.3; `tcp_sendmsg_locked(const struct sock *sk, …)` from 6.16; `tcp_destroy_sock(struct
//! sock *sk)` from 4.16.
//!
//! They run in the thread that moves the bytes, inside its call: the registers with which it entered
//! the kernel tell which call that is and where its buffers are. What is neither (io_uring, sendfile)
//! has its length told, and its bytes are a counted gap.

mod bytes;
mod identity;
mod origin;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use self::identity::Socket;
use crate::{call::watched, maps::ORIGINS};

pub use origin::Origin;

/// A socket has sent, or not.
#[btf_tracepoint(function = "sock_send_length")]
pub fn socket_sent(ctx: BtfTracePointContext) -> i32 {
    if let Some(process) = watched() {
        bytes::moved(&ctx, process, &Socket(ctx.arg(0)), true, ctx.arg(1));
    }
    0
}

/// A socket has received, or not.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn socket_received(ctx: BtfTracePointContext) -> i32 {
    if let Some(process) = watched() {
        bytes::moved(&ctx, process, &Socket(ctx.arg(0)), false, ctx.arg(1));
    }
    0
}

/// TCP begins to send: told of each piece, of which the first one counts.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub fn socket_sends(_ctx: BtfTracePointContext) -> i32 {
    if let Some(process) = watched() {
        bytes::begin_send(process);
    }
    0
}

/// A TCP socket is gone: its last descriptor is closed and its last byte on the way.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn socket_gone(ctx: BtfTracePointContext) -> i32 {
    let socket: *const core::ffi::c_void = ctx.arg(0);
    // Absent unless the connection was made since the programs are here.
    let _absent = ORIGINS.remove(socket as u64);
    identity::gone(&Socket(socket));
    0
}

//! The kernel's own tracepoints where a socket has sent or received.
//!
//! match-proto: `sock_send_length(struct sock *sk, int ret, int flags)` and `sock_recv_length`, alike,
//! from Linux 6.3; `tcp_sendmsg_locked(const struct sock *sk, …)` from 6.16.
//!
//! Only `tcp_sendmsg_locked` tells where the bytes are. Of the others that tell the registers with which the
//! thread entered the kernel, where the call is one that names the socket; what is none (io_uring) has its
//! length told, and its bytes are a counted gap.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use probe_abi::{Process, call, direction};

use super::{
    Entered, functions,
    identity::{self, Known, Use},
    socket::Socket,
};
use crate::{
    buffers::{UserMultiMessage, is_whole},
    call::watched,
    maps::MESSAGES,
    message,
    payload::slot,
    values::{Call, Messages},
};

/// A socket has sent, or not.
#[btf_tracepoint(function = "sock_send_length")]
pub fn socket_sent(ctx: BtfTracePointContext) -> i32 {
    if let Some(process) = watched() {
        let sock: *const c_void = ctx.arg(0);
        moved(&ctx, process, Socket(sock as u64), true, ctx.arg(1), 0);
    }
    0
}

/// A socket has received, or not.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn socket_received(ctx: BtfTracePointContext) -> i32 {
    if let Some(process) = watched() {
        let sock: *const c_void = ctx.arg(0);
        let flags: i32 = ctx.arg(2);
        moved(
            &ctx,
            process,
            Socket(sock as u64),
            false,
            ctx.arg(1),
            flags as u32,
        );
    }
    0
}

/// TCP begins to send: told of each piece, of which the first one counts.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub fn socket_sends(ctx: BtfTracePointContext) -> i32 {
    if watched().is_some() {
        let (sock, message): (*const c_void, *const c_void) = (ctx.arg(0), ctx.arg(1));
        functions::continues(Socket(sock as u64), message as u64);
    }
    0
}

/// A socket moved `result` bytes, or failed.
#[inline(always)]
fn moved<C: EbpfContext>(
    ctx: &C,
    process: &Process,
    socket: Socket,
    sends: bool,
    result: i32,
    flags: u32,
) {
    if !message::takes_next(u64::from(flags)) {
        return;
    }
    let begun = functions::take(if sends {
        direction::SENT
    } else {
        direction::RECEIVED
    });
    let is_begun = begun.socket == socket.0;
    let enter_ns = if is_begun {
        begun.enter_ns
    } else {
        // SAFETY: no argument, no side effect.
        unsafe { bpf_ktime_get_ns() }
    };
    let mut known = if is_begun {
        identity::own_connection(process, socket)
    } else {
        Known::NOTHING
    };
    let mut entered = Entered::NOTHING;
    if known.connection == 0 {
        entered = super::entered(sends);
        let used = Use {
            socket,
            fd: entered.fd,
            enter_ns,
            result,
        };
        known = identity::connection(process, &used, false);
    }
    if known.connection == 0 {
        return;
    }
    let mut call = Call {
        connection: known.connection,
        enter_ns,
        args: [0; 3],
        fd: known.fd,
        files: process.files,
        call: u32::from(if sends {
            call::OTHER_SEND
        } else {
            call::OTHER_RECEIVE
        }),
        number: entered.number,
    };
    if is_begun {
        functions::ended(
            ctx,
            &call,
            direction::SENT,
            i64::from(result),
            &begun,
            slot::ONLY,
        );
        return;
    }
    // A call that names another socket is not the one that moved these bytes.
    if known.is_named
        && let Some((kind, args)) = buffers(&entered, result)
    {
        call.call = u32::from(kind);
        call.args = args;
    }
    message::transferred(ctx, &call, i64::from(result));
}

/// The call's kind and its arguments from the second on: of one with several messages, those of the one
/// that this is. `None` where nobody knows which.
#[inline(always)]
fn buffers(entered: &Entered, result: i32) -> Option<(u8, [u64; 3])> {
    let args = &entered.args;
    let kind = match entered.kind {
        call::SENDMMSG => call::SENDMSG,
        call::RECVMMSG => call::RECVMSG,
        kind => return Some((kind, [args[1], args[2], args[3]])),
    };
    // One with a time limit may end without a word between two messages.
    if kind == call::RECVMSG && args[2] > 1 && args[4] != 0 {
        return None;
    }
    Some((kind, [message_of(entered, result), args[3], 0]))
}

/// Which message of a call with several this one is: the kernel takes them in order, and ends at one
/// that fails or that it took in part.
#[inline(always)]
fn message_of(entered: &Entered, result: i32) -> u64 {
    let [_, first, count, ..] = entered.args;
    let thread = bpf_get_current_pid_tgid();
    let mut index = 0;
    if let Some(messages) = MESSAGES.get_ptr(thread) {
        // SAFETY: only this thread uses the entry.
        let before = unsafe { *messages };
        if before.first == first {
            index = before.next;
        }
    }
    let message = first + index * size_of::<UserMultiMessage>() as u64;
    let goes_on = index + 1 < count && result >= 0 && {
        entered.kind == call::RECVMMSG || is_whole(message, result as u32)
    };
    let next = if goes_on { index + 1 } else { 0 };
    // Full is not possible: the least recently used goes.
    let _full = MESSAGES.insert(thread, Messages { first, next }, u64::from(BPF_ANY));
    message
}

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
use probe_abi::{Connection, Process, call, direction, loss};

use super::{
    Entered, entered, functions,
    identity::{self, Known, Use},
    iterator::{self, Iterator},
    sender,
    socket::Socket,
};
use crate::{
    buffers::{UserMultiMessage, is_whole},
    call::{may_be_watched, process},
    connection,
    emit::count_loss,
    maps::{MESSAGES, SENT_ANY},
    message,
    payload::slot,
    values::{Call, Messages, Move, Sender, Transfer},
};

/// TCP begins to send: told of each piece, of which the first one counts.
///
/// What a thread sends on a socket of its own process is remembered with the socket (see [`sender`]). One thread at
/// a time finds room there.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
#[inline(always)]
pub fn socket_sends(ctx: BtfTracePointContext) -> i32 {
    let thread = bpf_get_current_pid_tgid();
    if !may_be_watched(thread) {
        return 0;
    }
    let (sock, message): (*const c_void, *const c_void) = (ctx.arg(0), ctx.arg(1));
    let socket = Socket(sock as u64);
    let iterator = || Iterator::load(message as u64);
    let mut begun = iterator::begun(socket, iterator, 0, 0, true);
    // Of several buffers it does not show: a later piece may stand at the beginning of one.
    let is_whole = begun.memory == 0 && begun.data != 0 && begun.skip == 0;
    if begun.skip != 0 {
        // No first piece: unless that was seen, nobody knows where the send began.
        begun.data = 0;
        begun.vectors = 0;
        begun.memory = 0;
    }
    if let Some(sender) = sender::get(socket) {
        // SAFETY: no other thread begins to send: the socket is locked. One that ends its send takes only itself
        // away.
        unsafe {
            let mover = (*sender).mover;
            if mover == thread && continues(&(*sender).moving, &begun, is_whole) {
                return 0;
            }
            if mover != 0 && mover != thread {
                (*sender).is_shared = 1;
            } else if begun.data != 0
                && (*sender).bound.tgid == (thread >> 32) as u32
                && (*sender).is_shared == 0
                // It may have begun before the socket had its place.
                && (((*sender).settled == thread && is_whole)
                    || !is_under_way(functions::entry(thread), &begun, is_whole))
            {
                (*sender).moving = begun;
                (*sender).mover = thread;
                (*sender).settled = thread;
                return 0;
            }
        }
    }
    if process(thread).is_none() {
        return 0;
    }
    let entry = functions::entry(thread);
    if !is_under_way(entry, &begun, is_whole) {
        let _other = functions::put(entry, thread, &begun);
    }
    0
}

/// Whether the current thread's entry tells of a send that goes on.
#[inline(always)]
fn is_under_way(entry: Option<*mut Move>, now: &Move, is_whole: bool) -> bool {
    // SAFETY: only this thread uses the entry.
    entry.is_some_and(|entry| unsafe {
        (*entry).socket == now.socket && continues(&*entry, now, is_whole)
    })
}

/// Whether a send goes on that was not told to have ended. One that has not sent a byte waits for room, and is whole
/// again after that; whole with another buffer it is another send, and how the one before ended was missed.
#[inline(always)]
fn continues(begun: &Move, now: &Move, is_whole: bool) -> bool {
    !is_whole || begun.data == now.data
}

/// A socket has sent, or not. What is no matter of course another program sees to, in which this one ends. From
/// Linux 6.13 on a program with such an end runs on the thread's own stack, and not on one that is kept for each CPU
/// and costs something at every call.
#[btf_tracepoint(function = "sock_send_length")]
#[inline(always)]
pub fn socket_sent(ctx: BtfTracePointContext) -> i32 {
    let thread = bpf_get_current_pid_tgid();
    if !may_be_watched(thread) {
        return 0;
    }
    let sock: *const c_void = ctx.arg(0);
    let socket = Socket(sock as u64);
    if let Some(sender) = sender::get(socket) {
        // SAFETY: while `moving` is this thread's nobody else writes there; the rest is aligned words.
        let Sender {
            bound,
            mover,
            moving,
            ..
        } = unsafe { *sender };
        // None of one that nobody wants, or that ended with the program that the process executed before.
        if mover == thread
            && moving.socket == socket.0
            && bound.inode == socket.loaded_inode()
            && let Some(connection) = connection::state(bound.connection)
        {
            sender::give_up(sender);
            let known = Known::own(&bound);
            sent(&ctx, thread, &known, connection, &moving);
            return 0;
        }
    }
    // SAFETY: the array exists; the program that it holds is given the same.
    unsafe { SENT_ANY.tail_call(&ctx, 0) }
    count_loss(loss::UNPLACED);
    0
}

/// As [`socket_sent`], of any socket: at a connection's first two sends, where several processes or threads send on
/// one, on sockets that have no place or are not TCP's, and before Linux 6.16.
#[btf_tracepoint(function = "sock_send_length")]
pub fn socket_sent_any(ctx: BtfTracePointContext) -> i32 {
    let thread = bpf_get_current_pid_tgid();
    if !may_be_watched(thread) {
        return 0;
    }
    let sock: *const c_void = ctx.arg(0);
    let socket = Socket(sock as u64);
    let begun = taken(socket, thread);
    let Some(process) = process(thread) else {
        return 0;
    };
    if begun.socket != socket.0 {
        moved(&ctx, process, socket, true, ctx.arg(1));
        return 0;
    }
    let own = identity::own_connection(process, socket);
    let mut known = Known::own(&own);
    if own.connection != 0 {
        sender::settle(socket, &own);
    } else {
        let used = Use {
            socket,
            fd: entered(true).fd,
            enter_ns: begun.enter_ns,
            result: ctx.arg(1),
        };
        known = identity::connection(process, &used, false);
    }
    if let Some(connection) = connection::state(known.connection) {
        sent(&ctx, thread, &known, connection, &begun);
    }
    0
}

/// A send ended of which it is known where its bytes are.
#[inline(always)]
fn sent(
    ctx: &BtfTracePointContext,
    thread: u64,
    known: &Known,
    connection: *mut Connection,
    begun: &Move,
) {
    let transfer = Transfer {
        connection: known.connection,
        enter_ns: begun.enter_ns,
        thread,
        fd: known.fd,
        call: call::OTHER_SEND,
    };
    let result: i32 = ctx.arg(1);
    functions::ended(
        ctx,
        &transfer,
        connection,
        direction::SENT,
        i64::from(result),
        begun,
        slot::ONLY,
    );
}

/// What the current thread sends, once; a socket of 0 for nothing.
#[inline(always)]
fn taken(socket: Socket, thread: u64) -> Move {
    if let Some(sender) = sender::get(socket) {
        // SAFETY: while it is this thread's nobody else writes there.
        let Sender { mover, moving, .. } = unsafe { *sender };
        if mover == thread {
            sender::give_up(sender);
            return moving;
        }
    }
    functions::take(thread, direction::SENT)
}

/// A socket has received, or not.
#[btf_tracepoint(function = "sock_recv_length")]
#[inline(always)]
pub fn socket_received(ctx: BtfTracePointContext) -> i32 {
    let thread = bpf_get_current_pid_tgid();
    let flags: i32 = ctx.arg(2);
    if let Some(process) = process(thread)
        && message::takes_next(u64::from(flags as u32))
    {
        let sock: *const c_void = ctx.arg(0);
        moved(&ctx, process, Socket(sock as u64), false, ctx.arg(1));
    }
    0
}

/// A socket moved `result` bytes, or failed, and nobody told where they are: the call that the thread is in tells,
/// if it names the socket.
#[inline(always)]
fn moved<C: EbpfContext>(ctx: &C, process: &Process, socket: Socket, sends: bool, result: i32) {
    let entered = entered(sends);
    let used = Use {
        socket,
        fd: entered.fd,
        // SAFETY: no argument, no side effect.
        enter_ns: unsafe { bpf_ktime_get_ns() },
        result,
    };
    let known = identity::connection(process, &used, false);
    if known.connection == 0 {
        return;
    }
    let mut call = Call {
        connection: known.connection,
        enter_ns: used.enter_ns,
        args: [0; 3],
        fd: known.fd,
        files: process.files,
        call: u32::from(if sends {
            call::OTHER_SEND
        } else {
            call::OTHER_RECEIVE
        }),
        number: entered.number,
        thread: bpf_get_current_pid_tgid(),
    };
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

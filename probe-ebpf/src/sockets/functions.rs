//! The kernel's functions that send and receive on TCP and unix streams, hooked at entry and return.
//!
//! match-proto: `tcp_sendmsg(struct sock *, struct msghdr *, size_t)`;
//! `tcp_recvmsg(struct sock *, struct msghdr *, size_t, [int nonblock, before 5.19] int flags[, int *])`;
//! `unix_stream_sendmsg(struct socket *, struct msghdr *, size_t)`;
//! `unix_stream_recvmsg(struct socket *, struct msghdr *, size_t, int flags)`;
//! `unix_release(struct socket *)`. The agent checks them against the kernel's own types.
//!
//! Every way into them comes by here, io_uring's too.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_abi::{Connection, direction, loss};

use super::{
    entered,
    identity::{self, Use},
    iterator::{self, Iterator},
    socket::Socket,
};
use crate::{
    call::{process, watched},
    connection,
    emit::count_loss,
    layout::layout,
    maps::MOVES,
    message,
    payload::slot,
    values::{Move, Transfer},
};

/// A function was entered.
#[inline(always)]
fn enters(socket: Socket, message: u64, length: u64, flags: u64, sends: bool) {
    if !sends && !message::takes_next(flags) {
        return;
    }
    let thread = bpf_get_current_pid_tgid();
    let iterator = || Iterator::read(message);
    let begun = iterator::begun(socket, iterator, length, flags, sends);
    if put(entry(thread), thread, &begun) {
        count_loss(loss::UNPLACED);
    }
}

/// Where it is remembered what a thread moves.
#[inline(always)]
pub fn entry(thread: u64) -> Option<*mut Move> {
    MOVES.get_ptr_mut(thread)
}

/// Remembers what the current thread moves; whether something else was not ended.
#[inline(always)]
pub fn put(entry: Option<*mut Move>, thread: u64, begun: &Move) -> bool {
    let Some(entry) = entry else {
        // Full is not possible: the least recently used goes.
        let _full = MOVES.insert(thread, begun, u64::from(BPF_ANY));
        return false;
    };
    // SAFETY: only this thread uses the entry.
    unsafe {
        let other = (*entry).socket != 0;
        *entry = *begun;
        other
    }
}

/// What the current thread moves in this direction, once; a socket of 0 for nothing.
#[inline(always)]
pub fn take(thread: u64, way: u8) -> Move {
    let Some(entry) = entry(thread) else {
        return Move::NOTHING;
    };
    // SAFETY: only this thread uses the entry.
    let begun = unsafe { *entry };
    if begun.direction != u32::from(way) {
        return Move::NOTHING;
    }
    // SAFETY: as above.
    unsafe { (*entry).socket = 0 };
    begun
}

/// A function returned.
#[inline(always)]
fn returns<C: EbpfContext>(ctx: &C, sends: bool, result: i64, slot: u32) {
    let thread = bpf_get_current_pid_tgid();
    let Some(process) = process(thread) else {
        return;
    };
    let way = if sends {
        direction::SENT
    } else {
        direction::RECEIVED
    };
    let begun = take(thread, way);
    if begun.socket == 0 {
        return;
    }
    let entered = entered(sends);
    let used = Use {
        socket: Socket(begun.socket),
        fd: entered.fd,
        enter_ns: begun.enter_ns,
        result: result as i32,
    };
    let known = identity::connection(process, &used, true);
    let Some(connection) = connection::state(known.connection) else {
        return;
    };
    let transfer = Transfer {
        connection: known.connection,
        enter_ns: begun.enter_ns,
        thread,
        fd: known.fd,
        call: entered.kind,
    };
    ended(ctx, &transfer, connection, way, result, &begun, slot);
}

/// Tells what became of a call whose buffers are known, on a connection whose state is given.
#[inline(always)]
pub fn ended<C: EbpfContext>(
    ctx: &C,
    transfer: &Transfer,
    connection: *mut Connection,
    way: u8,
    result: i64,
    begun: &Move,
    slot: u32,
) {
    if message::has_moved(ctx, transfer, way, result, || begun.length) {
        let source = iterator::source(begun, result as u32);
        message::moved(transfer, connection, way, &source, slot);
    }
}

/// A unix socket's last descriptor is closed.
#[inline(always)]
fn released(socket: u64) {
    if watched().is_some() {
        identity::gone(Socket::of(socket), 0);
    }
}

/// A value that is read where it stands, and not at one of several places: see [`word`].
#[inline(always)]
fn kept(mut value: u64) -> u64 {
    // SAFETY: adds nothing.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) value, options(nostack)) };
    value
}

/// One of the words that a trampoline hands on: the arguments, then the result. In assembly, so that of several
/// places the compiler makes no computed one: the verifier knows constant ones.
#[inline(always)]
fn word<const INDEX: usize>(ctx: &impl EbpfContext) -> u64 {
    let word: u64;
    // SAFETY: the kernel refuses the program where there is no such place.
    unsafe {
        core::arch::asm!(
            "{0} = *(u64 *)({1} + {2})",
            out(reg) word,
            in(reg) ctx.as_ptr(),
            const INDEX * 8,
            options(nostack),
        );
    }
    word
}

/// One of a function's arguments as a number, whatever it is.
macro_rules! number {
    (fentry $ctx:ident $index:literal) => {
        word::<$index>(&$ctx)
    };
    (kprobe $ctx:ident $index:literal) => {
        kept($ctx.arg($index).unwrap_or(0))
    };
}

macro_rules! entries {
    ($hook:ident $context:ident: $tcp_send:ident $tcp_receive:ident $unix_send:ident $unix_receive:ident $unix_release:ident) => {
        #[$hook]
        pub fn $tcp_send(ctx: $context) -> u32 {
            if watched().is_some() {
                let socket = Socket(number!($hook ctx 0));
                enters(socket, number!($hook ctx 1), number!($hook ctx 2), 0, true);
            }
            0
        }

        #[$hook]
        pub fn $tcp_receive(ctx: $context) -> u32 {
            if watched().is_some() {
                let socket = Socket(number!($hook ctx 0));
                let flags = if layout!(receive_parameters) == 6 {
                    number!($hook ctx 4)
                } else {
                    number!($hook ctx 3)
                };
                enters(socket, number!($hook ctx 1), number!($hook ctx 2), flags, false);
            }
            0
        }

        #[$hook]
        pub fn $unix_send(ctx: $context) -> u32 {
            if watched().is_some() {
                let socket = Socket::of(number!($hook ctx 0));
                enters(socket, number!($hook ctx 1), number!($hook ctx 2), 0, true);
            }
            0
        }

        #[$hook]
        pub fn $unix_receive(ctx: $context) -> u32 {
            if watched().is_some() {
                let socket = Socket::of(number!($hook ctx 0));
                enters(socket, number!($hook ctx 1), number!($hook ctx 2), number!($hook ctx 3), false);
            }
            0
        }

        #[$hook]
        pub fn $unix_release(ctx: $context) -> u32 {
            released(number!($hook ctx 0));
            0
        }
    };
}

entries!(fentry FEntryContext: fentry_tcp_send fentry_tcp_receive fentry_unix_send fentry_unix_receive fentry_unix_release);
entries!(kprobe ProbeContext: kprobe_tcp_send kprobe_tcp_receive kprobe_unix_send kprobe_unix_receive kprobe_unix_release);

macro_rules! kprobe_returns {
    ($($name:ident: $sends:literal)+) => {$(
        #[kretprobe]
        pub fn $name(ctx: RetProbeContext) -> u32 {
            // An `int`, which leaves the upper half of the register open.
            returns(&ctx, $sends, i64::from(ctx.ret::<u64>() as i32), slot::ONLY);
            0
        }
    )+};
}

kprobe_returns! {
    kretprobe_tcp_send: true
    kretprobe_tcp_receive: false
    kretprobe_unix_send: true
    kretprobe_unix_receive: false
}

/// A function's result, an `int`, which follows its arguments.
#[inline(always)]
fn result<const ARGUMENTS: usize>(ctx: &FExitContext) -> i64 {
    i64::from(word::<ARGUMENTS>(ctx) as i32)
}

#[fexit]
pub fn fexit_tcp_send(ctx: FExitContext) -> u32 {
    returns(&ctx, true, result::<3>(&ctx), slot::TCP_SEND);
    0
}

#[fexit]
pub fn fexit_tcp_receive(ctx: FExitContext) -> u32 {
    let result = match layout!(receive_parameters) {
        4 => result::<4>(&ctx),
        5 => result::<5>(&ctx),
        _ => result::<6>(&ctx),
    };
    returns(&ctx, false, result, slot::TCP_RECEIVE);
    0
}

#[fexit]
pub fn fexit_unix_send(ctx: FExitContext) -> u32 {
    returns(&ctx, true, result::<3>(&ctx), slot::UNIX_SEND);
    0
}

#[fexit]
pub fn fexit_unix_receive(ctx: FExitContext) -> u32 {
    returns(&ctx, false, result::<4>(&ctx), slot::UNIX_RECEIVE);
    0
}

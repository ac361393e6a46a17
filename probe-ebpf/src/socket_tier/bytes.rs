//! A call that moves bytes is about to return, inside the socket it moved them on.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
};
use probe_abi::{Process, call};

use super::identity::{self, Socket};
use crate::{
    buffers::{UserMultiMessage, is_whole},
    call::{begin, finish, is_begun},
    maps::MESSAGES,
    message,
    registers::current_syscall,
    syscall::{self, Syscall},
    values::{Call, Messages},
};

/// The call that the current thread is in, and its arguments.
struct Entered {
    /// Of `probe_abi::call`.
    kind: u8,
    number: u32,
    /// Descriptor of the socket; negative where the call does not name it.
    fd: i32,
    args: [u64; 5],
}

/// The call that the current thread is in, if it moves bytes in this direction on a descriptor it names.
#[inline(always)]
fn entered(sends: bool) -> Entered {
    let other = if sends {
        call::OTHER_SEND
    } else {
        call::OTHER_RECEIVE
    };
    let mut entered = Entered {
        kind: other,
        number: u32::MAX,
        fd: -1,
        args: [0; 5],
    };
    let Some((number, args)) = current_syscall() else {
        return entered;
    };
    entered.number = number;
    if let Some(Syscall::Transfer(kind)) = syscall::meaning(entered.number)
        && message::sends(kind) == sends
    {
        entered.kind = kind;
        entered.args = args;
        entered.fd = entered.args[0] as i32;
    }
    entered
}

/// Remembers when a call began to send.
#[inline(always)]
pub fn begin_send(process: &Process) {
    let Entered {
        kind, number, fd, ..
    } = entered(true);
    if !is_begun(number) {
        begin(kind, number, process.files, 0, fd, [0; 3]);
    }
}

/// A socket moved `result` bytes, or failed.
#[inline(always)]
pub fn moved<C: EbpfContext>(
    ctx: &C,
    process: &Process,
    socket: &Socket,
    sends: bool,
    result: i32,
) {
    let entered = entered(sends);
    let begun = if sends { finish(entered.number) } else { None };
    // SAFETY: no argument, no side effect.
    let enter_ns = begun.map_or_else(|| unsafe { bpf_ktime_get_ns() }, |begun| begun.enter_ns);
    let mut kind = entered.kind;
    let mut args = [entered.args[1], entered.args[2], entered.args[3]];
    if !message::moves_stream(kind, &args) {
        return;
    }
    if kind == call::SENDMMSG || kind == call::RECVMMSG {
        args = [message_of(&entered, result), args[2], 0];
        kind = if sends { call::SENDMSG } else { call::RECVMSG };
    }
    let files = process.files;
    let Some(connection) = identity::connection(process, entered.fd, socket, enter_ns) else {
        return;
    };
    let call = Call {
        connection,
        enter_ns,
        args,
        fd: entered.fd,
        files,
        call: u32::from(kind),
        number: entered.number,
    };
    message::transferred(ctx, &call, i64::from(result));
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

//! The socket tiers: programs where sockets send and receive. A process that does nothing with sockets
//! runs none and pays nothing, whatever else it calls.
//!
//! [`functions`] hooks the kernel's functions of TCP and unix streams (fentry and fexit, or kprobes) and reads
//! where the bytes are from what those functions are given. [`tracepoints`] is for kernels that let nobody
//! hook functions. Both run in the thread that moves the bytes.

mod functions;
mod identity;
mod iterator;
mod origin;
mod sender;
mod socket;
mod tracepoints;

pub use origin::Origin;

use probe_abi::{call, direction};

use self::socket::Socket;
use crate::{
    layout::layout,
    maps::SOCKETS,
    message,
    registers::{Current, current_syscall},
    syscall::{self, Syscall},
    values::Move,
};

/// The call that the current thread is in, if it moves bytes in one direction on a descriptor it names. No
/// `Option`: whether there is one and what it holds would be compared at once, and what is not there is
/// nothing that may be read.
struct Entered {
    /// Of `probe_abi::call`; `OTHER_SEND` or `OTHER_RECEIVE` for none.
    kind: u8,
    /// Of the syscall; `u32::MAX` for none.
    number: u32,
    /// Negative for none.
    fd: i32,
    args: [u64; 5],
}

impl Entered {
    /// None.
    const NOTHING: Self = Self {
        kind: 0,
        number: u32::MAX,
        fd: -1,
        args: [0; 5],
    };
}

/// Of io_uring's work the thread may be in any call, or in none.
#[inline(always)]
fn entered(sends: bool) -> Entered {
    let mut entered = Entered {
        kind: if sends {
            call::OTHER_SEND
        } else {
            call::OTHER_RECEIVE
        },
        ..Entered::NOTHING
    };
    let Current { number, args } = current_syscall();
    entered.number = number;
    if let Some(Syscall::Transfer(kind)) = syscall::meaning(number)
        && message::sends(kind) == sends
    {
        entered.kind = kind;
        entered.args = args;
        entered.fd = args[0] as i32;
    }
    entered
}

/// Whether the current thread has a socket with a connection behind a descriptor, which nobody may have told of: of
/// what a process sends on its own sockets the descriptors are not followed.
#[inline(always)]
pub fn is_known(fd: i32) -> bool {
    if layout!(files_table) == 0 {
        return false;
    }
    let socket = Socket::behind(fd);
    // SAFETY: an aligned word.
    let inode = SOCKETS
        .get_ptr(socket.0)
        .map_or(0, |bound| unsafe { (*bound).inode });
    inode != 0 && inode == socket.inode()
}

/// Whether the current thread is where a socket sends that has no connection yet, or not one by itself.
#[inline(always)]
pub fn is_sending(current: u64) -> bool {
    functions::entry(current).is_some_and(|entry| {
        // SAFETY: only this thread, which is here, uses the entry.
        let Move {
            socket, direction, ..
        } = unsafe { *entry };
        socket != 0 && direction == u32::from(direction::SENT)
    })
}

/// A TCP socket is gone: its last descriptor is closed and its last byte on the way.
///
/// match-proto: `tcp_destroy_sock(struct sock *sk)`, from Linux 4.16.
#[aya_ebpf::macros::btf_tracepoint(function = "tcp_destroy_sock")]
pub fn socket_gone(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
    let sock: *const core::ffi::c_void = ctx.arg(0);
    let socket = Socket(sock as u64);
    // Absent unless the connection was made since the programs are here.
    let _absent = crate::maps::ORIGINS.remove(socket.0);
    let connection = sender::gone(socket);
    identity::gone(socket, connection);
    0
}

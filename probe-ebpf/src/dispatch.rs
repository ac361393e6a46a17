//! Which syscall matters how: at its entry, and at its return.

use aya_ebpf::EbpfContext;
use probe_abi::{call, process_flag};

use crate::{
    call::{begin, finish, socket, watched},
    connection, descriptor, message,
    syscall::{self, Syscall},
};

/// `fcntl` commands that duplicate a descriptor. Source: include/uapi/linux/fcntl.h.
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// Remembers a call of a watched process that its return will be needed for.
#[inline(always)]
pub fn enter(number: u32, args: [u64; 4]) {
    let Some(meaning) = syscall::meaning(number) else {
        return;
    };
    let Some(process) = watched() else { return };
    let files = process.files;
    let fd = args[0] as i32;
    let rest = [args[1], args[2], args[3]];
    match meaning {
        Syscall::Transfer(kind) => {
            if process.flags & process_flag::DESCRIPTORS_UNKNOWN == 0
                && let Some(entry) = socket(files, fd)
                && message::moves_stream(kind, &rest)
            {
                begin(kind, number, files, entry.connection, fd, rest);
            }
        }
        Syscall::Socket => begin(call::SOCKET, number, files, 0, fd, rest),
        Syscall::Connect => begin(call::CONNECT, number, files, 0, fd, rest),
        Syscall::Accept => begin(call::ACCEPT, number, files, 0, fd, rest),
        Syscall::Close => descriptor::close(files, fd),
        Syscall::Shutdown => {
            if let Some(entry) = socket(files, fd) {
                begin(call::SHUTDOWN, number, files, entry.connection, fd, rest);
            }
        }
        Syscall::Dup => {
            if let Some(entry) = socket(files, fd) {
                begin(call::DUP, number, files, entry.connection, fd, rest);
            }
        }
        Syscall::DupOnto => {
            let old = socket(files, fd);
            if old.is_some() || socket(files, args[1] as i32).is_some() {
                begin(
                    call::DUP,
                    number,
                    files,
                    old.map_or(0, |entry| entry.connection),
                    fd,
                    rest,
                );
            }
        }
        Syscall::Fcntl => {
            if (args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC)
                && let Some(entry) = socket(files, fd)
            {
                begin(call::DUP, number, files, entry.connection, fd, rest);
            }
        }
        Syscall::CloseRange => begin(call::CLOSE_RANGE, number, files, 0, fd, rest),
    }
}

/// Acts on a call's result.
#[inline(always)]
pub fn exit<C: EbpfContext>(ctx: &C, number: u32, result: i64) {
    let Some(pending) = finish(number) else {
        // A thread that was already waiting in `accept` when its process became watched.
        if result >= 0
            && syscall::meaning(number) == Some(Syscall::Accept)
            && let Some(process) = watched()
        {
            connection::accepted_unseen(ctx, process.files, result as i32);
        }
        return;
    };
    match pending.call as u8 {
        call::SOCKET => connection::made(&pending, result),
        call::CONNECT => connection::connected(ctx, &pending, result),
        call::ACCEPT => connection::accepted(ctx, &pending, result),
        call::SHUTDOWN => descriptor::shut_down(&pending, result),
        call::DUP => descriptor::duplicated(&pending, result),
        call::CLOSE_RANGE => descriptor::changed(&pending),
        _ => message::transferred(ctx, &pending, result),
    }
}

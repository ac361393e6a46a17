//! Which syscall matters how: at its entry, and at its return.

use aya_ebpf::EbpfContext;
use probe_abi::{call, process_flag};

use crate::{
    buffers::has_room_for_descriptors,
    call::{begin, finish, is_first, socket, watched},
    connection, descriptor, file, file_open, message,
    syscall::{self, Syscall},
};

/// `fcntl` commands that duplicate a descriptor. Source: include/uapi/linux/fcntl.h.
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// Remembers a call of a watched process that its return will be needed for.
#[inline(always)]
pub fn enter(number: u32, args: [u64; 5]) {
    let Some(meaning) = syscall::meaning(number) else {
        return;
    };
    let Some(process) = watched() else { return };
    let files = process.files;
    let fd = args[0] as i32;
    let rest = [args[1], args[2], args[3]];
    match meaning {
        Syscall::Transfer(kind) => {
            if process.flags & process_flag::DESCRIPTORS_UNKNOWN != 0 {
                return;
            }
            match socket(files, fd) {
                Some(entry) if message::moves_stream(kind, &rest) => {
                    begin(kind, number, files, entry.connection, fd, rest);
                }
                None if kind == call::READ || kind == call::READV => {
                    file::reading(number, files, fd);
                }
                None if kind == call::RECVMSG && has_room_for_descriptors(args[1]) => {
                    begin(call::PASS, number, files, 0, fd, rest);
                }
                _ => {}
            }
        }
        Syscall::Socket => begin(call::SOCKET, number, files, 0, fd, rest),
        Syscall::Connect => begin(call::CONNECT, number, files, 0, fd, rest),
        Syscall::Accept => begin(call::ACCEPT, number, files, 0, fd, rest),
        Syscall::Close => {
            descriptor::close(files, fd);
            file::close(files, fd);
        }
        Syscall::Shutdown => {
            if let Some(entry) = socket(files, fd) {
                begin(call::SHUTDOWN, number, files, entry.connection, fd, rest);
            }
        }
        Syscall::Dup => {
            if let Some(entry) = socket(files, fd) {
                begin(call::DUP, number, files, entry.connection, fd, rest);
            } else {
                file::duplicating(number, files, fd, None);
            }
        }
        Syscall::DupOnto => {
            let old = socket(files, fd);
            file::duplicating(number, files, fd, Some(args[1] as i32));
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
            if args[1] != F_DUPFD && args[1] != F_DUPFD_CLOEXEC {
                return;
            }
            if let Some(entry) = socket(files, fd) {
                begin(call::DUP, number, files, entry.connection, fd, rest);
            } else {
                file::duplicating(number, files, fd, None);
            }
        }
        Syscall::CloseRange => begin(call::CLOSE_RANGE, number, files, 0, fd, rest),
        Syscall::Open => file_open::opening(number, files, args[0]),
        Syscall::OpenAt => file_open::opening_at(number, files, fd, args[1]),
        Syscall::ReadAt => file::reading(number, files, fd),
        Syscall::Map => file::mapping(number, files, args),
        Syscall::Unmap => file::unmapping(files, args[0]),
    }
}

/// Acts on a call's result.
#[inline(always)]
pub fn exit<C: EbpfContext>(ctx: &C, number: u32, result: i64) {
    let Some(pending) = finish(number) else {
        // A thread that was already waiting when its process became watched.
        if result >= 0
            && let Some(meaning) = syscall::meaning(number)
            && let Some(process) = watched()
        {
            match meaning {
                Syscall::Accept => connection::accepted_unseen(ctx, process.files, result as i32),
                Syscall::Transfer(call::RECVMSG) if is_first() => {
                    descriptor::changed(process.files);
                }
                _ => {}
            }
        }
        return;
    };
    match pending.call as u8 {
        call::SOCKET => connection::made(&pending, result),
        call::CONNECT => connection::connected(ctx, &pending, result),
        call::ACCEPT => connection::accepted(ctx, &pending, result),
        call::SHUTDOWN => descriptor::shut_down(&pending, result),
        call::DUP => descriptor::duplicated(&pending, result),
        call::CLOSE_RANGE => descriptor::changed(pending.files),
        call::PASS => descriptor::passed(&pending, result),
        call::OPEN if file::follows() => file_open::opened(&pending, result),
        call::FILE_READ if file::follows() => file::read(&pending, result),
        call::MAP if file::follows() => file::mapped(&pending, result),
        call::FILE_DUP if file::follows() => file::duplicated(&pending, result),
        _ => message::transferred(ctx, &pending, result),
    }
}

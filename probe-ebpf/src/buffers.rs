//! Where the bytes of a call are in user memory.

use aya_ebpf::helpers::bpf_probe_read_user;
use probe_abi::{MAX_MESSAGES, call};

use crate::values::Call;

/// Discards what it receives, on TCP. Source: include/linux/socket.h.
const MSG_TRUNC: u64 = 0x20;

/// `struct user_msghdr`. Source: include/linux/socket.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UserMessage {
    name: u64,
    name_length: u32,
    pad: u32,
    pub iov: u64,
    pub iov_count: u64,
    control: u64,
    control_length: u64,
    flags: u64,
}

/// `struct cmsghdr`. Source: include/linux/socket.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct ControlMessage {
    length: u64,
    level: i32,
    kind: i32,
}

/// Level and type of a control message that holds descriptors. Source: include/linux/socket.h.
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// Whether a `recvmsg` may receive descriptors: there is room for control messages.
#[inline(always)]
pub fn has_room_for_descriptors(message: u64) -> bool {
    // SAFETY: a failing read says no.
    unsafe { bpf_probe_read_user(message as *const UserMessage) }
        .is_ok_and(|message| message.control_length > size_of::<ControlMessage>() as u64)
}

/// Whether a `recvmsg` that returned received descriptors. Of several control messages the first one
/// tells: credentials come before descriptors only where a process asks for both.
#[inline(always)]
pub fn holds_descriptors(message: u64) -> bool {
    // SAFETY: a failing read says no.
    let Ok(message) = (unsafe { bpf_probe_read_user(message as *const UserMessage) }) else {
        return false;
    };
    if message.control_length <= size_of::<ControlMessage>() as u64 {
        return false;
    }
    // SAFETY: as above.
    unsafe { bpf_probe_read_user(message.control as *const ControlMessage) }
        .is_ok_and(|control| control.level == SOL_SOCKET && control.kind == SCM_RIGHTS)
}

/// `struct mmsghdr`: a message and the bytes it moved.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UserMultiMessage {
    message: UserMessage,
    length: u32,
    pad: u32,
}

/// `struct iovec`. Source: include/uapi/linux/uio.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Iovec {
    pub base: u64,
    pub length: u64,
}

/// What of a call's buffers is the kernel's own memory; else it is the process'.
pub mod memory {
    /// The buffers.
    pub const BUFFERS: u32 = 1;
    /// The array of `iovec`.
    pub const VECTORS: u32 = 2;
}

/// Where one call's bytes are: in one buffer, an array of `iovec`, or an array of `mmsghdr`.
#[derive(Clone, Copy, Default)]
pub struct Source {
    /// Address of the only buffer; 0 when there are several.
    pub buffer: u64,
    /// First `iovec` and their number.
    pub iov: u64,
    pub iovs: u32,
    /// First `mmsghdr` and their number.
    pub message: u64,
    pub messages: u32,
    /// Bytes moved.
    pub length: u32,
    /// Bytes of the first buffer that are left out.
    pub skip: u64,
    /// Of [`memory`].
    pub memory: u32,
}

/// Where the bytes of a call that moved some are. `None` when nobody can tell how many moved.
#[inline(always)]
pub fn source(kind: u8, pending: &Call, result: u32) -> Option<Source> {
    let [first, second, third] = pending.args;
    let mut source = Source {
        length: result,
        ..Source::default()
    };
    match kind {
        call::READ | call::WRITE | call::SENDTO => source.buffer = first,
        // MSG_TRUNC on TCP throws the bytes away: they moved, but are nowhere.
        call::RECVFROM if third & MSG_TRUNC != 0 => {}
        call::RECVFROM => source.buffer = first,
        call::READV | call::WRITEV => {
            source.iov = first;
            source.iovs = second as u32;
        }
        call::RECVMSG if second & MSG_TRUNC != 0 => {}
        call::SENDMSG | call::RECVMSG => {
            source.message = first;
            source.messages = 1;
        }
        // Nobody knows where they are.
        call::OTHER_SEND | call::OTHER_RECEIVE => {}
        _ => {
            source.message = first;
            source.messages = result;
            source.length = moved(first, result)?;
        }
    }
    Some(source)
}

/// Pieces of one message of several that are added up.
const MAX_PIECES: u32 = 8;

/// Whether a message has this many bytes. One of more pieces than are added up counts as longer.
#[inline(always)]
pub fn is_whole(message: u64, length: u32) -> bool {
    // SAFETY: a failing read says no.
    let Ok(message) = (unsafe { bpf_probe_read_user(message as *const UserMessage) }) else {
        return false;
    };
    let mut whole = 0_u64;
    for index in 0..MAX_PIECES {
        if u64::from(index) >= message.iov_count {
            return whole == u64::from(length);
        }
        let iov = message.iov + u64::from(index) * size_of::<Iovec>() as u64;
        // SAFETY: as above.
        let Ok(iov) = (unsafe { bpf_probe_read_user(iov as *const Iovec) }) else {
            return false;
        };
        whole += iov.length;
    }
    message.iov_count == u64::from(MAX_PIECES) && whole == u64::from(length)
}

/// Bytes that the first `count` messages at `at` moved.
#[inline(always)]
fn moved(at: u64, count: u32) -> Option<u32> {
    let mut length = 0_u32;
    for index in 0..MAX_MESSAGES {
        if index >= count {
            break;
        }
        let message = at + u64::from(index) * size_of::<UserMultiMessage>() as u64;
        // SAFETY: a failing read makes the count unknown.
        length += unsafe { bpf_probe_read_user(message as *const UserMultiMessage) }
            .ok()?
            .length;
    }
    Some(length)
}

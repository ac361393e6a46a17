//! Preloaded (`LD_PRELOAD`) into a peer whose gRPC library does not say when its bytes crossed the
//! kernel: `sendmsg` and `recvmsg`, which that library uses for its sockets, are passed on to libc and
//! their times and bytes kept, as the kernel's tracepoints see them: the entry of a send, the return of
//! a receive. Monotonic nanoseconds. A message is found by its bytes. So are the returns of `read`, of which
//! an interpreter knows only when it may go on.

mod log;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{msghdr, ssize_t};
use log::Log;

static SENT: Log = Log::new();
static RECEIVED: Log = Log::new();
/// Return of the last read(2) of each file.
static READ: Mutex<BTreeMap<c_int, u64>> = Mutex::new(BTreeMap::new());

/// Stands before libc's function of this name.
///
/// # Safety
///
/// As sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    type Function = unsafe extern "C" fn(c_int, *const msghdr, c_int) -> ssize_t;
    static NEXT: OnceLock<usize> = OnceLock::new();
    let at_ns = monotonic_ns();
    // SAFETY: libc's function of this name has this type; the caller keeps its promise.
    let sent = unsafe {
        let next: Function = std::mem::transmute(*NEXT.get_or_init(|| after_this(c"sendmsg")));
        next(fd, message, flags)
    };
    if sent > 0 {
        // SAFETY: the kernel has just read so many bytes of it.
        SENT.push(at_ns, fd, unsafe { moved(message, sent) });
    }
    sent
}

/// Stands before libc's function of this name.
///
/// # Safety
///
/// As recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    type Function = unsafe extern "C" fn(c_int, *mut msghdr, c_int) -> ssize_t;
    static NEXT: OnceLock<usize> = OnceLock::new();
    // SAFETY: libc's function of this name has this type; the caller keeps its promise.
    let received = unsafe {
        let next: Function = std::mem::transmute(*NEXT.get_or_init(|| after_this(c"recvmsg")));
        next(fd, message, flags)
    };
    if received > 0 {
        let at_ns = monotonic_ns();
        // SAFETY: the kernel has just written so many bytes to it.
        RECEIVED.push(at_ns, fd, unsafe { moved(message, received) });
    }
    received
}

/// Stands before libc's function of this name.
///
/// # Safety
///
/// As read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, length: usize) -> ssize_t {
    type Function = unsafe extern "C" fn(c_int, *mut c_void, usize) -> ssize_t;
    static NEXT: OnceLock<usize> = OnceLock::new();
    // SAFETY: libc's function of this name has this type; the caller keeps its promise.
    let received = unsafe {
        let next: Function = std::mem::transmute(*NEXT.get_or_init(|| after_this(c"read")));
        next(fd, buffer, length)
    };
    // errno is the caller's.
    if received >= 0 {
        let mut last = READ.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(fd, monotonic_ns());
    }
    received
}

/// Entry of the first send at or after a time that carried the end of these bytes; 0 when there was
/// none, or it is too long ago.
///
/// # Safety
///
/// `length` bytes can be read at `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket_clock_sent_since(
    since_ns: u64,
    bytes: *const u8,
    length: usize,
) -> u64 {
    // SAFETY: the caller promises it.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    SENT.first_since(since_ns, bytes).unwrap_or(0)
}

/// Return of the last receive that brought the end of these bytes; 0 when there was none, or it is too
/// long ago.
///
/// # Safety
///
/// `length` bytes can be read at `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket_clock_received(bytes: *const u8, length: usize) -> u64 {
    // SAFETY: the caller promises it.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    RECEIVED.last(bytes).unwrap_or(0)
}

/// As [`socket_clock_sent_since`], of the header of the call's stream where that was sent before its first
/// message.
///
/// # Safety
///
/// `length` bytes can be read at `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket_clock_called_since(
    since_ns: u64,
    bytes: *const u8,
    length: usize,
) -> u64 {
    // SAFETY: the caller promises it.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    SENT.opening_since(since_ns, bytes).unwrap_or(0)
}

/// Return of the last read(2) of a file; 0 when there was none.
#[unsafe(no_mangle)]
pub extern "C" fn socket_clock_read(fd: c_int) -> u64 {
    let last = READ.lock().unwrap_or_else(PoisonError::into_inner);
    last.get(&fd).copied().unwrap_or(0)
}

/// The first bytes of a message's buffers.
///
/// # Safety
///
/// The message has buffers of at least so many bytes, which can be read.
unsafe fn moved(message: *const msghdr, length: ssize_t) -> Vec<u8> {
    let mut left = length.unsigned_abs();
    let mut bytes = Vec::with_capacity(left);
    // SAFETY: as promised.
    let buffers = unsafe { std::slice::from_raw_parts((*message).msg_iov, (*message).msg_iovlen) };
    for buffer in buffers {
        let length = buffer.iov_len.min(left);
        if length > 0 {
            let part = buffer.iov_base.cast::<u8>().cast_const();
            // SAFETY: as promised.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(part, length) });
        }
        left -= length;
    }
    bytes
}

/// Address of the next library's function of this name.
fn after_this(name: &CStr) -> usize {
    // SAFETY: the name ends in a zero byte.
    let found: *mut c_void = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!found.is_null(), "libc has every function it declares");
    found as usize
}

fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec. This clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

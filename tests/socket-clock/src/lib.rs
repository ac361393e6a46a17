//! Preloaded (`LD_PRELOAD`) into a peer whose gRPC library does not say when its bytes crossed the
//! kernel: `sendmsg` and `recvmsg`, which that library uses for its sockets, are passed on to libc and
//! their times kept, as the kernel's tracepoints see them: the entry of a send, the return of a
//! receive. Monotonic nanoseconds; receives of nothing and sends of mere acknowledgements do not count.

mod ring;

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

use libc::{msghdr, ssize_t};
use ring::Ring;

/// Bytes from which a send carries a message: an HTTP/2 PING has 17, a `WINDOW_UPDATE` 13, and one may go
/// with two of the other (RFC 9113, 6.7 and 6.9); the shortest request of the `tts` service has some 50.
const MESSAGE_BYTES: ssize_t = 44;

static SENT: Ring = Ring::new();
static RECEIVED: Ring = Ring::new();

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
    if sent >= MESSAGE_BYTES {
        SENT.push(at_ns);
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
        RECEIVED.push(monotonic_ns());
    }
    received
}

/// Entry of the first send at or after a time; 0 when there was none, or it is too long ago.
#[unsafe(no_mangle)]
pub extern "C" fn socket_clock_sent_since(since_ns: u64) -> u64 {
    SENT.first_since(since_ns)
}

/// Return of the last receive until a time; 0 when there was none, or it is too long ago.
#[unsafe(no_mangle)]
pub extern "C" fn socket_clock_received_until(until_ns: u64) -> u64 {
    RECEIVED.last_until(until_ns)
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

//! How far a copy from user memory got, one step at a time.

use aya_ebpf::helpers::bpf_probe_read_user;

use crate::buffers::{Iovec, UserMessage, UserMultiMessage};

/// How far a copy got. It lives in the map and is read and written there at every step: then the
/// verifier knows nothing about the values, finds each step's state equal however it was reached,
/// and walks the loop in thousands of instructions rather than millions.
#[repr(C)]
pub struct Cursor {
    /// Rest of the current buffer: its address and its bytes.
    pub base: u64,
    pub left: u32,
    /// Stream bytes not yet copied.
    pub remaining: u32,
    /// Next `iovec` and how many are left of the current message.
    pub iov: u64,
    pub iovs: u32,
    /// Payload bytes in the scratch buffer.
    pub used: u32,
    /// Next `mmsghdr` and how many are left.
    pub message: u64,
    pub messages: u32,
    /// Whether user memory could not be read.
    pub fault: u32,
}

/// Reads and writes fields of the map's value where they are.
macro_rules! field {
    ($cursor:ident.$field:ident) => {
        // SAFETY: the cursor is this CPU's map value; preemption is off in a tracepoint.
        unsafe { (&raw const (*$cursor).$field).read_volatile() }
    };
    ($cursor:ident.$field:ident = $value:expr) => {
        // SAFETY: as above.
        unsafe { (&raw mut (*$cursor).$field).write_volatile($value) }
    };
}

pub(crate) use field;

/// Enters the next buffer, or the next message's buffers; false when there is none or it cannot be
/// read.
#[inline(always)]
pub fn next_buffer(cursor: *mut Cursor, remaining: u32) -> bool {
    let iovs = field!(cursor.iovs);
    if iovs != 0 {
        let iov = field!(cursor.iov);
        // SAFETY: a failing read is a fault.
        let Ok(next) = (unsafe { bpf_probe_read_user(iov as *const Iovec) }) else {
            field!(cursor.fault = 1);
            return false;
        };
        let length = next.length;
        field!(cursor.base = next.base);
        field!(
            cursor.left = if length > u64::from(remaining) {
                remaining
            } else {
                length as u32
            }
        );
        field!(cursor.iov = iov + size_of::<Iovec>() as u64);
        field!(cursor.iovs = iovs - 1);
        return true;
    }
    let messages = field!(cursor.messages);
    if messages == 0 {
        field!(cursor.fault = 1);
        return false;
    }
    let message = field!(cursor.message);
    // SAFETY: a failing read is a fault.
    let Ok(next) = (unsafe { bpf_probe_read_user(message as *const UserMessage) }) else {
        field!(cursor.fault = 1);
        return false;
    };
    field!(cursor.iov = next.iov);
    field!(cursor.iovs = next.iov_count as u32);
    field!(cursor.message = message + size_of::<UserMultiMessage>() as u64);
    field!(cursor.messages = messages - 1);
    true
}

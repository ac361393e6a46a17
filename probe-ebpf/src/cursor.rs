//! How far a copy from user memory got, one step at a time.

use aya_ebpf::helpers::bpf_probe_read_user;

use crate::{
    buffers::{Iovec, UserMessage, UserMultiMessage},
    values::Cursor,
};

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

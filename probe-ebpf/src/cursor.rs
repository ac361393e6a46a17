//! How far a copy got, one step at a time.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::{
    buffers::{Iovec, UserMessage, UserMultiMessage, memory},
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
pub fn next_buffer(cursor: *mut Cursor) -> bool {
    let iovs = field!(cursor.iovs);
    if iovs != 0 {
        let iov = field!(cursor.iov);
        let next = if field!(cursor.memory) & memory::VECTORS != 0 {
            // SAFETY: a failing read is a fault.
            unsafe { bpf_probe_read_kernel(iov as *const Iovec) }
        } else {
            // SAFETY: as above.
            unsafe { bpf_probe_read_user(iov as *const Iovec) }
        };
        let Ok(next) = next else {
            field!(cursor.fault = 1);
            return false;
        };
        let skip = field!(cursor.skip);
        let skip = if skip > next.length {
            next.length
        } else {
            skip
        };
        field!(cursor.skip = 0);
        let length = next.length - skip;
        field!(cursor.base = next.base + skip);
        field!(
            cursor.left = if length > u64::from(u32::MAX) {
                u32::MAX
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

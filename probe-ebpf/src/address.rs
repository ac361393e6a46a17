//! Peer addresses, copied from the memory that `connect` and `accept` were given.

use aya_ebpf::helpers::generated;
use probe_abi::{OpenRecord, SOCKADDR_BYTES, loss};

use crate::emit::count_loss;

/// Copies the peer's address from user memory; leaves it unknown when that fails.
#[inline(always)]
pub fn read_address(record: &mut OpenRecord, address: u64, length: u32) {
    if address == 0 || length == 0 {
        return;
    }
    let length = if length > SOCKADDR_BYTES as u32 {
        SOCKADDR_BYTES as u32
    } else {
        length
    };
    // SAFETY: `address` in the record holds `SOCKADDR_BYTES`, and `length` is at most that.
    let read = unsafe {
        generated::bpf_probe_read_user(
            record.address.as_mut_ptr().cast(),
            length,
            address as *const _,
        )
    };
    if read == 0 {
        record.address_length = length as u16;
    } else {
        count_loss(loss::READ_FAULT);
    }
}

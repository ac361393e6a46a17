//! Where the bytes of a message are: what the kernel's functions of sockets are given.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_abi::direction;

use super::socket::Socket;
use crate::{
    buffers::{Source, memory},
    layout::{layout, read},
    values::Move,
};

/// Discards what it receives, on TCP. Source: include/linux/socket.h.
const MSG_TRUNC: u64 = 0x20;

/// What a function is told to move. To be read before it runs: it uses its message up.
#[inline(always)]
pub fn begun(socket: Socket, message: u64, length: u64, flags: u64, sends: bool) -> Move {
    let mut begun = Move {
        socket: socket.0,
        // SAFETY: no argument, no side effect.
        enter_ns: unsafe { bpf_ktime_get_ns() },
        data: 0,
        skip: 0,
        length,
        vectors: 0,
        memory: 0,
        direction: u32::from(if sends {
            direction::SENT
        } else {
            direction::RECEIVED
        }),
        pad: 0,
    };
    // What is thrown away is nowhere.
    if sends || flags & MSG_TRUNC == 0 {
        locate(message, &mut begun);
    }
    begun
}

/// Finds the buffers. Those of pages (sendfile, splice, registered buffers) are nowhere: they may not be in
/// the kernel's address space.
#[inline(always)]
fn locate(message: u64, begun: &mut Move) {
    let iterator = message + u64::from(layout!(message_iterator));
    let kind: u32 = read(iterator, layout!(iterator_type));
    let kind = kind & layout!(iterator_type_mask);
    if kind == layout!(type_vectors) {
        begun.memory = memory::VECTORS;
    } else if kind == layout!(type_kernel_vectors) {
        begun.memory = memory::VECTORS | memory::BUFFERS;
    } else if kind != layout!(type_buffer) {
        return;
    }
    let vectors: u64 = read(iterator, layout!(iterator_segments));
    begun.vectors = vectors as u32;
    begun.skip = read(iterator, layout!(iterator_offset));
    begun.data = read(iterator, layout!(iterator_data));
}

/// Where the bytes are that a function moved.
#[inline(always)]
pub fn source(moved: &Move, length: u32) -> Source {
    let is_vectors = moved.memory & memory::VECTORS != 0;
    Source {
        buffer: if is_vectors { 0 } else { moved.data },
        iov: moved.data,
        iovs: if is_vectors { moved.vectors } else { 0 },
        skip: moved.skip,
        length,
        memory: moved.memory,
        ..Source::default()
    }
}

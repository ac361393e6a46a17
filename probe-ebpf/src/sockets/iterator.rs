//! Where the bytes of a message are: what the kernel's functions of sockets are given.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_abi::direction;

use super::socket::Socket;
use crate::{
    buffers::{Source, memory},
    layout::{layout, load_byte, load_word, read},
    values::Move,
};

/// Discards what it receives, on TCP. Source: include/linux/socket.h.
const MSG_TRUNC: u64 = 0x20;

/// What an `iov_iter` says.
pub struct Iterator {
    kind: u32,
    segments: u64,
    offset: u64,
    data: u64,
}

impl Iterator {
    /// Of a message whatever its address is.
    #[inline(always)]
    pub fn read(message: u64) -> Self {
        let iterator = message + u64::from(layout!(message_iterator));
        Self {
            kind: read(iterator, layout!(iterator_type)),
            segments: read(iterator, layout!(iterator_segments)),
            offset: read(iterator, layout!(iterator_offset)),
            data: read(iterator, layout!(iterator_data)),
        }
    }

    /// Of a message that a tracepoint was given, from Linux 5.14.
    #[inline(always)]
    pub fn load(message: u64) -> Self {
        let at = |offset| layout!(message_iterator) + offset;
        Self {
            kind: u32::from(load_byte(message, at(layout!(iterator_type)))),
            segments: load_word(message, at(layout!(iterator_segments))),
            offset: load_word(message, at(layout!(iterator_offset))),
            data: load_word(message, at(layout!(iterator_data))),
        }
    }
}

/// What a function is told to move. To be read before it runs: it uses its message up. Nothing is where what
/// it receives is thrown away.
#[inline(always)]
pub fn begun(
    socket: Socket,
    iterator: impl FnOnce() -> Iterator,
    length: u64,
    flags: u64,
    sends: bool,
) -> Move {
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
    if sends || flags & MSG_TRUNC == 0 {
        locate(&iterator(), &mut begun);
    }
    begun
}

/// Finds the buffers. Those of pages (sendfile, splice, registered buffers) are nowhere: they may not be in
/// the kernel's address space.
#[inline(always)]
fn locate(iterator: &Iterator, begun: &mut Move) {
    let kind = iterator.kind & layout!(iterator_type_mask);
    if kind == layout!(type_vectors) {
        begun.memory = memory::VECTORS;
    } else if kind == layout!(type_kernel_vectors) {
        begun.memory = memory::VECTORS | memory::BUFFERS;
    } else if kind != layout!(type_buffer) {
        return;
    }
    begun.vectors = iterator.segments as u32;
    begun.skip = iterator.offset;
    begun.data = iterator.data;
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

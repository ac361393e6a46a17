//! voxprobe's kernel side: times the socket calls of watched processes and copies the bytes they
//! moved into one ring buffer. Where the agent has model roots, it also tells which files below them
//! are opened and how much of them is read, and nothing of what is in them.
//!
//! Every program filters by process before it reads anything, keeps to sockets and those files
//! afterwards, and writes nothing but its own maps. What cannot be recorded is counted by reason in `LOSSES`.

#![no_std]
#![no_main]
// The target has no stable inline assembly, and `core` gives it no atomic arithmetic.
#![feature(asm_experimental_arch)]

mod address;
mod buffers;
mod call;
mod connection;
mod count;
mod cursor;
mod descriptor;
mod dispatch;
mod emit;
mod file;
mod file_open;
mod layout;
mod lib_calls;
mod maps;
mod message;
mod payload;
mod pieces;
mod process;
mod registers;
mod sched;
mod socket_sys;
mod sockets;
mod syscall;
mod unread;
mod values;

/// The helpers used here are GPL-only (`bpf_probe_read_user`).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier rejects a program that could panic.
    loop {}
}

//! Sockets on which one process sends, which is nearly all of them: found by their address without a look-up in a
//! hash table, of which a send would take two.
//!
//! A socket that finds its place taken by another one has none, and what it sends is remembered by thread.

use probe_abi::MAX_SENDERS;

use super::socket::Socket;
use crate::{
    count::{compare_exchange, exchange},
    layout,
    maps::SENDERS,
    values::{Bound, Sender},
};

/// What a place holds instead of an address, while it is being filled. No address is as low.
const FILLING: u64 = 1;

/// Where a socket is, if it is anywhere: the upper bits of a product with 2^64 divided by the golden ratio, which
/// spreads addresses that are a multiple apart.
#[inline(always)]
fn place(socket: Socket) -> Option<*mut Sender> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let index = number(socket).wrapping_mul(GOLDEN) >> (u64::BITS - MAX_SENDERS.trailing_zeros());
    SENDERS.get_ptr_mut(index as u32)
}

/// A socket's address as a number to compute with, which the verifier does not let pointers be: how far it is from
/// something that stays where it is.
#[inline(always)]
fn number(Socket(mut number): Socket) -> u64 {
    // SAFETY: a subtraction.
    unsafe {
        core::arch::asm!(
            "{0} -= {1}",
            inout(reg) number,
            in(reg) layout::address(),
            options(pure, nomem, nostack),
        );
    }
    number
}

/// What is kept of a socket that has a place.
#[inline(always)]
pub fn get(socket: Socket) -> Option<*mut Sender> {
    // SAFETY: an aligned word; what is there is this socket's as long as that is there.
    place(socket)
        .filter(|sender| unsafe { (&raw const (**sender).socket).read_volatile() } == socket.0)
}

/// Gives a socket its place, unless another one has it. For programs of Linux 5.12 and newer.
#[inline(always)]
pub fn settle(socket: Socket, bound: &Bound) {
    let Some(sender) = place(socket) else {
        return;
    };
    // SAFETY: a map's value. Whoever puts `FILLING` there is alone with the rest until it takes that away.
    unsafe {
        let socket_here = &raw mut (*sender).socket;
        let before = socket_here.read_volatile();
        // One with the same address is gone, though nobody told, or the connection was begun anew.
        let is_old = before == socket.0
            && (*sender).bound.connection != bound.connection
            && (*sender).mover == 0;
        let is_free = before == 0 || is_old;
        if !is_free || compare_exchange(socket_here, before, FILLING) != before {
            return;
        }
        (*sender).bound = *bound;
        (*sender).is_shared = 0;
        (*sender).mover = 0;
        (*sender).settled = 0;
        exchange(socket_here, socket.0);
    }
}

/// A socket is gone: the connection that it had, if it has a place; else 0.
#[inline(always)]
pub fn gone(socket: Socket) -> u64 {
    let Some(sender) = get(socket) else {
        return 0;
    };
    // SAFETY: aligned words. Nobody sends on a socket that is gone.
    unsafe {
        let connection = (*sender).bound.connection;
        (*sender).mover = 0;
        (&raw mut (*sender).socket).write_volatile(0);
        connection
    }
}

/// What the current thread sends is told, or is remembered elsewhere: from now on another thread may remember here
/// what it sends. For programs of Linux 5.12 and newer.
#[inline(always)]
pub fn give_up(sender: *mut Sender) {
    // SAFETY: a map's value.
    unsafe { exchange(&raw mut (*sender).mover, 0) }
}

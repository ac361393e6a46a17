//! Connections begin: a socket connects, or one is accepted.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::{bpf_get_smp_processor_id, bpf_probe_read_user},
};
use aya_log_ebpf::debug;
use probe_abi::{Connection, FdEntry, FdKey, OpenRecord, connection_id, kind, loss, origin, place};

use crate::{
    address::read_address,
    call::socket,
    count::fetch_add,
    emit::{control, count_loss, header},
    maps::{BEGUN, CONNECTIONS, FDS, FREE_PLACES, NOT_STREAMS},
    values::Call,
};

/// Source: include/linux/net.h, include/linux/socket.h.
const SOCK_TYPE_MASK: u64 = 0xf;
const SOCK_STREAM: u64 = 1;
const AF_UNIX: i32 = 1;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

/// Result of a `connect` that goes on in the background, and of one that was interrupted and does.
const EINPROGRESS: i64 = -115;
const EINTR: i64 = -4;

/// Bits of the count in a new number.
const COUNT_BITS: u32 = 33;

/// A new number for a connection or a file, of at most 47 bits: the CPU and a count, so that no two CPUs give the
/// same one.
pub fn new_number() -> Option<u64> {
    let counter = BEGUN.get_ptr_mut(0)?;
    // In one step: a program may be preempted by another one on its CPU.
    // SAFETY: a map's value.
    let count = unsafe { fetch_add(counter, 1)? };
    // SAFETY: no argument, no side effect.
    let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
    Some(((cpu + 1) << COUNT_BITS) | (count & ((1 << COUNT_BITS) - 1)))
}

/// What is kept of a connection; `None` where nobody wants it any more. No look-up in a hash table: one takes
/// some 50 ns.
#[inline(always)]
pub fn state(connection: u64) -> Option<*mut Connection> {
    let state = CONNECTIONS.get_ptr_mut(place(connection))?;
    // SAFETY: an aligned word of a value that lives as long as the program runs.
    let id = unsafe { (&raw const (*state).id).read_volatile() };
    (id == connection && id != 0).then_some(state)
}

/// Takes a connection away that was made a moment ago, and that nobody was told of.
pub fn forget(connection: u64) {
    if let Some(state) = state(connection) {
        // SAFETY: as in `state`.
        unsafe { (*state).id = 0 }
        // There is room for every place.
        let _full = FREE_PLACES.push(place(connection), 0);
    }
}

/// Gives a descriptor its connection; false when a map is full.
pub fn attach(files: u32, fd: i32, connection: u64) -> bool {
    let stored = FDS.insert(
        FdKey { files, fd },
        FdEntry { connection },
        u64::from(BPF_ANY),
    );
    if stored.is_err() {
        count_loss(loss::MAP_FULL);
    }
    stored.is_ok()
}

/// Makes a connection; `None` when no place is free.
pub fn create() -> Option<u64> {
    let number = new_number()?;
    let Ok(Some(place)) = FREE_PLACES.pop() else {
        count_loss(loss::MAP_FULL);
        return None;
    };
    let id = connection_id(number, place);
    let state = CONNECTIONS.get_ptr_mut(place)?;
    // Word by word: together the compiler makes a loop of single bytes of it.
    // SAFETY: a map's value; nobody else has this place, or knows the id.
    unsafe {
        for offset in &mut (*state).offset {
            core::ptr::from_mut(offset).write_volatile(0);
        }
        (&raw mut (*state).inode).write_volatile(0);
        (&raw mut (*state).refused).write_volatile(0);
        (&raw mut (*state).id).write_volatile(id);
    }
    Some(id)
}

/// Begins a connection on a descriptor; `None` when a map is full.
pub fn start(files: u32, fd: i32) -> Option<u64> {
    let connection = create()?;
    if !attach(files, fd, connection) {
        forget(connection);
        return None;
    }
    Some(connection)
}

/// `socket` returned: whether a `connect` on the descriptor will make a connection is known.
#[inline(always)]
pub fn made(call: &Call, result: i64) {
    let family = call.fd;
    let stream = call.args[0] & SOCK_TYPE_MASK == SOCK_STREAM;
    if result < 0 {
        return;
    }
    let key = FdKey {
        files: call.files,
        fd: result as i32,
    };
    if stream && (family == AF_INET || family == AF_INET6 || family == AF_UNIX) {
        // Absent unless the number was another socket's.
        let _absent = NOT_STREAMS.remove(key);
    } else {
        // Full is not possible: the least recently used goes.
        let _full = NOT_STREAMS.insert(key, 1, u64::from(BPF_ANY));
    }
}

/// `connect` returned.
#[inline(always)]
pub fn connected<C: EbpfContext>(ctx: &C, call: &Call, result: i64) {
    if result != 0 && result != EINPROGRESS && result != EINTR {
        return;
    }
    let key = FdKey {
        files: call.files,
        fd: call.fd,
    };
    // A second call asks how the first one ended.
    if socket(call.files, call.fd).is_some() || NOT_STREAMS.get_ptr(key).is_some() {
        return;
    }
    let Some(connection) = start(call.files, call.fd) else {
        return;
    };
    debug!(ctx, "descriptor {} connects", call.fd);
    let mut record = open_record(call, connection, call.fd, -1, result, origin::CONNECTED);
    read_address(&mut record, call.args[0], call.args[1] as u32);
    control(&record);
}

/// `accept` returned.
#[inline(always)]
pub fn accepted<C: EbpfContext>(ctx: &C, call: &Call, result: i64) {
    if result < 0 {
        return;
    }
    let fd = result as i32;
    let Some(connection) = start(call.files, fd) else {
        return;
    };
    debug!(ctx, "descriptor {} accepted on descriptor {}", fd, call.fd);
    let mut record = open_record(call, connection, fd, call.fd, result, origin::ACCEPTED);
    if call.args[1] != 0 {
        // SAFETY: a failing read leaves the address unknown.
        let length = unsafe { bpf_probe_read_user(call.args[1] as *const u32) };
        read_address(&mut record, call.args[0], length.unwrap_or(0));
    }
    control(&record);
}

/// `accept` returned in a thread whose entry was not seen: address and listener are unknown.
#[inline(always)]
pub fn accepted_unseen<C: EbpfContext>(ctx: &C, files: u32, fd: i32) {
    let Some(connection) = start(files, fd) else {
        return;
    };
    debug!(ctx, "descriptor {} accepted", fd);
    let header = header::<OpenRecord>(kind::OPEN);
    control(&OpenRecord {
        header,
        connection,
        enter_ns: header.time_ns,
        fd,
        files,
        result: fd,
        origin: origin::ACCEPTED,
        ..OpenRecord::default()
    });
}

#[inline(always)]
fn open_record(
    call: &Call,
    connection: u64,
    fd: i32,
    listener: i32,
    result: i64,
    origin: u8,
) -> OpenRecord {
    OpenRecord {
        header: header::<OpenRecord>(kind::OPEN),
        connection,
        enter_ns: call.enter_ns,
        fd,
        listener,
        result: result as i32,
        files: call.files,
        origin,
        ..OpenRecord::default()
    }
}

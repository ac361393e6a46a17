//! Connections begin, get further descriptors, and end.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    helpers::{bpf_get_smp_processor_id, bpf_probe_read_user, generated},
};
use aya_log_ebpf::debug;
use probe_abi::{
    CloseRecord, Connection, DupRecord, EndRecord, FdEntry, FdKey, OpenRecord, ProcessRecord,
    SOCKADDR_BYTES, direction, kind, loss, origin,
};

use crate::{
    call::{Call, socket},
    emit::{control, count_loss, header},
    maps::{BEGUN, CONNECTIONS, FDS, NOT_STREAMS},
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

/// `SHUT_WR` and `SHUT_RDWR`.
const SHUT_WR: u64 = 1;

/// A new connection id: the CPU and a count, so that no two CPUs give the same one.
fn new_id() -> Option<u64> {
    let counter = BEGUN.get_ptr_mut(0)?;
    // SAFETY: this CPU's value; preemption is off in a tracepoint.
    let count = unsafe {
        *counter += 1;
        *counter
    };
    // SAFETY: no argument, no side effect.
    let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
    Some(((cpu + 1) << 40) | count)
}

/// Gives a descriptor its connection; false when a map is full.
fn attach(files: u32, fd: i32, connection: u64) -> bool {
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

/// Begins a connection on a descriptor; `None` when a map is full.
fn start(files: u32, fd: i32) -> Option<u64> {
    let connection = new_id()?;
    if CONNECTIONS
        .insert(
            connection,
            Connection { offset: [0; 2] },
            u64::from(BPF_ANY),
        )
        .is_err()
    {
        count_loss(loss::MAP_FULL);
        return None;
    }
    if !attach(files, fd, connection) {
        // It was put there a moment ago.
        let _gone = CONNECTIONS.remove(connection);
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

/// Copies the peer's address from user memory; leaves it unknown when that fails.
#[inline(always)]
fn read_address(record: &mut OpenRecord, address: u64, length: u32) {
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

/// `close` was entered. At the return another thread may already have the number again.
#[inline(always)]
pub fn close(files: u32, fd: i32) {
    let Some(entry) = socket(files, fd) else {
        return;
    };
    detach(files, fd, entry.connection);
}

/// Takes a descriptor away from its connection and says so.
#[inline(always)]
fn detach(files: u32, fd: i32, connection: u64) {
    // It was there a moment ago; another thread's close may have been faster.
    let _gone = FDS.remove(FdKey { files, fd });
    // SAFETY: two aligned words; the offsets only tell how far the streams got.
    let offset = unsafe {
        CONNECTIONS
            .get_ptr(connection)
            .map_or([0; 2], |state| (*state).offset)
    };
    control(&CloseRecord {
        header: header::<CloseRecord>(kind::CLOSE),
        connection,
        offset,
        files,
        fd,
    });
}

/// `dup`, `dup2`, `dup3` or `fcntl(F_DUPFD…)` returned.
#[inline(always)]
pub fn duplicated(call: &Call, result: i64) {
    let fd = result as i32;
    if result < 0 || fd == call.fd {
        return;
    }
    // What `dup2` replaced is closed.
    if let Some(replaced) = socket(call.files, fd) {
        detach(call.files, fd, replaced.connection);
    }
    if call.connection != 0 && attach(call.files, fd, call.connection) {
        control(&DupRecord {
            header: header::<DupRecord>(kind::DUP),
            connection: call.connection,
            files: call.files,
            fd,
        });
    }
}

/// `close_range` was entered: the agent looks what is left.
#[inline(always)]
pub fn descriptors_changed(files: u32) {
    let header = header::<ProcessRecord>(kind::FDS_CHANGED);
    control(&ProcessRecord {
        header,
        parent: 0,
        files,
        shared_files: 0,
        pad: 0,
    });
}

/// `shutdown` returned.
#[inline(always)]
pub fn shut_down(call: &Call, result: i64) {
    if result == 0 && call.connection != 0 && call.args[0] >= SHUT_WR {
        ended(
            kind::SHUTDOWN,
            call.connection,
            direction::SENT,
            call.args[0] as i32,
        );
    }
}

/// One direction of a connection ended, or the connection failed.
#[inline(always)]
pub fn ended(kind: u16, connection: u64, direction: u8, detail: i32) {
    // SAFETY: two aligned words; the offset only tells how far the stream got.
    let offset = unsafe {
        CONNECTIONS
            .get_ptr(connection)
            .map_or(0, |state| (*state).offset[usize::from(direction & 1)])
    };
    control(&EndRecord {
        header: header::<EndRecord>(kind),
        connection,
        offset,
        detail,
        direction,
        pad: [0; 3],
    });
}

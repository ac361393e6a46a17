//! Descriptors of connections: closed, duplicated; and the end of a direction.

use probe_abi::{CloseRecord, DupRecord, EndRecord, FdKey, ProcessRecord, direction, kind};

use crate::{
    buffers::holds_descriptors,
    call::socket,
    connection::{self, attach},
    emit::{control, header, urgent},
    layout::layout,
    maps::FDS,
    values::Call,
};

/// `SHUT_WR` and `SHUT_RDWR`.
const SHUT_WR: u64 = 1;

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
    let offset = unsafe { connection::state(connection).map_or([0; 2], |state| (*state).offset) };
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
    if call.connection != 0 {
        duplicate(call.connection, call.files, fd);
    }
}

/// Gives a connection another descriptor and says so.
#[inline(always)]
pub fn duplicate(connection: u64, files: u32, fd: i32) {
    if attach(files, fd, connection) {
        control(&DupRecord {
            header: header::<DupRecord>(kind::DUP),
            connection,
            files,
            fd,
        });
    }
}

/// Descriptors changed: the agent looks what is there.
#[inline(always)]
pub fn changed(files: u32) {
    let header = header::<ProcessRecord>(kind::FDS_CHANGED);
    // What they move before the agent has looked is not seen.
    urgent(&ProcessRecord {
        header,
        parent: 0,
        files,
        shared_files: 0,
        pad: 0,
    });
}

/// `recvmsg` returned, on a stream of the process or on anything else: what descriptors it brought
/// the agent looks for.
#[inline(always)]
pub fn passed(call: &Call, result: i64) {
    if layout!(files_table) != 0 {
        // Hooks of sockets need no descriptors.
        return;
    }
    if result >= 0 && holds_descriptors(call.args[0]) {
        changed(call.files);
    }
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
        connection::state(connection).map_or(0, |state| (*state).offset[usize::from(direction & 1)])
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

//! Which connection a socket is. A socket is known by its cookie, which no other one ever has, however
//! many descriptors and processes it has.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock, bpf_skc_to_unix_sock},
};
use probe_abi::{CloseRecord, OpenRecord, Process, kind, origin};

use crate::{
    call, connection,
    descriptor::duplicate,
    emit::{control, header, urgent},
    maps::{CONNECTIONS, ORIGINS, SOCKETS},
};

/// A `struct sock` as a tracepoint gave it.
pub struct Socket(pub *const c_void);

impl Socket {
    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the tracepoint's own argument, which the verifier knows as a socket.
        unsafe { bpf_get_socket_cookie(self.0.cast_mut().cast()) }
    }

    #[inline(always)]
    fn is_tcp(&self) -> bool {
        // SAFETY: as above.
        unsafe { !bpf_skc_to_tcp_sock(self.0.cast_mut().cast()).is_null() }
    }

    #[inline(always)]
    fn is_unix(&self) -> bool {
        // SAFETY: as above.
        unsafe { !bpf_skc_to_unix_sock(self.0.cast_mut().cast()).is_null() }
    }
}

/// The connection of a socket on which a process moves bytes; begins one where it has none. `None` where
/// the socket is no stream, or a map is full.
#[inline(always)]
pub fn connection(process: &Process, fd: i32, socket: &Socket, enter_ns: u64) -> Option<u64> {
    let cookie = socket.cookie();
    let files = process.files;
    // 0 for none. No `Option`: whether there is one and which it is would be compared at once, and what
    // is not there is nothing that may be read.
    let known = call::socket(files, fd).map_or(0, |entry| entry.connection);
    // SAFETY: one aligned word.
    if let Some(bound) = SOCKETS.get_ptr(cookie).map(|bound| unsafe { *bound }) {
        // One that nobody wants any more has no state left, and keeps its descriptor.
        if fd < 0 || known == bound {
            return Some(bound);
        }
        if CONNECTIONS.get_ptr(bound).is_some() {
            // A number that another connection has may be that one's again: this call is older.
            if known == 0 {
                duplicate(bound, files, fd);
            }
            return Some(bound);
        }
    }
    let is_tcp = socket.is_tcp();
    if !is_tcp && !socket.is_unix() {
        return None;
    }
    let begun = match ORIGINS.get_ptr(socket.0 as u64) {
        // SAFETY: the entry is written once, before the socket can move bytes.
        Some(begun) if unsafe { (*begun).established_ns } >= process.since_ns => Some(begun),
        _ => None,
    };
    // What the agent found on the descriptor is this socket, unless it is another one's by now.
    if begun.is_none() && known != 0 && bind(known, cookie) {
        return Some(known);
    }
    // One that no call names gets a number that no descriptor has.
    let fd = if fd < 0 { cookie as i32 | i32::MIN } else { fd };
    let connection = connection::start(files, fd)?;
    if !bind(connection, cookie) {
        return None;
    }
    let mut record = OpenRecord {
        header: header::<OpenRecord>(kind::OPEN),
        connection,
        enter_ns,
        fd,
        files,
        origin: if is_tcp {
            origin::LATE
        } else {
            origin::UNKNOWN
        },
        ..OpenRecord::default()
    };
    if let Some(begun) = begun {
        // SAFETY: as above.
        unsafe {
            record.origin = (*begun).origin as u8;
            record.address_length = (*begun).length as u16;
            let to = record.address.as_mut_ptr().cast::<[u8; 28]>();
            to.write_unaligned((*begun).address);
        }
    }
    // The agent asks the socket who it is, and it may not be there for long.
    urgent(&record);
    Some(connection)
}

/// Gives a connection its socket; false where it has another one, or is not there any more.
#[inline(always)]
fn bind(connection: u64, cookie: u64) -> bool {
    let Some(state) = CONNECTIONS.get_ptr_mut(connection) else {
        return false;
    };
    // SAFETY: an aligned word of a value that lives as long as the program runs. Two threads that are the
    // first on one socket each begin a connection: the last one has the socket.
    let owner = unsafe { (*state).socket };
    if owner != 0 && owner != cookie {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*state).socket = cookie };
    // Full is not possible: the least recently used goes.
    let _full = SOCKETS.insert(cookie, connection, u64::from(BPF_ANY));
    true
}

/// A socket is gone, whoever had it.
#[inline(always)]
pub fn gone(socket: &Socket) {
    let cookie = socket.cookie();
    // SAFETY: one aligned word.
    let Some(connection) = SOCKETS.get_ptr(cookie).map(|bound| unsafe { *bound }) else {
        return;
    };
    let _gone = SOCKETS.remove(cookie);
    // SAFETY: two aligned words; the offsets only tell how far the streams got.
    let offset = unsafe {
        CONNECTIONS
            .get_ptr(connection)
            .map_or([0; 2], |state| (*state).offset)
    };
    control(&CloseRecord {
        header: header::<CloseRecord>(kind::SOCKET_CLOSED),
        connection,
        offset,
        files: 0,
        fd: -1,
    });
}

//! Files are opened: those under a model root are followed, and those whose path is relative, which
//! the agent completes.

use aya_ebpf::{helpers::generated, maps::lpm_trie::Key};
use probe_abi::{FileOpenRecord, PATH_BYTES, ROOT_BYTES, call, kind, loss};

use crate::{
    call::begin,
    connection::new_number,
    emit::{count_loss, filled, header, output},
    file::follow,
    maps::{MODEL_ROOTS, PATH},
    payload::opaque,
    values::{Call, PathScratch},
};

/// Path that starts at the current folder. Source: include/uapi/linux/fcntl.h.
const AT_FDCWD: i32 = -100;

/// `open` was entered.
#[inline(always)]
pub fn opening(number: u32, files: u32, path: u64) {
    begin(call::OPEN, number, files, 0, AT_FDCWD, [path, 0, 0]);
}

/// `openat` or `openat2` was entered.
#[inline(always)]
pub fn opening_at(number: u32, files: u32, folder: i32, path: u64) {
    begin(call::OPEN, number, files, 0, folder, [path, 0, 0]);
}

/// A file was opened. Its path is read now: at the entry it may not be in memory yet.
#[inline(always)]
pub fn opened(call: &Call, result: i64) {
    if result < 0 {
        return;
    }
    let Some(scratch) = PATH.get_ptr_mut(0) else {
        return;
    };
    let Some(length) = read_path(scratch, call.args[0]) else {
        return;
    };
    if !is_wanted(scratch) {
        return;
    }
    let fd = result as i32;
    let Some(file) = new_number() else { return };
    follow(call.files, fd, file);
    // SAFETY: this CPU's value; preemption is off in a tracepoint.
    let record = unsafe { &mut (*scratch).record };
    let mut header = header::<FileOpenRecord>(kind::FILE_OPEN);
    header.size += length;
    *record = FileOpenRecord {
        header,
        file,
        enter_ns: call.enter_ns,
        files: call.files,
        fd,
        folder: call.fd,
        length,
    };
    let size = size_of::<FileOpenRecord>() as u64 + u64::from(length);
    // SAFETY: record and path are adjacent, and `length` is at most `PATH_BYTES`.
    if !unsafe { output(scratch.cast_const().cast(), size, filled()) } {
        count_loss(loss::RING_FULL_CONTROL);
    }
}

/// Reads a path; its length without the final zero.
#[inline(always)]
fn read_path(scratch: *mut PathScratch, path: u64) -> Option<u32> {
    // SAFETY: the buffer has `PATH_BYTES`.
    let read = unsafe {
        generated::bpf_probe_read_user_str(
            (&raw mut (*scratch).path).cast(),
            PATH_BYTES as u32,
            path as *const _,
        )
    };
    if read <= 0 {
        count_loss(loss::READ_FAULT);
        return None;
    }
    let length = read as u32 - 1;
    // A longer path is cut: what it ends in is not known.
    if length >= PATH_BYTES as u32 - 1 {
        count_loss(loss::CAPTURE_LIMIT);
        return None;
    }
    Some(opaque(length) & (PATH_BYTES as u32 - 1))
}

/// Whether a path lies under a model root, or may: only the agent knows where a relative one starts.
#[inline(always)]
fn is_wanted(scratch: *mut PathScratch) -> bool {
    // SAFETY: this CPU's value; the first part of the path has `ROOT_BYTES`.
    unsafe {
        if (*scratch).path[0] != b'/' {
            return true;
        }
        (*scratch).key.bits = ROOT_BYTES as u32 * 8;
        let start = (&raw const (*scratch).path).cast::<[u8; ROOT_BYTES]>();
        (*scratch).key.path = start.read();
        let key = (&raw const (*scratch).key).cast::<Key<[u8; ROOT_BYTES]>>();
        MODEL_ROOTS.get(&*key).is_some()
    }
}

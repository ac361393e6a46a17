//! Files under model roots: read, mapped, duplicated, closed.
//!
//! Nothing here runs unless the agent has model roots: [`follows`] is a constant by then, and the
//! verifier drops what it excludes. Contents are never read; a record tells how many bytes a process
//! read of a file and when.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
};
use probe_abi::{FILE_REPORT_NS, FdKey, FileEntry, FileRecord, call, kind};

use crate::{
    call::begin,
    count::fetch_add,
    emit::{control, header},
    maps::{FILES, MAPPINGS},
    values::{Call, Mapping},
};

/// Set by the agent before the programs are loaded.
#[unsafe(no_mangle)]
static FOLLOWS_FILES: u32 = 0;

/// `mmap` without a file. Source: include/uapi/asm-generic/mman-common.h.
const MAP_ANONYMOUS: u64 = 0x20;

/// Whether files are followed at all.
#[inline(always)]
pub fn follows() -> bool {
    // SAFETY: a constant of the program; volatile, because it is not the one compiled here.
    unsafe { (&raw const FOLLOWS_FILES).read_volatile() != 0 }
}

/// The file behind a descriptor, if it is followed.
#[inline(always)]
fn entry(files: u32, fd: i32) -> Option<*mut FileEntry> {
    FILES.get_ptr_mut(FdKey { files, fd })
}

/// A file's id, if the descriptor is a followed file's.
#[inline(always)]
fn id(files: u32, fd: i32) -> Option<u64> {
    // SAFETY: an aligned word that is written once.
    entry(files, fd).map(|entry| unsafe { (*entry).file })
}

/// A read was entered on a descriptor that is no socket.
#[inline(always)]
pub fn reading(number: u32, files: u32, fd: i32) {
    if follows()
        && let Some(file) = id(files, fd)
    {
        begin(call::FILE_READ, number, files, file, fd, [0; 3]);
    }
}

/// A read of a file returned: counted, and told at most once in [`FILE_REPORT_NS`].
#[inline(always)]
pub fn read(call: &Call, result: i64) {
    let Some(entry) = entry(call.files, call.fd).filter(|_| result > 0) else {
        return;
    };
    // SAFETY: the value lives as long as the program runs; its words are aligned. Two threads that
    // read at once may both report.
    unsafe {
        if (*entry).file != call.connection {
            return;
        }
        let now = bpf_ktime_get_ns();
        let _sum = fetch_add(&raw mut (*entry).bytes, result as u64);
        (*entry).last_ns = now;
        if now - (*entry).reported_ns >= FILE_REPORT_NS {
            (*entry).reported_ns = now;
            tell(kind::FILE_READ, &*entry, call.files, call.fd);
        }
    }
}

/// `mmap` was entered with these arguments.
#[inline(always)]
pub fn mapping(number: u32, files: u32, args: [u64; 5]) {
    let [_address, length, _protection, flags, fd] = args;
    let fd = fd as i32;
    if flags & MAP_ANONYMOUS == 0
        && let Some(file) = id(files, fd)
    {
        begin(call::MAP, number, files, file, fd, [length, 0, 0]);
    }
}

/// `mmap` of a file returned an address, or minus `errno`.
#[inline(always)]
pub fn mapped(call: &Call, result: i64) {
    // Addresses of user memory are below half of all.
    if result <= 0 {
        return;
    }
    let _full = MAPPINGS.insert(here(result as u64), call.connection, u64::from(BPF_ANY));
    control(&FileRecord {
        header: header::<FileRecord>(kind::FILE_MAP),
        file: call.connection,
        bytes: call.args[0],
        last_ns: 0,
        files: call.files,
        fd: call.fd,
    });
}

/// `munmap` was entered: a mapping that is taken away from its start is not needed any more.
#[inline(always)]
pub fn unmapping(files: u32, address: u64) {
    let mapping = here(address);
    // SAFETY: an aligned word that is written once.
    let Some(file) = (unsafe { MAPPINGS.get_ptr(mapping).map(|file| *file) }) else {
        return;
    };
    // It was there a moment ago.
    let _gone = MAPPINGS.remove(mapping);
    control(&FileRecord {
        header: header::<FileRecord>(kind::FILE_UNMAP),
        file,
        bytes: 0,
        last_ns: 0,
        files,
        fd: -1,
    });
}

/// `close` was entered on a descriptor that is no socket.
#[inline(always)]
pub fn close(files: u32, fd: i32) {
    if !follows() {
        return;
    }
    let Some(entry) = entry(files, fd) else {
        return;
    };
    // SAFETY: the value lives as long as the program runs, also when it is taken out of the map.
    unsafe { tell(kind::FILE_CLOSE, &*entry, files, fd) };
    // It was there a moment ago; another thread's close may have been faster.
    let _gone = FILES.remove(FdKey { files, fd });
}

/// A descriptor that is no socket is to be duplicated, onto `onto` where the caller says so.
#[inline(always)]
pub fn duplicating(number: u32, files: u32, fd: i32, onto: Option<i32>) {
    if !follows() {
        return;
    }
    if let Some(onto) = onto.filter(|onto| *onto != fd) {
        close(files, onto);
    }
    if let Some(file) = id(files, fd) {
        begin(call::FILE_DUP, number, files, file, fd, [0; 3]);
    }
}

/// A file got another descriptor. What was read through the first one stays its own.
#[inline(always)]
pub fn duplicated(call: &Call, result: i64) {
    let fd = result as i32;
    if result < 0 || fd == call.fd {
        return;
    }
    follow(call.files, fd, call.connection);
    control(&FileRecord {
        header: header::<FileRecord>(kind::FILE_DUP),
        file: call.connection,
        bytes: 0,
        last_ns: 0,
        files: call.files,
        fd,
    });
}

/// Gives a file a descriptor.
#[inline(always)]
pub fn follow(files: u32, fd: i32, file: u64) {
    let entry = FileEntry {
        file,
        ..FileEntry::default()
    };
    // Full is not possible: the least recently used goes.
    let _full = FILES.insert(FdKey { files, fd }, entry, u64::from(BPF_ANY));
}

/// Tells how far a descriptor was read.
#[inline(always)]
fn tell(kind: u16, entry: &FileEntry, files: u32, fd: i32) {
    control(&FileRecord {
        header: header::<FileRecord>(kind),
        file: entry.file,
        bytes: entry.bytes,
        last_ns: entry.last_ns,
        files,
        fd,
    });
}

#[inline(always)]
fn here(address: u64) -> Mapping {
    Mapping {
        address,
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        pad: 0,
    }
}

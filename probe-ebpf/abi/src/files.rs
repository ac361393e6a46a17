//! Files under model roots: what their maps hold, and their records.

use crate::{PATH_BYTES, ROOT_BYTES, RecordHeader};

/// Key of `MODEL_ROOTS`, a trie of prefixes: the start of a path.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKey {
    /// Bits of `path` that count.
    pub bits: u32,
    /// The path's first bytes, then zeros.
    pub path: [u8; ROOT_BYTES],
}

/// Value of `FILES`: a descriptor of a file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// File id: one for each `open`.
    pub file: u64,
    /// Bytes read through this descriptor.
    pub bytes: u64,
    /// When the last read returned; 0 before the first one.
    pub last_ns: u64,
    /// When reads were last reported.
    pub reported_ns: u64,
}

/// A file was opened. `length` bytes of its path follow, without a final zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOpenRecord {
    /// Kind `FILE_OPEN`.
    pub header: RecordHeader,
    /// File id.
    pub file: u64,
    /// When the call was entered.
    pub enter_ns: u64,
    /// Descriptor table of the process.
    pub files: u32,
    /// File descriptor.
    pub fd: i32,
    /// Descriptor of the folder that a relative path starts from, or `AT_FDCWD`.
    pub folder: i32,
    /// Bytes of path that follow.
    pub length: u32,
}

/// A file was read, mapped, unmapped, duplicated or closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRecord {
    /// Kind `FILE_READ`, `FILE_MAP`, `FILE_UNMAP`, `FILE_DUP` or `FILE_CLOSE`.
    pub header: RecordHeader,
    /// File id.
    pub file: u64,
    /// Bytes read through the descriptor so far; bytes mapped, for `FILE_MAP`.
    pub bytes: u64,
    /// When its last read returned (0 before the first one), for `FILE_READ` and `FILE_CLOSE`.
    pub last_ns: u64,
    /// Descriptor table of the process.
    pub files: u32,
    /// File descriptor; -1 for `FILE_UNMAP`.
    pub fd: i32,
}

const _: () = assert!(size_of::<PathKey>() == 4 + ROOT_BYTES);
const _: () = assert!(size_of::<FileEntry>() == 32);
const _: () = assert!(size_of::<FileOpenRecord>() == 56);
const _: () = assert!(size_of::<FileRecord>() == 56);
const _: () = assert!(PATH_BYTES.is_power_of_two() && PATH_BYTES >= ROOT_BYTES);

//! Which files a process has mapped to run code from.
//!
//! Read from `/proc/<pid>/maps` byte by byte: the paths in it are the watched process's own, and may
//! hold anything.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// Bytes of `/proc/<pid>/maps` that are read: `vm.max_map_count` is 65 530 by default, and a line has
/// some hundred bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes of `/proc/<pid>/status` that are read: it has about 1.5 KB.
const MAX_STATUS_BYTES: u64 = 16 * 1024;

/// A file, whatever its path: device and inode as `/proc/<pid>/maps` has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    device: String,
    inode: u64,
}

/// A file mapped to run code from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) file: FileId,
    /// As the process sees it, without the mark of a deleted file.
    pub(super) path: String,
    /// Address range of the mapping, as its link in `map_files` is called.
    range: String,
}

impl Mapped {
    /// Where this agent can open the very file: the mapping's own link, which holds across mount
    /// namespaces and after deletion, but needs `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN`; else its
    /// path under the process's root, if the same inode is there.
    pub(super) fn open_path(&self, pid: u32) -> Option<PathBuf> {
        let link = PathBuf::from(format!("/proc/{pid}/map_files/{}", self.range));
        if fs::File::open(&link).is_ok() {
            return Some(link);
        }
        let below = Path::new(&self.path).strip_prefix("/").ok()?;
        let path = Path::new("/proc").join(pid.to_string()).join("root");
        let path = path.join(below);
        let metadata = fs::metadata(&path).ok()?;
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        (inode == self.file.inode).then_some(path)
    }
}

/// Files that a process has mapped executable, each once.
pub(super) fn executable_files(pid: u32) -> io::Result<Vec<Mapped>> {
    let file = fs::File::open(format!("/proc/{pid}/maps"))?;
    let mut files = Vec::new();
    let mut known = HashSet::new();
    for line in BufReader::new(file.take(MAX_BYTES)).split(b'\n') {
        if let Some(mapped) = parse(line?)
            && known.insert(mapped.file.clone())
        {
            files.push(mapped);
        }
    }
    Ok(files)
}

/// One line: `start-end perms offset device inode path`. `None` for anything but a mapping of a file
/// to run code from.
fn parse(line: Vec<u8>) -> Option<Mapped> {
    let line = OsString::from_vec(line);
    let line = line.to_string_lossy();
    let mut rest: &str = &line;
    let mut field = || {
        let (field, after) = rest.split_once(' ')?;
        rest = after;
        Some(field)
    };
    let range = field()?;
    let permissions = field()?;
    let _offset = field()?;
    let device = field()?;
    let inode = field()?.parse().ok()?;
    let path = rest.trim_start();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let is_range = range
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !permissions.contains('x') || inode == 0 || !path.starts_with('/') || !is_range {
        return None;
    }
    Some(Mapped {
        file: FileId {
            device: device.to_owned(),
            inode,
        },
        path: path.to_owned(),
        range: range.to_owned(),
    })
}

/// Kilobytes of code that a process has mapped, `VmExe` and `VmLib` of `/proc/<pid>/status`: they
/// change when a library is loaded or unloaded, and cost a fraction of the maps to read. `None` when
/// the process is gone.
pub(super) fn code_size(pid: u32) -> Option<u64> {
    let mut status = String::new();
    let file = fs::File::open(format!("/proc/{pid}/status")).ok()?;
    file.take(MAX_STATUS_BYTES)
        .read_to_string(&mut status)
        .ok()?;
    let size = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().split(' ').next()?.parse().ok()
    };
    Some(size("VmExe:")?.saturating_add(size("VmLib:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(line: &[u8]) -> Option<String> {
        parse(line.to_vec()).map(|mapped| mapped.path)
    }

    #[test]
    fn executable_mapping_of_a_file_is_read() {
        let line =
            b"7f2b1c000000-7f2b1c007000 r-xp 00003000 fd:01 4242              /a b/_webrtcvad.so";
        let mapped = parse(line.to_vec()).unwrap();
        assert_eq!(mapped.path, "/a b/_webrtcvad.so");
        assert_eq!(mapped.range, "7f2b1c000000-7f2b1c007000");
        let file = FileId {
            device: "fd:01".to_owned(),
            inode: 4242,
        };
        assert_eq!(mapped.file, file);
        let gone = b"1-2 r-xp 0 fd:01 7 /lib.so (deleted)";
        assert_eq!(path(gone).as_deref(), Some("/lib.so"));
    }

    #[test]
    fn other_mappings_and_garbage_are_left_out() {
        for line in [
            b"1-2 rw-p 0 fd:01 7 /lib.so".as_slice(),
            b"1-2 r-xp 0 00:00 0 ",
            b"1-2 r-xp 0 00:00 0 [vdso]",
            b"1-2 r-xp 0 fd:01 x /lib.so",
            b"../../1 r-xp 0 fd:01 7 /lib.so",
            b"",
            b"r-xp",
            b"\xff\xfe 0 \x00",
        ] {
            assert_eq!(path(line), None, "{}", String::from_utf8_lossy(line));
        }
        let odd = b"1-2 r-xp 0 fd:01 7 /SYSV\xff";
        assert!(path(odd).is_some(), "a file may be called anything");
    }

    #[test]
    fn own_program_is_found_and_can_be_opened() {
        let pid = std::process::id();
        let own = fs::read_link("/proc/self/exe").unwrap();
        let files = executable_files(pid).unwrap();
        let program = files
            .iter()
            .find(|mapped| Path::new(&mapped.path) == own)
            .unwrap();
        let opened = fs::read(program.open_path(pid).unwrap()).unwrap();
        assert!(opened.starts_with(b"\x7fELF"));
        // Without the mapping's link, as without the privilege for it: by its path, if it is the file.
        let unlinked = Mapped {
            range: "0-1".to_owned(),
            ..program.clone()
        };
        let path = unlinked.open_path(pid).unwrap();
        assert!(path.starts_with(format!("/proc/{pid}/root")));
        let mut other = unlinked;
        other.file.inode += 1;
        assert_eq!(other.open_path(pid), None, "another file is there");
        assert!(code_size(pid).unwrap() > 0);
        assert_eq!(code_size(u32::MAX), None);
    }
}

//! Storage that a frame waits for: what it needs is read past the page cache, or from mapped pages
//! that are not in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};
use rustix::mm::{Advice as MapAdvice, MapFlags, ProtFlags, madvise, mmap, munmap};

use crate::clock::monotonic_ns;

/// Bytes of a page and of a read: what every disk and file system can do (open(2), `O_DIRECT`).
const PAGE: usize = 4096;

/// How a frame waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads with `O_DIRECT`.
    Read,
    /// Major page faults.
    Touch,
}

/// What a frame waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) access: Access,
    /// Nanoseconds after which it does not begin anything more.
    pub(crate) ns: u64,
    /// File, of some pages at least.
    pub(crate) file: PathBuf,
}

#[repr(align(4096))]
struct Page([u8; PAGE]);

impl Storage {
    /// Waits on the calling thread.
    ///
    /// # Errors
    /// Where the file cannot be opened, read past the cache or mapped.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let until_ns = monotonic_ns().saturating_add(self.ns);
        match self.access {
            Access::Read => read(&self.file, until_ns),
            Access::Touch => touch(&self.file, until_ns),
        }
    }
}

fn read(path: &Path, until_ns: u64) -> io::Result<()> {
    let flags = OFlags::DIRECT.bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let mut page = Page([0; PAGE]);
    let mut offset = 0;
    while monotonic_ns() < until_ns {
        let read = file.read_at(&mut page.0, offset)? as u64;
        offset = if read == 0 { 0 } else { offset + read };
    }
    Ok(())
}

fn touch(path: &Path, until_ns: u64) -> io::Result<()> {
    let file = File::open(path)?;
    let length = file.metadata()?.len() as usize;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    let (protection, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
    // SAFETY: a mapping of its own at a place that the kernel chooses, unmapped below.
    let map = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, &file, 0) }?;
    // SAFETY: it changes what is read ahead, nothing else.
    unsafe { madvise(map, length, MapAdvice::Random) }.ok();
    let pages = (0..length).step_by(PAGE);
    for offset in pages.take_while(|_| monotonic_ns() < until_ns) {
        // SAFETY: within the mapping; the file is not cut short while the test runs.
        unsafe { map.cast::<u8>().add(offset).read_volatile() };
    }
    // SAFETY: nothing refers to it any more.
    unsafe { munmap(map, length) }?;
    Ok(())
}

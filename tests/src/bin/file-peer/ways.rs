//! Ways to load a weights file. Each reads all of it, with pauses.

use std::ffi::CString;
use std::fs::File;
use std::io::{IoSliceMut, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use probe_tests::report::{FileLoad, WEIGHTS};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of one read.
const READ: usize = 512 * 1024;

/// Between two reads: a load of 4 MiB takes some 160 ms.
const PAUSE: Duration = Duration::from_millis(20);

/// A way to load the model in a folder; gives when the last byte was read.
type Way = fn(&Path) -> anyhow::Result<u64>;

/// Every way, by the folder it loads.
pub(crate) const ALL: &[(&str, Way)] = &[
    ("read", read),
    ("readv", readv),
    ("pread", pread),
    ("preadv", preadv),
    ("mapped", mapped),
    ("relative", relative),
    ("duplicated", duplicated),
    #[cfg(target_arch = "x86_64")]
    ("open", open),
    ("openat2", openat2),
];

/// Runs a load and says when it began and ended.
pub(crate) fn timed(
    model: &str,
    load: impl FnOnce() -> anyhow::Result<u64>,
) -> anyhow::Result<FileLoad> {
    let begun_ns = now();
    let ended_ns = load().with_context(|| format!("load {model}"))?;
    Ok(FileLoad {
        model: model.to_owned(),
        begun_ns,
        ended_ns,
    })
}

/// What is no load: a weights file outside the folder, another file in it, and a look at a header.
pub(crate) fn noise(folder: &Path) -> anyhow::Result<()> {
    let outside = folder.parent().context("a folder above")?;
    for path in [
        outside.join("elsewhere").join(WEIGHTS),
        folder.join("noise/tokenizer.json"),
    ] {
        std::fs::read(&path).with_context(|| path.display().to_string())?;
    }
    let mut header = [0; 64];
    weights(&folder.join("header"))?.read_exact(&mut header)?;
    Ok(())
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn path(folder: &Path) -> PathBuf {
    folder.join(WEIGHTS)
}

fn weights(folder: &Path) -> anyhow::Result<File> {
    File::open(path(folder)).context("open the weights")
}

/// Reads until nothing comes, with pauses between.
fn all(mut read: impl FnMut(&mut [u8], u64) -> std::io::Result<usize>) -> anyhow::Result<u64> {
    let mut buffer = vec![0; READ];
    let mut position = 0;
    let mut last = now();
    loop {
        let count = read(&mut buffer, position)?;
        if count == 0 {
            return Ok(last);
        }
        last = now();
        position += count as u64;
        std::thread::sleep(PAUSE);
    }
}

fn read(folder: &Path) -> anyhow::Result<u64> {
    let mut file = weights(folder)?;
    all(|buffer, _| file.read(buffer))
}

fn readv(folder: &Path) -> anyhow::Result<u64> {
    let mut file = weights(folder)?;
    all(|buffer, _| {
        let (first, second) = buffer.split_at_mut(READ / 2);
        file.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])
    })
}

fn pread(folder: &Path) -> anyhow::Result<u64> {
    let file = weights(folder)?;
    all(|buffer, position| file.read_at(buffer, position))
}

fn preadv(folder: &Path) -> anyhow::Result<u64> {
    let file = weights(folder)?;
    all(|buffer, position| {
        let iov = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: the vector is one buffer of its own length.
        let count = unsafe {
            libc::preadv(
                file.as_raw_fd(),
                &raw const iov,
                1,
                libc::off_t::try_from(position).unwrap_or(libc::off_t::MAX),
            )
        };
        usize::try_from(count).map_err(|_| std::io::Error::last_os_error())
    })
}

/// Maps the file, closes it, touches each page and unmaps it, as safetensors does.
fn mapped(folder: &Path) -> anyhow::Result<u64> {
    let file = weights(folder)?;
    let length = usize::try_from(file.metadata()?.len())?;
    // SAFETY: a new private mapping of a file of this length.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    anyhow::ensure!(start != libc::MAP_FAILED, "mmap failed");
    drop(file);
    let mut sum = 0_u64;
    for offset in (0..length).step_by(READ) {
        // SAFETY: the offset lies in the mapping.
        sum += u64::from(unsafe { start.cast::<u8>().add(offset).read_volatile() });
        std::thread::sleep(PAUSE);
    }
    std::hint::black_box(sum);
    // SAFETY: nothing refers to the mapping any more.
    let unmapped = unsafe { libc::munmap(start, length) };
    anyhow::ensure!(unmapped == 0, "munmap failed");
    Ok(now())
}

fn relative(folder: &Path) -> anyhow::Result<u64> {
    let name = folder.file_name().context("a name")?;
    let mut file = File::open(path(Path::new(name)))?;
    all(|buffer, _| file.read(buffer))
}

/// Reads on through a copy of the descriptor.
fn duplicated(folder: &Path) -> anyhow::Result<u64> {
    let mut file = weights(folder)?;
    let mut buffer = vec![0; READ];
    file.read_exact(&mut buffer)?;
    let mut copy = file.try_clone()?;
    drop(file);
    all(|buffer, _| copy.read(buffer))
}

#[cfg(target_arch = "x86_64")]
fn open(folder: &Path) -> anyhow::Result<u64> {
    let path = CString::new(path(folder).as_os_str().as_bytes())?;
    // SAFETY: the path ends in a zero.
    let fd = unsafe { libc::syscall(libc::SYS_open, path.as_ptr(), libc::O_RDONLY) };
    read_from(fd)
}

/// Opens by a path relative to a folder's descriptor.
fn openat2(folder: &Path) -> anyhow::Result<u64> {
    /// `struct open_how`. Source: include/uapi/linux/openat2.h.
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let folder = File::open(folder)?;
    let name = CString::new(WEIGHTS)?;
    let how = OpenHow {
        flags: 0,
        mode: 0,
        resolve: 0,
    };
    // SAFETY: the name ends in a zero, and the structure has the size that is given.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            folder.as_raw_fd(),
            name.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    };
    read_from(fd)
}

fn read_from(fd: i64) -> anyhow::Result<u64> {
    anyhow::ensure!(fd >= 0, "open failed");
    // SAFETY: a new descriptor that nobody else has.
    let mut file = unsafe { File::from_raw_fd(i32::try_from(fd)?) };
    all(|buffer, _| file.read(buffer))
}

//! A disk that is slow for one process: its control group may read a few times a second only.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use probe_tests::skip::skip;
use rustix::fs::{major, minor};

use super::cgroup::{Controller, Group};

/// Reads a second: each takes 50 ms.
const READS: u32 = 20;

/// Bytes of the file: more pages than are read.
const FILE_BYTES: usize = 1 << 20;

/// A slow disk with a file on it; fast again when dropped.
#[derive(Debug)]
pub(crate) struct SlowDisk {
    pub(crate) file: PathBuf,
    _group: Group,
}

impl SlowDisk {
    /// For a process, with a file in this folder; `None` where there is no disk that can be slowed, which
    /// is said.
    pub(crate) fn new(pid: u32, folder: &Path) -> Option<Self> {
        let file = folder.join("weights");
        fs::write(&file, vec![1; FILE_BYTES]).expect("write a file");
        fs::File::open(&file)
            .and_then(|file| file.sync_all())
            .expect("write it out");
        let device = fs::metadata(&file).expect("the file").dev();
        let Some(disk) = disk_of(device) else {
            skip("the temporary folder is not on a disk");
            return None;
        };
        let group = Group::new(Controller::Disk)?;
        group.limit_reads(&disk, READS);
        group.join(pid);
        Some(Self {
            file,
            _group: group,
        })
    }
}

/// The whole disk of a block device, `major:minor`: only that has limits.
fn disk_of(device: u64) -> Option<String> {
    let number = format!("{}:{}", major(device), minor(device));
    let place = fs::canonicalize(format!("/sys/dev/block/{number}")).ok()?;
    if !place.join("partition").exists() {
        return Some(number);
    }
    let disk = fs::read_to_string(place.parent()?.join("dev")).ok()?;
    Some(disk.trim().to_owned())
}

//! A control group with a limit, of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

use probe_tests::skip::skip;

/// Where version 2 is mounted by convention, and below which version 1's controllers are.
const ROOT: &str = "/sys/fs/cgroup";

/// Microseconds of a period.
const PERIOD_US: u32 = 100_000;

/// What a group limits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Controller {
    /// CPU time.
    Cpu,
    /// Reads of disks.
    Disk,
}

impl Controller {
    fn version_1(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("cpu", "cpu.cfs_quota_us"),
            Self::Disk => ("blkio", "blkio.throttle.read_iops_device"),
        }
    }

    fn version_2(self) -> &'static str {
        match self {
            Self::Cpu => "cpu.max",
            Self::Disk => "io.max",
        }
    }
}

/// A control group; removed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    /// The file that sets its limit.
    limit: PathBuf,
    is_version_1: bool,
}

impl Group {
    /// An empty one, without a limit; `None` where there cannot be one, which is said.
    pub(crate) fn new(controller: Controller) -> Option<Self> {
        let name = format!("voxprobe-accuracy-{}", std::process::id());
        let (mounted, version_1) = controller.version_1();
        let ways = [
            (Path::new(ROOT).join(mounted), version_1, true),
            (PathBuf::from(ROOT), controller.version_2(), false),
        ];
        let made = ways.into_iter().find_map(|(parent, limit, is_version_1)| {
            let folder = parent.join(&name);
            fs::create_dir(&folder).ok()?;
            let limit = folder.join(limit);
            let group = Self {
                folder,
                limit,
                is_version_1,
            };
            group.limit.exists().then_some(group)
        });
        if made.is_none() {
            skip(&format!(
                "no control group that limits {controller:?} can be made"
            ));
        }
        made
    }

    pub(crate) fn join(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("join the group");
    }

    /// CPU time in each period, microseconds; `None` for no limit.
    pub(crate) fn limit_cpu(&self, quota_us: Option<u32>) {
        self.set(&match (quota_us, self.is_version_1) {
            (None, true) => "-1".to_owned(),
            (None, false) => "max".to_owned(),
            (Some(quota), true) => quota.to_string(),
            (Some(quota), false) => format!("{quota} {PERIOD_US}"),
        });
    }

    /// Reads a second of a disk (`major:minor`).
    pub(crate) fn limit_reads(&self, disk: &str, reads: u32) {
        self.set(&if self.is_version_1 {
            format!("{disk} {reads}")
        } else {
            format!("{disk} riops={reads}")
        });
    }

    fn set(&self, limit: &str) {
        fs::write(&self.limit, limit).expect("set the limit");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended, or go on in the parent group when they do.
        fs::remove_dir(&self.folder).ok();
    }
}

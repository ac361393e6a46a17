//! A control group with a CPU quota, of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

/// Where version 1's CPU controller and version 2 are mounted by convention.
const PARENTS: [&str; 2] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"];

/// Microseconds of a period.
const PERIOD_US: u32 = 100_000;

/// A control group; removed when dropped.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// An empty one, without a limit; `None` where there cannot be one.
    pub(crate) fn new() -> Option<Self> {
        let name = format!("voxprobe-accuracy-{}", std::process::id());
        let made = PARENTS.iter().find_map(|parent| {
            let path = Path::new(parent).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            (group.version_1().exists() || group.version_2().exists()).then_some(group)
        });
        if made.is_none() {
            probe_tests::skip::skip("no control group with a CPU quota can be made");
        }
        made
    }

    pub(crate) fn join(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("join the group");
    }

    /// CPU time in each period, microseconds.
    pub(crate) fn limit(&self, quota_us: Option<u32>) {
        let written = if self.version_1().exists() {
            let quota = quota_us.map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
            fs::write(self.version_1(), quota)
        } else {
            let quota = quota_us.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            fs::write(self.version_2(), format!("{quota} {PERIOD_US}"))
        };
        written.expect("set the quota");
    }

    fn version_1(&self) -> PathBuf {
        self.0.join("cpu.cfs_quota_us")
    }

    fn version_2(&self) -> PathBuf {
        self.0.join("cpu.max")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended, or go on in the parent group when they do.
        fs::remove_dir(&self.0).ok();
    }
}

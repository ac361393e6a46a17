//! Which kernel this is.

use std::{io::Read as _, os::fd::AsFd as _, path::Path};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
    system::uname,
};

/// Major and minor number.
pub type Version = (u32, u32);

/// Version of a release such as `6.1.0-18-amd64`; zero where there is no number.
pub fn version(release: &str) -> Version {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether programs at its functions may be preempted: it was built to preempt its own code, and does, or does
/// not say. Source: kernel/sched/core.c, `sched_dynamic_show`.
pub fn preempts() -> bool {
    if !uname().version().to_string_lossy().contains("PREEMPT") {
        return false;
    }
    let mode = std::fs::read_to_string(Path::new("/sys/kernel/debug").join(MODE));
    let mode = mode.or_else(|_| unmounted_mode());
    mode.map_or(true, |mode| {
        !(mode.contains("(none)") || mode.contains("(voluntary)"))
    })
}

/// How the kernel preempts itself, in debugfs: all ways, the one in force in brackets.
const MODE: &str = "sched/preempt";

/// The same where nobody has mounted debugfs: it is opened, and mounted nowhere.
fn unmounted_mode() -> std::io::Result<String> {
    let context = fsopen("debugfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = fsmount(context.as_fd(), flags, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let file = openat(mount, MODE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut mode = String::new();
    std::fs::File::from(file).read_to_string(&mut mode)?;
    Ok(mode)
}

/// Version of the running kernel.
pub fn running() -> Version {
    version(&uname().release().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert!(version("6.18.44-fc") >= (5, 12));
        assert_eq!(version("5.12.0-rc1"), (5, 12));
        assert!(version("5.10.0-28-amd64") < (5, 12));
        assert!(version("7.2-rc3") >= (7, 2));
        assert_eq!(version("nonsense"), (0, 0));
    }
}

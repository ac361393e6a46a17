//! Why a test could not do its work here, in the form that `cargo xtask test` counts.

use std::path::PathBuf;

/// Says why the test does nothing.
#[allow(
    clippy::print_stdout,
    reason = "the line that the test runner looks for"
)]
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// Whether this process may load eBPF programs: every test that watches needs it. Says so if not.
pub fn unprivileged() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("eBPF needs root");
    }
    !root
}

/// Whether this kernel may let only `CAP_SYS_ADMIN` attach programs, as Debian's and Ubuntu's do by default: the
/// four capabilities that are enough elsewhere cannot be tried. Says so if it may.
pub fn restricted() -> bool {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let level = level.ok().and_then(|text| text.trim().parse::<i32>().ok());
    let restricted = level.is_some_and(|level| level > 2);
    if restricted {
        skip("kernel.perf_event_paranoid is above 2: four capabilities may not be enough");
    }
    restricted
}

/// The kernel's version: major and minor number.
pub fn kernel() -> (u32, u32) {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether this kernel's tracepoints of sockets do not tell when a send begins (before Linux 6.16). Says so if they
/// do not.
pub fn unbegun() -> bool {
    let untold = kernel() < (6, 16);
    if untold {
        skip("tracepoints of sockets tell when a send begins from Linux 6.16 on");
    }
    untold
}

/// Whether this kernel does not tell why threads wait (before Linux 5.19). Says so if it does not.
pub fn unscheduled() -> bool {
    let untold = kernel() < (5, 19);
    if untold {
        skip("scheduling is followed from Linux 5.19 on");
    }
    untold
}

/// A program on `PATH` (or where system programs lie); says so if there is none.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

//! How long the probe's threads want to stay on a CPU at a time.
//!
//! The kernel gives every thread its share, and asks of each how long a slice of it is wanted. A thread that wakes
//! up, wants a shorter one than the thread on its CPU and has not had its share runs at once; without that it waits
//! until the other one has done what it came for. What the probe does may wait, what it watches may not: it asks for
//! a long slice. It gets no less of a CPU by that than others.

use std::io;

/// A few times the kernel's own (2.8 ms and 3 ms are usual), in nanoseconds. Not its longest, of 100 ms
/// (`__setparam_fair`, kernel/sched/syscalls.c): one that is on a CPU when others wait for it may stay so long.
const SLICE_NS: u64 = 10_000_000;

/// Asks for a long slice for the current thread, and those that it starts from now on. Kernels before
/// Linux 6.12 take the request and give it no meaning.
///
/// # Errors
/// When the kernel refuses it: a sandbox may.
pub fn lengthen() -> io::Result<()> {
    let mut wanted = current()?;
    if wanted.sched_policy != libc::SCHED_OTHER as u32 {
        // Somebody gave it another policy, who knows better.
        return Ok(());
    }
    wanted.sched_runtime = SLICE_NS;
    // SAFETY: as for `current`; the kernel only reads the structure.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
    told(result)
}

/// How the current thread is scheduled.
fn current() -> io::Result<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>() as u32;
    let mut found = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the structure has as many bytes as the kernel is told.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut found, size, 0) };
    told(result)?;
    Ok(found)
}

fn told(result: libc::c_long) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_slice_is_asked_for_and_inherited() {
        std::thread::spawn(|| {
            let before = current().unwrap();
            lengthen().unwrap();
            let after = current().unwrap();
            assert_eq!(after.sched_nice, before.sched_nice);
            assert_eq!(after.sched_policy, before.sched_policy);
            if before.sched_runtime == 0 {
                println!("skipped: this kernel has no slices to ask for (before Linux 6.12)");
                return;
            }
            assert_eq!(after.sched_runtime, SLICE_NS);
            let child = std::thread::spawn(|| current().unwrap().sched_runtime);
            assert_eq!(child.join().unwrap(), SLICE_NS);
        })
        .join()
        .unwrap();
    }
}

//! Timers of a process that fire late.
//!
//! The kernel may let a timed wait go on for its thread's timer slack, and does so while another timer
//! comes first: the scheduler's tick of a CPU that is busy. Threads of the idle class keep it busy and
//! are in nobody's way.

use std::fs;
use std::process::{Child, Command};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

use super::fault::end;

/// Timed waits of a process may end this much late for this long, by timer slack.
pub(crate) fn slacken(pid: u32, slack: Duration, time: Duration) {
    let idlers = busy_cpus();
    let slacks = slacks_of(pid);
    for (path, _) in &slacks {
        // A thread may have ended meanwhile.
        fs::write(path, slack.as_nanos().to_string()).ok();
    }
    sleep(time);
    for (path, before) in &slacks {
        fs::write(path, before).ok();
    }
    // What was set before ends by the old slack.
    sleep(slack);
    idlers.into_iter().for_each(end);
}

/// The files with the slack of each thread, and what they say: nanoseconds.
fn slacks_of(pid: u32) -> Vec<(String, String)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the worker's threads");
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?.file_name();
            let path = format!("/proc/{}/timerslack_ns", thread.to_str()?);
            let before = fs::read_to_string(&path).ok()?;
            Some((path, before.trim().to_owned()))
        })
        .collect()
}

fn busy_cpus() -> Vec<Child> {
    let cpus = available_parallelism().map_or(1, usize::from);
    (0..cpus)
        .map(|cpu| {
            Command::new("taskset")
                .args(["-c", &cpu.to_string()])
                .args(["chrt", "-i", "0", "sh", "-c", "while :; do :; done"])
                .spawn()
                .expect("start a busy thread")
        })
        .collect()
}

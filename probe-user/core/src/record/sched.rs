//! What threads of watched processes did between two stretches on a CPU, and what their control
//! group's CPU quota took from them.

use probe_abi::{COMM_BYTES, left, wait};
use serde::{Deserialize, Serialize};

use super::{
    KtimeNs, Tgid,
    kernel::{Fields, RecordError},
};

/// What one thread did from [`Sched::since`] to [`Sched::at`], when it was on a CPU again. The
/// records of one thread join; where one begins later than the one before ended, some were lost.
///
/// `since` ≤ `run` ≤ `off` ≤ `wake` ≤ `at`: many short stretches until `run`, told by their sums;
/// then it ran until `off`, was blocked until `wake` and waited for a CPU until `at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sched {
    /// Process.
    pub tgid: Tgid,
    /// Thread.
    pub tid: u32,
    /// Start of the whole.
    pub since: KtimeNs,
    /// Short stretches between `since` and `run`.
    pub short: Short,
    /// When the last stretch on a CPU began.
    pub run: KtimeNs,
    /// When it ended.
    pub off: KtimeNs,
    /// When the thread could run again.
    pub wake: KtimeNs,
    /// End: on a CPU again.
    pub at: KtimeNs,
    /// How it left the CPU at `off`.
    pub left: Left,
    /// What it was inside then.
    pub wait: Wait,
    /// Syscall number of the machine it was inside.
    pub syscall: Option<u32>,
    /// Until when it had asked to wait at most, where it had and that is known.
    pub deadline: Option<KtimeNs>,
    /// When its last send that found no room in a socket returned, between `since` and `off`.
    pub refused: Option<KtimeNs>,
    /// Who woke it; `None` for an interrupt on an idle CPU, a short wait, or when it is not known.
    pub waker: Option<Thread>,
    /// What the waker was inside.
    pub waker_in: Wait,
    /// Who ran longest on its CPU between `wake` and `at`, and for how long in all its threads,
    /// nanoseconds; `None` when nobody ran for long.
    pub runner: Option<(Thread, u64)>,
    /// CPU it is on again.
    pub cpu: u32,
}

/// Sums of short stretches, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// On a CPU.
    pub run_ns: u64,
    /// Blocked.
    pub blocked_ns: u64,
    /// Waiting for a CPU.
    pub waiting_ns: u64,
}

/// A thread of any process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Process.
    pub tgid: Tgid,
    /// Thread.
    pub tid: u32,
    /// The thread's name, at most 15 bytes.
    pub comm: String,
}

/// How a thread left its CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Left {
    /// Preempted: it wanted to run on.
    Runnable,
    /// Asleep, wakeable by signals (`S`).
    #[default]
    Sleeping,
    /// Asleep in the kernel's own business (`D`): storage, a page fault.
    Uninterruptible,
    /// Stopped by a signal, traced or frozen (`T`).
    Stopped,
}

/// What a thread is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wait {
    /// User code: preempted, a page fault, an exception.
    #[default]
    User,
    /// `futex`: a lock, a condition variable, a channel between threads.
    Futex,
    /// `epoll_wait`, `poll`, `select`.
    Readiness,
    /// `nanosleep`.
    Sleep,
    /// A send on a watched socket.
    Send,
    /// A receive on a watched socket.
    Receive,
    /// A call on another file.
    File,
    /// `ioctl`: a driver.
    Ioctl,
    /// Memory management.
    Memory,
    /// Another syscall.
    Other,
}

impl Wait {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user code",
            Self::Futex => "futex",
            Self::Readiness => "epoll/poll",
            Self::Sleep => "sleep",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::File => "file",
            Self::Ioctl => "ioctl",
            Self::Memory => "memory",
            Self::Other => "syscall",
        }
    }
}

/// What a diagnosis has to go by from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Since when.
    pub at: KtimeNs,
    /// How much more than one frame may lie between two frames of a paced stream, milliseconds.
    pub late_threshold_ms: u32,
    /// Shortest stretch of scheduling that has a record of its own, nanoseconds; `None` where
    /// scheduling is not followed.
    pub stretch_ns: Option<u64>,
}

/// CPU quota of a watched process's control group, each time it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuQuota {
    /// Process.
    pub tgid: Tgid,
    /// When it was read.
    pub at: KtimeNs,
    /// When it was read before, with another result or the first time.
    pub before: KtimeNs,
    /// Periods in which the group was throttled, since `before`.
    pub periods: u64,
    /// Nanoseconds for which its CPUs were throttled, all together, since `before`.
    pub throttled_ns: u64,
}

/// Reads a record after its header.
pub(super) fn parse(
    fields: &mut Fields<'_>,
    at: KtimeNs,
    tgid: Tgid,
    tid: u32,
) -> Result<Sched, RecordError> {
    let since = KtimeNs(fields.u64()?);
    let short = Short {
        run_ns: fields.u64()?,
        blocked_ns: fields.u64()?,
        waiting_ns: fields.u64()?,
    };
    let (run, off, wake) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (run, off, wake) = (KtimeNs(run), KtimeNs(off), KtimeNs(wake));
    let known = |ns: u64| (ns != 0).then_some(KtimeNs(ns));
    let (deadline, refused) = (known(fields.u64()?), known(fields.u64()?));
    let (waker_tgid, waker_tid) = (Tgid(fields.u32()?), fields.u32()?);
    let (runner_tgid, runner_tid) = (Tgid(fields.u32()?), fields.u32()?);
    let runner_ns = fields.u64()?;
    let syscall = fields.u32()?;
    let cpu = fields.u32()?;
    let left = match fields.u8()? {
        left::RUNNABLE => Left::Runnable,
        left::SLEEPING => Left::Sleeping,
        left::UNINTERRUPTIBLE => Left::Uninterruptible,
        left::STOPPED => Left::Stopped,
        _ => return Err(RecordError::Unknown),
    };
    let wait = wait_of(fields.u8()?)?;
    let waker_in = wait_of(fields.u8()?)?;
    fields.skip(5)?;
    let (waker_comm, runner_comm) = (comm(&fields.array()?), comm(&fields.array()?));
    if !(since <= run && run <= off && off <= wake && wake <= at) {
        return Err(RecordError::Unknown);
    }
    Ok(Sched {
        tgid,
        tid,
        since,
        short,
        run,
        off,
        wake,
        at,
        left,
        wait,
        syscall: (syscall != u32::MAX).then_some(syscall),
        deadline,
        refused,
        waker: (waker_tid != 0).then_some(Thread {
            tgid: waker_tgid,
            tid: waker_tid,
            comm: waker_comm,
        }),
        waker_in,
        runner: (runner_tid != 0).then_some((
            Thread {
                tgid: runner_tgid,
                tid: runner_tid,
                comm: runner_comm,
            },
            runner_ns,
        )),
        cpu,
    })
}

fn wait_of(value: u8) -> Result<Wait, RecordError> {
    Ok(match value {
        wait::USER => Wait::User,
        wait::FUTEX => Wait::Futex,
        wait::READINESS => Wait::Readiness,
        wait::SLEEP => Wait::Sleep,
        wait::SEND => Wait::Send,
        wait::RECEIVE => Wait::Receive,
        wait::FILE => Wait::File,
        wait::IOCTL => Wait::Ioctl,
        wait::MEMORY => Wait::Memory,
        wait::OTHER => Wait::Other,
        _ => return Err(RecordError::Unknown),
    })
}

/// A thread's name: up to its terminating zero, control characters and bad UTF-8 replaced.
fn comm(bytes: &[u8; COMM_BYTES]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(name).replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kernel::{self, KernelRecord};

    /// A record as the kernel side writes it, with these times.
    fn bytes(times: [u64; 5], left: u8, wait: u8) -> Vec<u8> {
        let [since, run, off, wake, at] = times;
        let mut bytes = Vec::new();
        bytes.extend(probe_abi::kind::SCHED.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend((size_of::<probe_abi::SchedRecord>() as u32).to_ne_bytes());
        bytes.extend(at.to_ne_bytes());
        bytes.extend(10_u32.to_ne_bytes());
        bytes.extend(11_u32.to_ne_bytes());
        for value in [since, 1, 2, 3, run, off, wake, 70, 0] {
            bytes.extend(value.to_ne_bytes());
        }
        for value in [20_u32, 21, 30, 31] {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.extend(40_u64.to_ne_bytes());
        bytes.extend(202_u32.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend([left, wait, wait::USER, 0, 0, 0, 0, 0]);
        bytes.extend(*b"waker\0leftover!!");
        bytes.extend(*b"run\x1bner\0\0\0\0\0\0\0\0\0");
        bytes
    }

    #[test]
    fn thread_record_is_read_whole() {
        let bytes = bytes([5, 10, 20, 60, 70], left::SLEEPING, wait::FUTEX);
        assert_eq!(bytes.len(), size_of::<probe_abi::SchedRecord>());
        let Ok(KernelRecord::Sched(sched)) = kernel::parse(&bytes) else {
            panic!("no thread record")
        };
        assert_eq!((sched.tgid, sched.tid), (Tgid(10), 11));
        assert_eq!((sched.off, sched.wake), (KtimeNs(20), KtimeNs(60)));
        assert_eq!(
            (sched.deadline, sched.refused),
            (Some(KtimeNs(70)), None),
            "zero is no time"
        );
        assert_eq!((sched.left, sched.wait), (Left::Sleeping, Wait::Futex));
        assert_eq!(sched.waker.unwrap().comm, "waker");
        let (runner, ns) = sched.runner.unwrap();
        assert_eq!((runner.tid, &*runner.comm, ns), (31, "run?ner", 40));
    }

    #[test]
    fn disorderly_or_unknown_thread_records_are_refused() {
        for (times, left, wait) in [
            ([5, 4, 20, 60, 70], left::SLEEPING, wait::FUTEX),
            ([5, 10, 20, 60, 59], left::SLEEPING, wait::FUTEX),
            ([5, 10, 20, 60, 70], 9, wait::FUTEX),
            ([5, 10, 20, 60, 70], left::SLEEPING, 99),
        ] {
            let bytes = bytes(times, left, wait);
            assert_eq!(kernel::parse(&bytes), Err(RecordError::Unknown));
        }
        let whole = bytes([5, 10, 20, 60, 70], left::SLEEPING, wait::FUTEX);
        for end in 0..whole.len() {
            let cut = whole.get(..end).unwrap();
            assert_eq!(kernel::parse(cut), Err(RecordError::TooShort), "{end}");
        }
    }
}

//! Faults that can be switched while the worker runs, and the line protocol that switches them.
//!
//! One command per line on the fault socket, one answer per line: `ok` or `error: …`.
//!
//! | command | effect |
//! |---|---|
//! | `stall MS [SESSION]` | the next frame (of that session) is sent MS milliseconds late, once |
//! | `jitter MS` | every frame is sent up to MS early or late; 0 ends it |
//! | `drop N [SESSION]` | the next N frames (of that session) are left out; numbers go on |
//! | `error CODE [SESSION]` | the next frame's stream ends with that gRPC status instead |
//! | `slow-load MS` | every model load takes MS longer; 0 ends it |
//! | `burn THREADS MS` | that many threads use the CPU for MS milliseconds |
//! | `hold MS` | a busy thread holds a lock that every frame needs for MS milliseconds |
//! | `read MS FILE` | the next frame reads the file past the page cache for MS milliseconds |
//! | `touch MS FILE` | the next frame needs mapped pages of the file that are in no cache, as long |
//! | `abort` | the process aborts after its truth file is written |
//! | `clear` | no fault from now on |

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::storage::{Access, Storage};
use crate::clock::{NS_PER_MS, monotonic_ns};

/// Longest stall, jitter, load delay or burn, in milliseconds: an hour is longer than any test.
const MAX_MS: u64 = 3_600_000;

/// Most threads that `burn` starts: enough to saturate a large machine.
const MAX_BURN_THREADS: u64 = 256;

/// Largest gRPC status code (`UNAUTHENTICATED`).
const MAX_STATUS: u64 = 16;

/// One command of the fault protocol. Without a session it means whichever stream is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Stall {
        ns: u64,
        session: Option<String>,
    },
    Jitter {
        ns: u64,
    },
    Drop {
        frames: u64,
        session: Option<String>,
    },
    Error {
        code: i32,
        session: Option<String>,
    },
    SlowLoad {
        ns: u64,
    },
    Burn {
        threads: u64,
        ns: u64,
    },
    /// A thread computes with a lock held that every frame needs, as one that has Python's
    /// interpreter lock does.
    Hold {
        ns: u64,
    },
    /// The next frame, of whichever stream, waits for a disk.
    Storage(Storage),
    Abort,
    Clear,
}

/// Why a line is no fault command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FaultError {
    #[error(
        "unknown command: expected stall, jitter, drop, error, slow-load, burn, hold, read, touch, \
         abort or clear"
    )]
    Unknown,
    #[error("a number is missing or out of range")]
    Number,
    #[error("a file is missing")]
    File,
    #[error("too many words")]
    Excess,
}

impl std::str::FromStr for Fault {
    type Err = FaultError;

    fn from_str(line: &str) -> Result<Self, FaultError> {
        let mut words = line.split_ascii_whitespace();
        let command = words.next().ok_or(FaultError::Unknown)?;
        let mut number = |max: u64| {
            let value: u64 = words
                .next()
                .and_then(|word| word.parse().ok())
                .ok_or(FaultError::Number)?;
            if value <= max {
                Ok(value)
            } else {
                Err(FaultError::Number)
            }
        };
        let fault = match command {
            "stall" => Self::Stall {
                ns: number(MAX_MS)? * NS_PER_MS,
                session: session(&mut words),
            },
            "jitter" => Self::Jitter {
                ns: number(MAX_MS)? * NS_PER_MS,
            },
            "drop" => Self::Drop {
                frames: number(u64::MAX)?,
                session: session(&mut words),
            },
            "error" => Self::Error {
                code: number(MAX_STATUS)? as i32,
                session: session(&mut words),
            },
            "slow-load" => Self::SlowLoad {
                ns: number(MAX_MS)? * NS_PER_MS,
            },
            "burn" => Self::Burn {
                threads: number(MAX_BURN_THREADS)?,
                ns: number(MAX_MS)? * NS_PER_MS,
            },
            "hold" => Self::Hold {
                ns: number(MAX_MS)? * NS_PER_MS,
            },
            "read" | "touch" => Self::Storage(Storage {
                access: if command == "read" {
                    Access::Read
                } else {
                    Access::Touch
                },
                ns: number(MAX_MS)? * NS_PER_MS,
                file: words.next().ok_or(FaultError::File)?.into(),
            }),
            "abort" => Self::Abort,
            "clear" => Self::Clear,
            _ => return Err(FaultError::Unknown),
        };
        if words.next().is_some() {
            Err(FaultError::Excess)
        } else {
            Ok(fault)
        }
    }
}

fn session(words: &mut std::str::SplitAsciiWhitespace<'_>) -> Option<String> {
    words.next().map(str::to_owned)
}

/// What happens to one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameFault {
    /// Nanoseconds by which it is sent late.
    pub(crate) stall_ns: u64,
    /// Most nanoseconds by which it is sent early or late.
    pub(crate) jitter_ns: u64,
    /// Whether it is left out.
    pub(crate) drop: bool,
    /// The gRPC status that ends its stream instead.
    pub(crate) error: Option<i32>,
    /// What it waits for before it is sent.
    pub(crate) storage: Option<Storage>,
}

/// The faults in force.
#[derive(Default)]
pub(crate) struct Faults {
    active: Arc<Mutex<Active>>,
}

#[derive(Default)]
struct Active {
    jitter_ns: u64,
    slow_load_ns: u64,
    stall: Option<(u64, Option<String>)>,
    drop: Option<(u64, Option<String>)>,
    error: Option<(i32, Option<String>)>,
    storage: Option<Storage>,
}

impl Faults {
    /// Switches a fault. Burning and aborting are the caller's.
    pub(crate) fn switch(&self, fault: &Fault) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.clone() {
            Fault::Stall { ns, session } => active.stall = Some((ns, session)),
            Fault::Jitter { ns } => active.jitter_ns = ns,
            Fault::Drop { frames, session } => {
                active.drop = (frames > 0).then_some((frames, session));
            }
            Fault::Error { code, session } => active.error = Some((code, session)),
            Fault::SlowLoad { ns } => active.slow_load_ns = ns,
            Fault::Storage(storage) => active.storage = Some(storage),
            Fault::Clear => *active = Active::default(),
            Fault::Hold { ns } => hold(Arc::clone(&self.active), ns),
            Fault::Burn { .. } | Fault::Abort => {}
        }
    }

    /// What happens to the next frame of `session`; what happens once is used up by this.
    pub(crate) fn next_frame(&self, session: &str) -> FrameFault {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let stall = active
            .stall
            .take_if(|(_, wanted)| means(wanted.as_ref(), session));
        let error = active
            .error
            .take_if(|(_, wanted)| means(wanted.as_ref(), session));
        let mut drop = false;
        if let Some((frames, wanted)) = &mut active.drop
            && means(wanted.as_ref(), session)
        {
            drop = true;
            *frames -= 1;
        }
        active.drop.take_if(|(frames, _)| *frames == 0);
        FrameFault {
            stall_ns: stall.map_or(0, |(ns, _)| ns),
            jitter_ns: active.jitter_ns,
            drop,
            error: error.map(|(code, _)| code),
            storage: active.storage.take(),
        }
    }

    /// Nanoseconds that each model load takes longer.
    pub(crate) fn slow_load_ns(&self) -> u64 {
        self.active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slow_load_ns
    }
}

/// Computes on a thread of its own with the lock held.
fn hold(lock: Arc<Mutex<Active>>, ns: u64) {
    let compute = move || {
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let until_ns = monotonic_ns().saturating_add(ns);
        while monotonic_ns() < until_ns {
            std::hint::spin_loop();
        }
    };
    // Without a thread there is no fault, and the test says that it had no effect.
    drop(
        std::thread::Builder::new()
            .name("holder".to_owned())
            .spawn(compute),
    );
}

fn means(wanted: Option<&String>, session: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_parse_to_their_faults() {
        let stall = Fault::Stall {
            ns: 80 * NS_PER_MS,
            session: Some("s-1".to_owned()),
        };
        assert_eq!("stall 80 s-1".parse(), Ok(stall));
        assert_eq!(
            " drop  3 ".parse(),
            Ok(Fault::Drop {
                frames: 3,
                session: None
            })
        );
        assert_eq!(
            "touch 5 /tmp/weights".parse(),
            Ok(Fault::Storage(Storage {
                access: Access::Touch,
                ns: 5 * NS_PER_MS,
                file: "/tmp/weights".into(),
            }))
        );
        assert_eq!(
            "burn 2 500".parse(),
            Ok(Fault::Burn {
                threads: 2,
                ns: 500 * NS_PER_MS
            })
        );
    }

    #[test]
    fn malformed_commands_name_what_is_wrong() {
        let error = |line: &str| line.parse::<Fault>().unwrap_err();
        assert_eq!(error(""), FaultError::Unknown);
        assert_eq!(error("explode"), FaultError::Unknown);
        assert_eq!(error("stall"), FaultError::Number);
        assert_eq!(error("error 17"), FaultError::Number);
        assert_eq!(error("read 17"), FaultError::File);
        assert_eq!(error("stall 99999999999999999999"), FaultError::Number);
        assert_eq!(error("abort now"), FaultError::Excess);
    }

    #[test]
    fn stall_of_a_session_waits_for_it_and_happens_once() {
        let faults = Faults::default();
        faults.switch(&Fault::Stall {
            ns: 5,
            session: Some("a".to_owned()),
        });
        assert_eq!(faults.next_frame("b"), FrameFault::default());
        assert_eq!(faults.next_frame("a").stall_ns, 5);
        assert_eq!(faults.next_frame("a").stall_ns, 0);
    }

    #[test]
    fn drop_leaves_out_exactly_as_many_frames_as_asked() {
        let faults = Faults::default();
        faults.switch(&Fault::Drop {
            frames: 3,
            session: None,
        });
        let dropped = (0..10).filter(|_| faults.next_frame("a").drop).count();
        assert_eq!(dropped, 3);
        faults.switch(&Fault::Drop {
            frames: 0,
            session: None,
        });
        assert!(!faults.next_frame("a").drop);
    }

    #[test]
    fn clear_ends_every_fault() {
        let faults = Faults::default();
        faults.switch(&Fault::Jitter { ns: 9 });
        faults.switch(&Fault::SlowLoad { ns: 9 });
        faults.switch(&Fault::Error {
            code: 13,
            session: None,
        });
        faults.switch(&Fault::Clear);
        assert_eq!(faults.next_frame("a"), FrameFault::default());
        assert_eq!(faults.slow_load_ns(), 0);
    }
}

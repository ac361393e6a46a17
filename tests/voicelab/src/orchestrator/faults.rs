//! What an orchestrator does on demand, and the line protocol that asks for it.
//!
//! One command per line on the fault socket, one answer per line: `ok` or `error: …`.
//!
//! | command | effect |
//! |---|---|
//! | `drop N [SESSION]` | the next N frames (of that session) are not forwarded |
//! | `slow MS` | every client message waits MS milliseconds before it is handled; 0 ends it |
//! | `error CODE [SESSION]` | the next client message (of that session) is answered with that error |
//! | `close SESSION` | the session's connection is closed with code 1000 |
//! | `end SESSION` | the session ends with `session_end` and `EndSession`, then its connection |
//! | `redis-error` | a command that Redis refuses is sent to it |
//! | `crash` | the process aborts after its truth file is written |
//! | `clear` | no fault from now on |

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::message::ErrorCode;

/// Longest delay, in milliseconds: an hour is longer than any test.
const MAX_MS: u64 = 3_600_000;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Drop {
        frames: u64,
        session: Option<String>,
    },
    Slow(Duration),
    Error {
        code: ErrorCode,
        session: Option<String>,
    },
    Close {
        session: String,
    },
    End {
        session: String,
    },
    RedisError,
    Crash,
    Clear,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FaultError {
    #[error("unknown command: expected drop, slow, error, close, end, redis-error, crash or clear")]
    Unknown,
    #[error("a number is missing or out of range")]
    Number,
    #[error("unknown error code")]
    Code,
    #[error("a session is missing")]
    Session,
    #[error("too many words")]
    Excess,
}

impl std::str::FromStr for Fault {
    type Err = FaultError;

    fn from_str(line: &str) -> Result<Self, FaultError> {
        let mut words = line.split_ascii_whitespace();
        let command = words.next().ok_or(FaultError::Unknown)?;
        let mut word = || words.next().map(str::to_owned);
        let number = |word: Option<String>| {
            let number = word.and_then(|word| word.parse::<u64>().ok());
            number.ok_or(FaultError::Number)
        };
        let fault = match command {
            "drop" => Self::Drop {
                frames: number(word())?,
                session: word(),
            },
            "slow" => match number(word())? {
                ms if ms <= MAX_MS => Self::Slow(Duration::from_millis(ms)),
                _ => return Err(FaultError::Number),
            },
            "error" => {
                let asked = word().ok_or(FaultError::Code)?;
                let code = ErrorCode::ALL
                    .into_iter()
                    .find(|code| code.as_str() == asked);
                Self::Error {
                    code: code.ok_or(FaultError::Code)?,
                    session: word(),
                }
            }
            "close" => Self::Close {
                session: word().ok_or(FaultError::Session)?,
            },
            "end" => Self::End {
                session: word().ok_or(FaultError::Session)?,
            },
            "redis-error" => Self::RedisError,
            "crash" => Self::Crash,
            "clear" => Self::Clear,
            _ => return Err(FaultError::Unknown),
        };
        if words.next().is_some() {
            return Err(FaultError::Excess);
        }
        Ok(fault)
    }
}

/// The faults in force.
#[derive(Default)]
pub(crate) struct Faults {
    active: Mutex<Active>,
}

#[derive(Default)]
struct Active {
    drop: Option<(u64, Option<String>)>,
    slow: Duration,
    error: Option<(ErrorCode, Option<String>)>,
}

impl Faults {
    /// Switches what lasts; what happens at once is the caller's.
    pub(crate) fn switch(&self, fault: &Fault) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.clone() {
            Fault::Drop { frames, session } => {
                active.drop = (frames > 0).then_some((frames, session));
            }
            Fault::Slow(delay) => active.slow = delay,
            Fault::Error { code, session } => active.error = Some((code, session)),
            Fault::Clear => *active = Active::default(),
            Fault::Close { .. } | Fault::End { .. } | Fault::RedisError | Fault::Crash => {}
        }
    }

    /// Whether the next frame of `session` is left out; this uses one up.
    pub(crate) fn drops_frame(&self, session: &str) -> bool {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((frames, wanted)) = &mut active.drop else {
            return false;
        };
        if wanted.as_ref().is_some_and(|wanted| wanted != session) {
            return false;
        }
        *frames -= 1;
        active.drop.take_if(|(frames, _)| *frames == 0);
        true
    }

    /// The error that answers the next message of `session`; this uses it up.
    pub(crate) fn error(&self, session: &str) -> Option<ErrorCode> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let means =
            |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| wanted == session);
        let error = active.error.take_if(|(_, wanted)| means(wanted));
        error.map(|(code, _)| code)
    }

    /// How long each client message waits.
    pub(crate) fn slow(&self) -> Duration {
        self.active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_parse_to_their_faults() {
        let close = Fault::Close {
            session: "ws-1".to_owned(),
        };
        assert_eq!("close ws-1".parse(), Ok(close));
        let error = Fault::Error {
            code: ErrorCode::SynthesisFailed,
            session: None,
        };
        assert_eq!("error SYNTHESIS_FAILED".parse(), Ok(error));
        assert_eq!("crash".parse(), Ok(Fault::Crash));
    }

    #[test]
    fn malformed_commands_name_what_is_wrong() {
        let error = |line: &str| line.parse::<Fault>().unwrap_err();
        assert_eq!(error(""), FaultError::Unknown);
        assert_eq!(error("drop many"), FaultError::Number);
        assert_eq!(error("slow 3600001"), FaultError::Number);
        assert_eq!(error("error SOMETHING"), FaultError::Code);
        assert_eq!(error("end"), FaultError::Session);
        assert_eq!(error("crash now"), FaultError::Excess);
    }

    #[test]
    fn drops_are_used_up_by_the_session_they_mean() {
        let faults = Faults::default();
        faults.switch(&"drop 2 a".parse().unwrap());
        assert!(!faults.drops_frame("b"));
        assert!(faults.drops_frame("a") && faults.drops_frame("a"));
        assert!(!faults.drops_frame("a"));
    }

    #[test]
    fn error_answers_one_message() {
        let faults = Faults::default();
        faults.switch(&"error INTERNAL_ERROR".parse().unwrap());
        assert_eq!(faults.error("a"), Some(ErrorCode::InternalError));
        assert_eq!(faults.error("a"), None);
    }
}

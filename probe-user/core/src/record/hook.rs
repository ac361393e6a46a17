//! Calls of hooked library functions, and what the configuration says they mean.

use serde::{Deserialize, Serialize};

use super::{KtimeNs, Role, Tgid};

/// A library hook: its place in the configuration.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct HookId(pub u32);

/// A library hook of the configuration, as far as the core needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Which.
    pub id: HookId,
    /// Label `hook` of its metrics.
    pub name: String,
    /// Processes of which part it is for; `None` for every watched one.
    pub role: Option<Role>,
    /// What its calls become.
    pub kind: HookKind,
    /// How the return value is read.
    pub returns: Returns,
    /// Return values that are positive results; empty where each above zero is (each but null, for
    /// a pointer).
    pub positive: Vec<i64>,
    /// Return values that say that the function ran out of time.
    pub timeouts: Vec<i64>,
    /// Whether the hook sees an instance start anew ([`HookEvent::Reset`]). The state of one that
    /// it did not see start is unknown until it settles.
    pub sees_resets: bool,
    /// When a changed result counts as an edge.
    pub debounce: Debounce,
    /// Which metrics of the guide it feeds.
    pub meaning: HookMeaning,
}

/// What the calls of a hooked function become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookKind {
    /// Counted at the entry.
    Counter,
    /// Counted and timed from entry to return.
    Latency,
    /// The same, and changes of the result are told for each instance (first argument).
    Edge,
}

/// Type of the return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Returns {
    /// 32-bit integer; below zero is an error.
    I32,
    /// 64-bit integer; below zero is an error.
    I64,
    /// C++ or C `bool`: the lowest byte.
    Bool,
    /// Pointer. Null is an error of a timed function, and a negative result of an edge's.
    Pointer,
}

/// How long a result has to last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sustained {
    /// Nanoseconds from the first result of the run to the one that settles it.
    pub time_ns: u64,
    /// Results of the run, the first included; 0 and 1 are the same.
    pub results: u32,
}

/// When a changed result counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounce {
    /// Before a positive result counts.
    pub positive: Sustained,
    /// Before a negative result counts.
    pub negative: Sustained,
    /// Nanoseconds between two results that belong to one run, at most; 0 for no limit.
    pub max_gap_ns: u64,
}

/// Which metrics of the guide a hook feeds, beside its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookMeaning {
    /// None.
    Generic,
    /// Voice activity detection: an edge is a start or an end of speech.
    Vad,
    /// Speech recognition: a call is a request.
    Asr {
        /// Label `model`.
        model: String,
    },
}

/// A hooked library function was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCall {
    /// Which hook.
    pub hook: HookId,
    /// Process.
    pub tgid: Tgid,
    /// Thread.
    pub tid: u32,
    /// When the function was entered.
    pub enter: KtimeNs,
    /// When it returned; the entry again where only that is told.
    pub exit: KtimeNs,
    /// Its first argument: the instance it works on, where it has one.
    pub instance: u64,
    /// What is told.
    pub event: HookEvent,
}

/// What is told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookEvent {
    /// The function was entered.
    Entered,
    /// It returned with this in the return value's register.
    Returned(u64),
    /// The instance starts anew.
    Reset,
}

/// What a return value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookResult {
    /// Positive, e.g. speech.
    Positive,
    /// Negative, e.g. silence.
    Negative,
    /// The function ran out of time.
    Timeout,
    /// The function failed.
    Failed,
}

impl Hook {
    /// What a return value says.
    pub(crate) fn result(&self, register: u64) -> HookResult {
        let value = match self.returns {
            Returns::I32 => i64::from(register as u32 as i32),
            Returns::I64 | Returns::Pointer => register as i64,
            Returns::Bool => i64::from(register as u8),
        };
        let is_positive = match self.returns {
            _ if !self.positive.is_empty() => self.positive.contains(&value),
            Returns::Pointer => value != 0,
            Returns::I32 | Returns::I64 | Returns::Bool => value > 0,
        };
        let is_failure = match self.returns {
            Returns::I32 | Returns::I64 => value < 0,
            Returns::Pointer => value == 0 && self.kind != HookKind::Edge,
            Returns::Bool => false,
        };
        if self.timeouts.contains(&value) {
            HookResult::Timeout
        } else if is_positive {
            HookResult::Positive
        } else if is_failure {
            HookResult::Failed
        } else {
            HookResult::Negative
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(kind: HookKind, returns: Returns) -> Hook {
        Hook {
            id: HookId(0),
            name: "a".to_owned(),
            role: None,
            kind,
            returns,
            positive: Vec::new(),
            timeouts: Vec::new(),
            sees_resets: false,
            debounce: Debounce::default(),
            meaning: HookMeaning::Generic,
        }
    }

    #[test]
    fn narrow_value_is_read_without_what_else_is_in_the_register() {
        let int = hook(HookKind::Edge, Returns::I32);
        assert_eq!(int.result(0xdead_beef_0000_0001), HookResult::Positive);
        assert_eq!(int.result(0xdead_beef_0000_0000), HookResult::Negative);
        assert_eq!(int.result(0x0000_0000_ffff_ffff), HookResult::Failed);
        let flag = hook(HookKind::Edge, Returns::Bool);
        assert_eq!(flag.result(0xffff_ff01), HookResult::Positive);
        assert_eq!(flag.result(0xffff_ff00), HookResult::Negative);
        let long = hook(HookKind::Latency, Returns::I64);
        assert_eq!(long.result(u64::MAX), HookResult::Failed);
        assert_eq!(long.result(0x0000_0000_ffff_ffff), HookResult::Positive);
    }

    #[test]
    fn null_fails_a_timed_function_and_is_a_negative_result_of_an_edge() {
        let timed = hook(HookKind::Latency, Returns::Pointer);
        assert_eq!(timed.result(0), HookResult::Failed);
        assert_eq!(timed.result(0xffff_8000_0000_0000), HookResult::Positive);
        let edge = hook(HookKind::Edge, Returns::Pointer);
        assert_eq!(edge.result(0), HookResult::Negative);
    }

    #[test]
    fn listed_values_come_before_the_sign() {
        let mut int = hook(HookKind::Edge, Returns::I32);
        int.positive = vec![-3, 2];
        int.timeouts = vec![-110];
        assert_eq!(int.result(2), HookResult::Positive);
        assert_eq!(int.result(u64::from((-3_i32) as u32)), HookResult::Positive);
        assert_eq!(int.result(1), HookResult::Negative);
        assert_eq!(
            int.result(u64::from((-110_i32) as u32)),
            HookResult::Timeout
        );
        assert_eq!(int.result(u64::from((-1_i32) as u32)), HookResult::Failed);
    }
}

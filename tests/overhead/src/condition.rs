//! What the subjects are measured under.

use std::fmt;

/// What is attached to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    NoProbe,
    /// voxprobe with one tracepoint per syscall.
    Tracepoints,
    /// voxprobe with two raw tracepoints.
    Raw,
}

impl Condition {
    pub(crate) const ALL: [Self; 3] = [Self::NoProbe, Self::Tracepoints, Self::Raw];

    /// Value of voxprobe's configuration key `hooks.syscalls`; `None` without voxprobe.
    pub(crate) fn attachment(self) -> Option<&'static str> {
        match self {
            Self::NoProbe => None,
            Self::Tracepoints => Some("tracepoints"),
            Self::Raw => Some("raw"),
        }
    }

    /// The conditions of repetition `index`, each of them once. The order moves on by one with each
    /// repetition, so that none is always the first.
    pub(crate) fn order(index: usize) -> impl Iterator<Item = Self> {
        let count = Self::ALL.len();
        Self::ALL
            .into_iter()
            .cycle()
            .skip(index % count)
            .take(count)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.attachment().unwrap_or("no probe"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_first_in_every_third_repetition() {
        let firsts: Vec<_> = (0..3)
            .filter_map(|index| Condition::order(index).next())
            .collect();
        assert_eq!(firsts, Condition::ALL);
        assert!((0..3).all(|index| Condition::order(index).count() == 3));
    }
}

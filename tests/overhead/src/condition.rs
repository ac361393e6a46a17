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
    /// voxprobe with tracepoints of sockets.
    Sockets,
}

impl Condition {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::NoProbe, Self::Tracepoints, Self::Raw, Self::Sockets];

    /// Value of voxprobe's configuration key `hooks.syscalls`; `None` without voxprobe.
    pub(crate) fn attachment(self) -> Option<&'static str> {
        match self {
            Self::NoProbe => None,
            Self::Tracepoints => Some("tracepoints"),
            Self::Raw => Some("raw"),
            Self::Sockets => Some("sockets"),
        }
    }

    /// The conditions of repetition `index`, each of them once. The order moves on by one with each
    /// repetition, so that none is always the first.
    pub(crate) fn order(index: usize) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .cycle()
            .skip(index % Self::COUNT)
            .take(Self::COUNT)
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
    fn each_condition_is_first_equally_often() {
        let firsts: Vec<_> = (0..Condition::COUNT)
            .filter_map(|index| Condition::order(index).next())
            .collect();
        assert_eq!(firsts, Condition::ALL);
        assert!(
            (0..Condition::COUNT).all(|index| Condition::order(index).count() == Condition::COUNT)
        );
    }
}

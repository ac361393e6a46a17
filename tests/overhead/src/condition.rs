//! What the measured processes run under.

use std::fmt;

use crate::tool::Tool;

/// voxprobe's ways to see sockets, by their names for `--hooks`.
pub(crate) const TIERS: [&str; 3] = ["sockets", "tracepoints", "raw"];

/// What is attached to the kernel, or to the watched process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    Nothing,
    /// Programs that do nothing, wherever voxprobe with these hooks has its own.
    Empty(&'static str),
    /// A program at one syscall that copies nothing, being meant for no process.
    IdleCopier,
    /// The same, which copies what the watched process writes.
    Copier,
    /// voxprobe with these hooks.
    Probe(&'static str),
    /// Another tool.
    Tool(Tool),
}

impl Condition {
    /// All of them, nothing first.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        all.extend(TIERS.map(Self::Empty));
        all.extend([Self::IdleCopier, Self::Copier]);
        all.extend(TIERS.map(Self::Probe));
        all.extend(Tool::ALL.map(Self::Tool));
        all
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.pad("no probe"),
            Self::Empty(tier) => f.pad(&format!("empty {tier}")),
            Self::IdleCopier => f.pad("idle copier"),
            Self::Copier => f.pad("copier"),
            Self::Probe(tier) => f.pad(tier),
            Self::Tool(tool) => f.pad(tool.name()),
        }
    }
}

/// Each of them once, beginning with another one each turn, so that none is always the first.
pub(crate) fn in_turn<T: Copy>(all: &[T], turn: usize) -> impl Iterator<Item = T> {
    let first = turn % all.len().max(1);
    all.iter().copied().cycle().skip(first).take(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_equally_often() {
        let all = Condition::all();
        let turns = 0..all.len();
        let firsts: Vec<_> = turns
            .filter_map(|turn| in_turn(&all, turn).next())
            .collect();
        assert_eq!(firsts, all);
        assert_eq!(in_turn(&all, 3).count(), all.len());
    }
}

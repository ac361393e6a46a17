//! The ways to see sockets, and which of them are tried.

use std::fmt;

use super::AttachError;

/// One way to see sockets. What each costs is measured by `cargo xtask bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Trampolines at the kernel's functions that send and receive (with BTF). A process that does nothing
    /// with sockets pays nothing; `io_uring` is seen.
    Fentry,
    /// The kernel's own tracepoints where a socket has sent, received or gone (Linux 6.3 to 7.1, with
    /// BTF). A process that does nothing with sockets pays nothing; of `io_uring` only lengths are seen, and
    /// what TCP sends.
    Sockets,
    /// Probes at the functions of `Fentry`. Each thread that sleeps in one takes one of few places.
    Kprobe,
    /// One tracepoint per syscall. A call that is not hooked runs no program, but pays for the
    /// kernel's slower path while any syscall tracepoint is on: 40 ns on Linux 6.18; one that is
    /// hooked pays 334 ns in a process that is not watched. Detaches in 1.7 s.
    Tracepoints,
    /// Two raw tracepoints that see every syscall of the host: 127 ns for each call that is not
    /// hooked, 188 ns for one that is. No cheaper on a watched write. Detaches in 0.2 s.
    Raw,
}

impl Tier {
    /// All of them, in the order in which they are tried: the cheapest for processes that are not watched
    /// first; of those that cost them nothing probes last, which may lose what many sleeping threads receive.
    pub const ALL: [Self; 5] = [
        Self::Fentry,
        Self::Sockets,
        Self::Kprobe,
        Self::Tracepoints,
        Self::Raw,
    ];

    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Sockets => "sockets",
            Self::Tracepoints => "tracepoints",
            Self::Raw => "raw",
        }
    }

    /// What is hooked.
    pub fn hooked(self) -> &'static str {
        match self {
            Self::Fentry => "functions of sockets by trampolines, no syscall",
            Self::Kprobe => "functions of sockets by probes, no syscall",
            Self::Sockets => "tracepoints of sockets, no syscall",
            Self::Tracepoints => "one tracepoint per socket syscall",
            Self::Raw => "raw tracepoints on every syscall",
        }
    }

    /// Whether sockets themselves tell, whatever their descriptors; else syscalls do.
    pub fn is_of_sockets(self) -> bool {
        matches!(self, Self::Fentry | Self::Kprobe | Self::Sockets)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which way is asked for.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The first of the others that works here
    #[default]
    Auto,
    /// Trampolines at the kernel's functions of sockets, and nothing else
    Fentry,
    /// The kernel's tracepoints of sockets, and nothing else
    Sockets,
    /// Probes at the kernel's functions of sockets, and nothing else
    Kprobe,
    /// One tracepoint per socket syscall, and nothing else
    Tracepoints,
    /// Two raw tracepoints on every syscall, and nothing else
    Raw,
}

impl Choice {
    /// What is tried, in this order.
    pub fn tiers(self) -> &'static [Tier] {
        match self {
            Self::Auto => &Tier::ALL,
            Self::Fentry => &[Tier::Fentry],
            Self::Kprobe => &[Tier::Kprobe],
            Self::Sockets => &[Tier::Sockets],
            Self::Tracepoints => &[Tier::Tracepoints],
            Self::Raw => &[Tier::Raw],
        }
    }
}

impl From<Tier> for Choice {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Fentry => Self::Fentry,
            Tier::Kprobe => Self::Kprobe,
            Tier::Sockets => Self::Sockets,
            Tier::Tracepoints => Self::Tracepoints,
            Tier::Raw => Self::Raw,
        }
    }
}

/// A tier that was tried and cannot be had.
#[derive(Debug)]
pub struct Refusal {
    /// Which.
    pub tier: Tier,
    /// Why.
    pub error: AttachError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_tried_alone_and_auto_tries_all() {
        for tier in Tier::ALL {
            assert_eq!(Choice::from(tier).tiers(), [tier]);
        }
        assert_eq!(Choice::Auto.tiers(), Tier::ALL);
    }

    #[test]
    fn configuration_takes_each_tier_by_its_name() {
        #[derive(serde::Deserialize)]
        struct Key {
            hooks: Choice,
        }
        for tier in Tier::ALL {
            let key: Key = toml::from_str(&format!("hooks = \"{tier}\"")).unwrap();
            assert_eq!(key.hooks, Choice::from(tier));
        }
    }
}

//! Rules that say which process plays which part.

use probe_core::record::Role;
use regex::Regex;

use super::ProcessFacts;

/// Finds the guide's system without configuration: its modules' names on Python's command line.
pub const DEFAULT_TARGETS: [(Role, &str); 3] = [
    (
        Role::Orchestrator,
        r"(^|\s)-m\s+(\S+\.)?orchestrator\.(server|agent)(\s|$)",
    ),
    (
        Role::Worker,
        r"(^|\s)-m\s+(src\.)?tts(\.worker_main)?(\s|$)",
    ),
    (Role::Redis, r"(^|/)redis-server(\s|$)"),
];

/// A rule. Every condition that is given must hold.
#[derive(Clone, Debug)]
pub struct Target {
    /// The part of a process that matches.
    pub role: Role,
    /// On the arguments joined by spaces.
    pub cmdline: Option<Regex>,
    /// On the executable's path.
    pub exe: Option<Regex>,
    /// On the cgroup path.
    pub cgroup: Option<Regex>,
    /// TCP port it listens on.
    pub port: Option<u16>,
    /// Process id.
    pub pid: Option<u32>,
    /// When the process of this id started, in clock ticks since boot: the id may be given again.
    pub started: Option<u64>,
    /// Label `worker`.
    pub name: Option<String>,
    /// Label `adapter_type`.
    pub adapter: Option<String>,
}

/// Why a `[[target]]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It says not which part.
    #[error("no role: add role = \"orchestrator\", \"worker\" or \"redis\"")]
    NoRole,
    /// It would match every process.
    #[error("no condition: add one of cmdline, exe, cgroup, port or pid")]
    NoCondition,
    /// A pattern is no regular expression.
    #[error("{0} is no regular expression: {1}")]
    Pattern(&'static str, String),
}

/// A process that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Its part.
    pub role: Role,
    /// Label `worker` from the rule.
    pub name: Option<String>,
    /// Label `adapter_type` from the rule.
    pub adapter: Option<String>,
}

impl Target {
    /// The default rules.
    pub fn defaults() -> Vec<Self> {
        DEFAULT_TARGETS
            .iter()
            .filter_map(|(role, pattern)| {
                let cmdline = Regex::new(pattern).ok()?;
                Some(Self {
                    cmdline: Some(cmdline),
                    ..Self::of(*role)
                })
            })
            .collect()
    }

    /// A rule for one process.
    pub fn process(role: Role, facts: &ProcessFacts) -> Self {
        Self {
            pid: Some(facts.pid),
            started: Some(facts.start_ticks),
            ..Self::of(role)
        }
    }

    fn of(role: Role) -> Self {
        Self {
            role,
            cmdline: None,
            exe: None,
            cgroup: None,
            port: None,
            pid: None,
            started: None,
            name: None,
            adapter: None,
        }
    }

    /// Whether it has any condition.
    pub fn has_condition(&self) -> bool {
        self.cmdline.is_some()
            || self.exe.is_some()
            || self.cgroup.is_some()
            || self.port.is_some()
            || self.pid.is_some()
    }

    fn matches(&self, facts: &ProcessFacts) -> bool {
        self.matches_but_port(facts)
            && self
                .port
                .is_none_or(|port| facts.listening_ports().contains(&port))
    }

    fn matches_but_port(&self, facts: &ProcessFacts) -> bool {
        let holds = |pattern: &Option<Regex>, text: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
        };
        self.pid.is_none_or(|pid| pid == facts.pid)
            && self
                .started
                .is_none_or(|started| started == facts.start_ticks)
            && holds(&self.cmdline, &facts.cmdline)
            && holds(&self.exe, &facts.exe)
            && (self.cgroup.is_none() || holds(&self.cgroup, &facts.cgroup()))
    }
}

/// Whether a process that matches no rule may match one once it listens: a worker loads its models
/// before it opens its port.
pub fn may_match_later(targets: &[Target], facts: &ProcessFacts) -> bool {
    targets
        .iter()
        .any(|target| target.port.is_some() && target.matches_but_port(facts))
}

/// The first rule that a process matches.
pub fn find(targets: &[Target], facts: &ProcessFacts) -> Option<Matched> {
    targets
        .iter()
        .find(|target| target.matches(facts))
        .map(|target| Matched {
            role: target.role,
            name: target.name.clone(),
            adapter: target.adapter.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(cmdline: &str) -> Option<Role> {
        let facts = ProcessFacts {
            pid: 1,
            cmdline: cmdline.to_owned(),
            ..ProcessFacts::default()
        };
        find(&Target::defaults(), &facts).map(|matched| matched.role)
    }

    #[test]
    fn defaults_find_the_guides_system() {
        assert_eq!(
            role("python3 -m orchestrator.server --config x"),
            Some(Role::Orchestrator)
        );
        assert_eq!(
            role("python -m src.orchestrator.server"),
            Some(Role::Orchestrator)
        );
        assert_eq!(
            role("python -m orchestrator.agent dev"),
            Some(Role::Orchestrator)
        );
        assert_eq!(
            role("python3 -m tts.worker_main --adapter a --port 7001"),
            Some(Role::Worker)
        );
        assert_eq!(role("python -m src.tts --port 7001"), Some(Role::Worker));
        assert_eq!(role("/usr/bin/redis-server *:6379"), Some(Role::Redis));
    }

    #[test]
    fn defaults_leave_other_processes_alone() {
        assert_eq!(role("vim src/tts/worker_main.py"), None);
        assert_eq!(role("python3 -m tts.tools.convert"), None);
        assert_eq!(role("python3 -m myorchestrator.server"), None);
        assert_eq!(role("redis-server-backup"), None);
    }

    #[test]
    fn process_that_may_yet_open_its_port_may_match_later() {
        let target = [Target {
            cmdline: Regex::new("^server").ok(),
            port: Some(1),
            ..Target::of(Role::Worker)
        }];
        let facts = |cmdline: &str| ProcessFacts {
            pid: std::process::id(),
            cmdline: cmdline.to_owned(),
            ..ProcessFacts::default()
        };
        assert_eq!(find(&target, &facts("server")), None);
        assert!(may_match_later(&target, &facts("server")));
        assert!(!may_match_later(&target, &facts("client")));
        assert!(!may_match_later(&Target::defaults(), &facts("server")));
    }

    #[test]
    fn rule_for_a_process_matches_no_other_one_and_none_that_has_its_id_later() {
        let facts = |pid, start_ticks| ProcessFacts {
            pid,
            start_ticks,
            ..ProcessFacts::default()
        };
        let target = [Target::process(Role::Worker, &facts(7, 100))];
        assert!(find(&target, &facts(7, 100)).is_some());
        assert!(find(&target, &facts(8, 100)).is_none());
        assert!(find(&target, &facts(7, 101)).is_none());
    }
}

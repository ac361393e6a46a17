//! What a watched process is called in metrics.
//!
//! A configured name wins: whoever wrote it wants exactly it, from the first moment on. Next comes
//! what the worker calls itself in Redis (`super::renaming`), which is known only once it registers.
//! Until then, and without either, it is `<program>@<gpu>`; where the GPU is not known or the name is
//! taken, its port tells workers apart, and at last its process id.

use std::collections::BTreeMap;

use probe_core::record::{Process, Role, Tgid};

use crate::discover::{Matched, ProcessFacts};

/// Label of a process whose adapter nothing tells.
const UNKNOWN: &str = "unknown";

/// Where a name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The configuration: it stays.
    Configured,
    /// The process's registration in Redis under this name.
    Registered(String),
    /// Program, GPU and port.
    Program,
    /// The program, here without anything else: the port belongs to it and is not known yet.
    WithoutPort(String),
}

/// The process as the core knows it.
pub fn describe(
    facts: &ProcessFacts,
    matched: &Matched,
    taken: &BTreeMap<Tgid, Process>,
) -> Process {
    describe_source(facts, matched, taken).0
}

/// The same, and where its name comes from.
pub(super) fn describe_source(
    facts: &ProcessFacts,
    matched: &Matched,
    taken: &BTreeMap<Tgid, Process>,
) -> (Process, Source) {
    let (name, source) = match &matched.name {
        Some(name) => (name.clone(), Source::Configured),
        None => name_of(facts, matched.role, taken),
    };
    let process = Process {
        tgid: Tgid(facts.pid),
        at: super::now(),
        role: matched.role,
        name,
        adapter: matched
            .adapter
            .clone()
            .or_else(|| facts.adapter())
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    };
    (process, source)
}

fn name_of(facts: &ProcessFacts, role: Role, taken: &BTreeMap<Tgid, Process>) -> (String, Source) {
    let program = facts.program_name();
    let gpu = facts.visible_gpu();
    let name = match &gpu {
        Some(gpu) => format!("{program}@{gpu}"),
        None => program,
    };
    let is_taken = taken.values().any(|other| other.name == name);
    if role != Role::Worker || (gpu.is_some() && !is_taken) {
        return (name, Source::Program);
    }
    // A worker that is only starting listens nowhere yet, but its arguments may tell.
    let port = facts
        .port_argument()
        .or_else(|| facts.listening_ports().first().copied());
    let Some(port) = port else {
        let without = unused(&name, None, facts.pid, taken);
        return (without, Source::WithoutPort(name));
    };
    let name = unused(&format!("{name}:{port}"), None, facts.pid, taken);
    (name, Source::Program)
}

/// A name that no other process has: this one, else with the port, else with the process id.
pub(super) fn unused(
    name: &str,
    port: Option<u16>,
    pid: u32,
    taken: &BTreeMap<Tgid, Process>,
) -> String {
    let is_free = |name: &String| !taken.values().any(|other| other.name == *name);
    let with_port = port.map(|port| format!("{name}:{port}"));
    [Some(name.to_owned()), with_port]
        .into_iter()
        .flatten()
        .find(is_free)
        .unwrap_or_else(|| format!("{name}#{pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(name: Option<&str>) -> Matched {
        Matched {
            role: Role::Worker,
            name: name.map(str::to_owned),
            adapter: None,
        }
    }

    #[test]
    fn configured_name_wins() {
        let facts = ProcessFacts {
            cmdline: "x --adapter cosy".into(),
            ..ProcessFacts::default()
        };
        let process = describe(&facts, &matched(Some("tts-cosy@0")), &BTreeMap::new());
        assert_eq!(
            (process.name.as_str(), process.adapter.as_str()),
            ("tts-cosy@0", "cosy")
        );
    }

    #[test]
    fn workers_of_one_name_are_told_apart_by_port() {
        let facts = ProcessFacts {
            pid: u32::MAX,
            cmdline: "python -m tts.worker_main --port 7001".into(),
            ..ProcessFacts::default()
        };
        let first = describe(&facts, &matched(None), &BTreeMap::new());
        assert_eq!(first.name, "tts.worker_main:7001");
        let taken = BTreeMap::from([(Tgid(1), first)]);
        let second = describe(&facts, &matched(None), &taken);
        assert_eq!(second.name, format!("tts.worker_main:7001#{}", u32::MAX));
    }

    #[test]
    fn taken_name_gets_its_port_and_at_last_its_process_id() {
        let facts = ProcessFacts::default();
        let taken: BTreeMap<_, _> = ["a", "b", "b:7001"]
            .iter()
            .zip(1..)
            .map(|(name, pid)| {
                let process = describe(&facts, &matched(Some(name)), &BTreeMap::new());
                (Tgid(pid), process)
            })
            .collect();
        assert_eq!(unused("c", Some(7001), 9, &taken), "c");
        assert_eq!(unused("a", Some(7001), 9, &taken), "a:7001");
        assert_eq!(unused("a", None, 9, &taken), "a#9");
        assert_eq!(unused("b", Some(7001), 9, &taken), "b#9");
    }

    #[test]
    fn unknown_gpu_and_port_leave_the_program() {
        let facts = ProcessFacts {
            pid: u32::MAX,
            cmdline: "python -m tts.worker_main".into(),
            ..ProcessFacts::default()
        };
        let process = describe(&facts, &matched(None), &BTreeMap::new());
        assert_eq!(
            (process.name.as_str(), process.adapter.as_str()),
            ("tts.worker_main", "unknown")
        );
    }
}

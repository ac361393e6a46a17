//! What a watched process is called in metrics.

use std::collections::BTreeMap;

use probe_core::record::{Process, Role, Tgid};

use crate::discover::{Matched, ProcessFacts};

/// Label of a process whose adapter nothing tells.
const UNKNOWN: &str = "unknown";

/// The process as the core knows it. The name is the configured one, else `<program>@<gpu>`; where
/// the GPU is not known or the name is taken by another worker, its port tells them apart, and at
/// last its process id.
pub fn describe(
    facts: &ProcessFacts,
    matched: &Matched,
    taken: &BTreeMap<Tgid, Process>,
) -> Process {
    let name = matched.name.clone().unwrap_or_else(|| {
        let program = facts.program_name();
        let gpu = facts.visible_gpu();
        let name = match &gpu {
            Some(gpu) => format!("{program}@{gpu}"),
            None => program,
        };
        let is_taken = |name: &str| taken.values().any(|other| other.name == name);
        if matched.role != Role::Worker || (gpu.is_some() && !is_taken(&name)) {
            return name;
        }
        // A worker that is only starting listens nowhere yet, but its arguments tell.
        let port = facts
            .port_argument()
            .or_else(|| facts.listening_ports().first().copied());
        let name = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
        if is_taken(&name) {
            format!("{name}#{}", facts.pid)
        } else {
            name
        }
    });
    Process {
        tgid: Tgid(facts.pid),
        at: super::now(),
        role: matched.role,
        name,
        adapter: matched
            .adapter
            .clone()
            .or_else(|| facts.adapter())
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    }
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

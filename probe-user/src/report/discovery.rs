//! The processes that would be watched.

use std::{collections::BTreeMap, fmt};

use probe_core::record::{Address, Gpu, Process, Tgid};
use serde::Serialize;

use crate::{
    discover::{ProcessFacts, SocketTable, find, processes},
    gpu,
    ingest::describe,
    settings::Settings,
};

/// Processes that match the targets.
#[derive(Clone, Debug, Serialize)]
pub struct Discovery {
    /// By process id.
    pub processes: Vec<Found>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Process id.
    pub pid: u32,
    /// Its part.
    pub role: &'static str,
    /// Label `worker` it would have.
    pub name: String,
    /// Label `adapter_type` it would have.
    pub adapter: String,
    /// Addresses it listens on; `null` when they may not be read.
    pub listening: Option<Vec<String>>,
    /// Open connections; `null` when they may not be read.
    pub connections: Option<usize>,
    /// Label `gpu_id` of the GPUs it or its children use.
    pub gpus: Vec<String>,
    /// Its command line.
    pub cmdline: String,
}

impl Discovery {
    /// Processes of this host that match, as they would be watched.
    pub(super) fn processes_of_host(settings: &Settings) -> BTreeMap<Tgid, Process> {
        let mut taken = BTreeMap::new();
        for facts in processes().values() {
            if let Some(matched) = find(&settings.targets, facts)
                && facts.pid != std::process::id()
            {
                let process = describe(facts, &matched, &taken);
                taken.insert(Tgid(facts.pid), process);
            }
        }
        taken
    }

    /// Looks over this host.
    pub fn of_host(settings: &Settings) -> Self {
        let all = processes();
        let gpus = gpu::check(&settings.gpu).gpus;
        let mut taken = BTreeMap::new();
        let mut found = Vec::new();
        for facts in all.values() {
            let Some(matched) = find(&settings.targets, facts) else {
                continue;
            };
            if facts.pid == std::process::id() {
                continue;
            }
            let process = describe(facts, &matched, &taken);
            let table = SocketTable::read(facts.pid);
            found.push(Found {
                pid: facts.pid,
                role: process.role.as_str(),
                name: process.name.clone(),
                adapter: process.adapter.clone(),
                listening: table.as_ref().map(listening),
                connections: table.as_ref().map(|table| {
                    table
                        .sockets
                        .iter()
                        .filter(|socket| !socket.listening)
                        .count()
                }),
                gpus: gpus_of(facts, &gpus, &all),
                cmdline: facts.cmdline.clone(),
            });
            taken.insert(Tgid(facts.pid), process);
        }
        Self { processes: found }
    }
}

fn listening(table: &SocketTable) -> Vec<String> {
    let listeners = table.sockets.iter().filter(|socket| socket.listening);
    listeners.map(|socket| address(&socket.local)).collect()
}

fn address(address: &Address) -> String {
    match address {
        Address::Inet(address) => address.to_string(),
        Address::Unix(path) => path.clone(),
    }
}

/// GPUs on which the process or one of its descendants runs.
fn gpus_of(facts: &ProcessFacts, gpus: &[Gpu], all: &BTreeMap<u32, ProcessFacts>) -> Vec<String> {
    let descends = |mut pid: u32| {
        for _ in 0..all.len() {
            if pid == facts.pid {
                return true;
            }
            match all.get(&pid) {
                Some(process) if process.parent != 0 => pid = process.parent,
                _ => return false,
            }
        }
        false
    };
    gpus.iter()
        .filter(|gpu| gpu.processes.iter().any(|process| descends(process.pid)))
        .map(|gpu| gpu.id.clone())
        .collect()
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.processes.is_empty() {
            return writeln!(
                f,
                "no process matches: name yours with --pid, or with a [[target]] in the \
                 configuration"
            );
        }
        writeln!(
            f,
            "{:>8} {:12} {:24} {:5} {:20} GPU",
            "PID", "ROLE", "NAME", "CONNS", "LISTENS"
        )?;
        for process in &self.processes {
            let connections = process
                .connections
                .map_or_else(|| "?".to_owned(), |count| count.to_string());
            let listening = process
                .listening
                .as_ref()
                .map_or_else(|| "?".to_owned(), |all| all.join(","));
            writeln!(
                f,
                "{:>8} {:12} {:24} {:5} {:20} {}",
                process.pid,
                process.role,
                process.name,
                connections,
                listening,
                process.gpus.join(",")
            )?;
        }
        let open: usize = self.processes.iter().filter_map(|it| it.connections).sum();
        if open > 0 {
            writeln!(
                f,
                "{open} connections are open: voxprobe joins them late, and infers gRPC methods there \
                 (`voxprobe check` says which)"
            )?;
        }
        Ok(())
    }
}

//! Names that become known later: a worker registers with Redis, or opens its port.
//!
//! A registration is believed for the watched worker that wrote it itself, and else for the one that
//! listens on the registered port of this host. The first one stays: another name for the same
//! worker is passed over, and another worker of the same name gets its port behind it.

use std::collections::{BTreeMap, HashMap, HashSet};

use probe_core::{
    pipeline::Registered,
    record::{Address, Process, Record, Role, Tgid},
};

use super::{
    Tracker,
    naming::{Source, describe_source, unused},
    now,
};
use crate::discover::{Endpoint, Matched, ProcessFacts, SocketTable, is_own_address};

/// Registrations remembered as seen to. Workers repeat theirs every few seconds.
const MAX_SEEN: usize = 1024;

/// Where names come from, and which registrations were seen to.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By name: processes of one name are one worker.
    sources: HashMap<String, Source>,
    seen: HashSet<(String, Option<String>, Option<Tgid>)>,
}

impl Names {
    /// What was seen to may mean something else by now.
    pub(super) fn look_again(&mut self) {
        self.seen.clear();
    }

    /// Whether a registration is new since the last look.
    fn is_news(&mut self, registered: &Registered) -> bool {
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        self.seen.insert((
            registered.name.clone(),
            registered.address.clone(),
            registered.by,
        ))
    }

    /// Forgets the names that no process has any more.
    pub(super) fn retain(&mut self, processes: &BTreeMap<Tgid, Process>) {
        self.sources
            .retain(|name, _| processes.values().any(|process| process.name == *name));
    }
}

impl Tracker {
    /// Describes a process that is to be watched. A process that ended a moment ago does not keep its
    /// name from its successor.
    pub(super) fn describe(
        &mut self,
        facts: &ProcessFacts,
        matched: &Matched,
        out: &mut impl FnMut(Record<'_>),
    ) -> Process {
        self.end_dead(out);
        let tgid = Tgid(facts.pid);
        let (process, source) = describe_source(facts, matched, &self.others(tgid));
        self.names.look_again();
        self.names.retain(&self.processes);
        self.names.sources.insert(process.name.clone(), source);
        process
    }

    /// A worker was seen to register with Redis.
    pub fn registered(&mut self, registered: &Registered, out: &mut impl FnMut(Record<'_>)) {
        if !self.names.is_news(registered) {
            return;
        }
        let endpoint = registered.address.as_deref().and_then(Endpoint::parse);
        let Some(tgid) = self.registrant(registered, endpoint.as_ref()) else {
            tracing::debug!(
                worker = registered.name,
                address = registered.address,
                "registration of a worker that is not watched here"
            );
            return;
        };
        let Some(from) = self.processes.get(&tgid).map(|it| it.name.clone()) else {
            return;
        };
        match self.names.sources.get(&from) {
            Some(Source::Configured) => return,
            Some(Source::Registered(first)) => {
                if *first != registered.name {
                    tracing::debug!(worker = from, other = registered.name, "registered again");
                }
                return;
            }
            Some(Source::Program | Source::WithoutPort(_)) | None => {}
        }
        let port = endpoint.map(|endpoint| endpoint.port);
        let to = unused(&registered.name, port, tgid.0, &self.others(tgid));
        let source = Source::Registered(registered.name.clone());
        self.rename(&from, &to, source, out);
    }

    /// A worker whose port was not known when it was named may listen by now.
    pub(super) fn settle_name(&mut self, tgid: Tgid, out: &mut impl FnMut(Record<'_>)) {
        let Some(from) = self.processes.get(&tgid).map(|it| it.name.clone()) else {
            return;
        };
        let Some(Source::WithoutPort(program)) = self.names.sources.get(&from).cloned() else {
            return;
        };
        if let Some(port) = listening_ports(tgid).first() {
            let name = format!("{program}:{port}");
            let to = unused(&name, None, tgid.0, &self.others(tgid));
            self.rename(&from, &to, Source::Program, out);
        }
    }

    /// The same for all of them.
    pub(super) fn settle_names(&mut self, out: &mut impl FnMut(Record<'_>)) {
        let lacks_port = |process: &Process| {
            let source = self.names.sources.get(&process.name);
            matches!(source, Some(Source::WithoutPort(_)))
        };
        let open: Vec<Tgid> = self
            .processes
            .values()
            .filter(|process| lacks_port(process))
            .map(|process| process.tgid)
            .collect();
        for tgid in open {
            self.settle_name(tgid, out);
        }
    }

    /// The watched worker that a registration is about.
    fn registrant(&self, registered: &Registered, endpoint: Option<&Endpoint>) -> Option<Tgid> {
        let own = registered
            .by
            .filter(|tgid| self.workers().any(|(worker, _)| worker == tgid));
        let Some(endpoint) = endpoint else {
            return own;
        };
        if let Some(own) = own {
            let ports = listening_ports(own);
            if ports.is_empty() || ports.contains(&endpoint.port) {
                return Some(own);
            }
        }
        let is_local_speaker = match &registered.peer {
            Some(Address::Inet(peer)) => is_own_address(peer.ip()),
            Some(Address::Unix(_)) | None => true,
        };
        if !endpoint.is_here(is_local_speaker) {
            return None;
        }
        let listens = |tgid: &Tgid| listening_ports(*tgid).contains(&endpoint.port);
        self.workers().map(|(tgid, _)| *tgid).find(listens)
    }

    fn workers(&self) -> impl Iterator<Item = (&Tgid, &Process)> {
        let all = self.processes.iter();
        all.filter(|(_, process)| process.role == Role::Worker)
    }

    /// Processes that are not the same worker as this one.
    fn others(&self, tgid: Tgid) -> BTreeMap<Tgid, Process> {
        let own = self.processes.get(&tgid).map(|process| &process.name);
        let other = |process: &Process| process.tgid != tgid && Some(&process.name) != own;
        let all = self.processes.iter();
        all.filter(|(_, process)| other(process))
            .map(|(tgid, process)| (*tgid, process.clone()))
            .collect()
    }

    /// Every process of one name has another from now on.
    pub(super) fn rename(
        &mut self,
        from: &str,
        to: &str,
        source: Source,
        out: &mut impl FnMut(Record<'_>),
    ) {
        self.names.sources.remove(from);
        self.names.sources.insert(to.to_owned(), source);
        if from == to {
            return;
        }
        let renamed = |process: &&mut Process| process.role == Role::Worker && process.name == from;
        for process in self.processes.values_mut().filter(renamed) {
            to.clone_into(&mut process.name);
        }
        tracing::info!(from, worker = to, "worker renamed");
        out(Record::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
            at: now(),
        });
    }
}

fn listening_ports(tgid: Tgid) -> Vec<u16> {
    SocketTable::read(tgid.0).map_or_else(Vec::new, |table| table.listening_ports())
}

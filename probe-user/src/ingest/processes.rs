//! Processes: found, made by watched ones, executing another program, ended.

use probe_abi::{INHERITED_FDS, Process as ProcessEntry, WATCHED_SLOTS};
use probe_core::record::{KtimeNs, Process, Record, Tgid, kernel::Descriptor};

use super::{Tracker, descriptors::Gone, now};
use crate::{
    attach::ProcessValue,
    discover::{Matched, ProcessFacts, Snapshot, find, may_match_later, processes, socket_inode},
};

impl Tracker {
    /// Looks over every process of the host for those that should be watched and are not.
    pub(super) fn look_over(&mut self, out: &mut impl FnMut(Record<'_>)) {
        self.names.look_again();
        self.settle_names(out);
        let all = processes();
        self.passed_over.retain(|pid, start| {
            all.get(pid)
                .is_some_and(|facts| facts.start_ticks == *start)
        });
        for facts in all.values() {
            // A process that ended and is not yet waited for has no arguments.
            let known = self.is_same(Tgid(facts.pid), facts.start_ticks)
                || facts.pid == std::process::id()
                || facts.cmdline.is_empty();
            if known {
                continue;
            }
            // Made while its parent's children were being read, or its making was lost.
            if let Some(parent) = self.processes.get(&Tgid(facts.parent)) {
                let tgid = Tgid(facts.pid);
                let process = Process {
                    tgid,
                    ..parent.clone()
                };
                self.watch(process, out);
                continue;
            }
            if self.passed_over.get(&facts.pid) == Some(&facts.start_ticks) {
                continue;
            }
            match find(&self.targets, facts) {
                Some(matched) => self.watch_tree(facts, &matched, &all, out),
                None => self.pass_over(facts),
            }
        }
        for tgid in self.processes.keys().copied().collect::<Vec<_>>() {
            let lives = all
                .get(&tgid.0)
                .is_some_and(|facts| self.is_same(tgid, facts.start_ticks));
            if !lives {
                self.ending.entry(tgid).or_insert_with(now);
            }
        }
    }

    /// Remembers not to look at a process again, unless what it lacks may still come.
    fn pass_over(&mut self, facts: &ProcessFacts) {
        if may_match_later(&self.targets, facts) {
            // It may have been another program until now.
            self.passed_over.remove(&facts.pid);
        } else {
            self.passed_over.insert(facts.pid, facts.start_ticks);
        }
    }

    /// The descriptors of a process are those that the agent knows: the kernel side may take its
    /// calls for the connections' again.
    pub(super) fn trust_descriptors(&mut self, tgid: Tgid) {
        let Some(&files) = self.files.get(&tgid) else {
            return;
        };
        if let Err(error) = self.enter(tgid, files) {
            tracing::warn!(pid = tgid.0, %error, "process is no longer watched");
        }
    }

    /// Watches a process and the children it already has.
    fn watch_tree(
        &mut self,
        facts: &ProcessFacts,
        matched: &Matched,
        all: &Snapshot,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let process = self.describe(facts, matched, out);
        let mut parents = vec![facts.pid];
        self.watch(process.clone(), out);
        while let Some(parent) = parents.pop() {
            for child in all.values().filter(|facts| facts.parent == parent) {
                let tgid = Tgid(child.pid);
                // Watching itself, the agent would answer each of its records with another.
                if !self.processes.contains_key(&tgid) && child.pid != std::process::id() {
                    parents.push(child.pid);
                    self.watch(
                        Process {
                            tgid,
                            ..process.clone()
                        },
                        out,
                    );
                }
            }
        }
    }

    /// Watches one process: the kernel side first, so that nothing that begins while `/proc` is
    /// read is missed.
    fn watch(&mut self, process: Process, out: &mut impl FnMut(Record<'_>)) {
        let tgid = process.tgid;
        if let Err(error) = self.enter(tgid, tgid.0) {
            tracing::warn!(pid = tgid.0, %error, "process cannot be watched: the map is full");
            return;
        }
        tracing::info!(
            pid = tgid.0,
            role = process.role.as_str(),
            worker = process.name,
            "process watched"
        );
        self.files.insert(tgid, tgid.0);
        self.remember_start(tgid);
        self.watched.insert(tgid);
        self.processes.insert(tgid, process.clone());
        out(Record::Process(process));
        self.find_connections(tgid, out);
    }

    /// Tells the kernel side to watch a process; since when, once it does.
    fn enter(&mut self, tgid: Tgid, files: u32) -> Result<(), aya::maps::MapError> {
        let maps = &mut self.attached.maps;
        maps.watched.set(tgid.0 % WATCHED_SLOTS, 1, 0)?;
        let entry = |since_ns| {
            ProcessValue(ProcessEntry {
                files,
                flags: 0,
                since_ns,
            })
        };
        maps.processes.insert(tgid.0, entry(u64::MAX), 0)?;
        maps.processes.insert(tgid.0, entry(now().0), 0)
    }

    fn remember_start(&mut self, tgid: Tgid) {
        // One that is gone already has none, and is found to be gone.
        if let Some(facts) = ProcessFacts::read(tgid.0) {
            self.started.insert(tgid, facts.start_ticks);
        }
    }

    /// Whether this id is that of a watched process, and not given again since.
    fn is_same(&self, tgid: Tgid, start_ticks: u64) -> bool {
        self.processes.contains_key(&tgid)
            && self
                .started
                .get(&tgid)
                .is_none_or(|started| *started == start_ticks)
    }

    /// A watched process made a process; the kernel side watches it already.
    pub(super) fn forked(
        &mut self,
        child: Tgid,
        parent: Tgid,
        files: u32,
        shared: bool,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let Some(process) = self.processes.get(&parent) else {
            // The parent ended meanwhile and is forgotten: nothing says what the child is.
            let _absent = self.attached.maps.processes.remove(&child.0);
            return;
        };
        let process = Process {
            tgid: child,
            at,
            ..process.clone()
        };
        self.processes.insert(child, process.clone());
        self.files.insert(child, files);
        self.remember_start(child);
        self.watched.insert(child);
        out(Record::Process(process));
        if shared {
            return;
        }
        let Some(&parent_files) = self.files.get(&parent) else {
            return;
        };
        for (descriptor, connection) in self.descriptors.of_table(parent_files) {
            let copy = Descriptor {
                files,
                fd: descriptor.fd,
            };
            // The kernel side copied the others at the fork, and says so.
            if copy.fd < INHERITED_FDS || !self.attach(copy, connection) {
                continue;
            }
            // The child may have closed it meanwhile, and have something else there.
            let (inode, origin) = (
                socket_inode(child.0, copy.fd),
                socket_inode(parent.0, descriptor.fd),
            );
            if inode.is_some() && (origin.is_none() || origin == inode) {
                self.descriptors.add(copy, connection);
            } else {
                self.detach(Gone {
                    descriptor: copy,
                    connection,
                });
            }
        }
    }

    /// A process executed a program.
    pub(super) fn executed(&mut self, tgid: Tgid, at: KtimeNs, out: &mut impl FnMut(Record<'_>)) {
        if tgid.0 == std::process::id() {
            return;
        }
        let Some(facts) = ProcessFacts::read(tgid.0) else {
            return;
        };
        let matched = find(&self.targets, &facts);
        if !self.is_same(tgid, facts.start_ticks) {
            // Another one that had its id, of whose end no record came.
            self.ended(tgid, at, out);
            match matched {
                Some(matched) => {
                    let process = self.describe(&facts, &matched, out);
                    self.watch(process, out);
                }
                None => self.pass_over(&facts),
            }
            return;
        }
        // `exec` gives the process a descriptor table of its own, without those marked to close. What it
        // moved on the others until now went unseen: they are joined late.
        if self.files.insert(tgid, tgid.0) == Some(tgid.0) {
            for (descriptor, _) in self.descriptors.of_table(tgid.0) {
                self.let_go(descriptor, at, out);
            }
        }
        self.forget_files(tgid, at, out);
        self.find_connections(tgid, out);
        self.trust_descriptors(tgid);
        if let Some(matched) = matched {
            let process = Process {
                at,
                ..self.describe(&facts, &matched, out)
            };
            self.processes.insert(tgid, process.clone());
            out(Record::Process(process));
        }
    }

    /// Forgets processes that are gone. A first thread may end before the others: such a process
    /// is not gone.
    pub(super) fn finish_ended(&mut self, now: KtimeNs, out: &mut impl FnMut(Record<'_>)) {
        /// Nanoseconds that the threads of a killed process have to end.
        const GRACE_NS: u64 = 200_000_000;
        let due: Vec<_> = self
            .ending
            .iter()
            .filter(|(_, since)| now.since(**since) >= GRACE_NS)
            .map(|(tgid, since)| (*tgid, *since))
            .collect();
        for (tgid, at) in due {
            self.ending.remove(&tgid);
            if !self.lives(tgid) {
                self.ended(tgid, at, out);
            }
        }
    }

    /// Forgets the processes that are gone already, without waiting for their last threads.
    pub(super) fn end_dead(&mut self, out: &mut impl FnMut(Record<'_>)) {
        let all = self.processes.keys();
        let dead: Vec<Tgid> = all.copied().filter(|tgid| !self.lives(*tgid)).collect();
        for tgid in dead {
            let at = self.ending.remove(&tgid).unwrap_or_else(now);
            self.ended(tgid, at, out);
        }
    }

    /// Whether any thread of the process still runs.
    fn lives(&self, tgid: Tgid) -> bool {
        ProcessFacts::read(tgid.0).is_some_and(|facts| self.is_same(tgid, facts.start_ticks))
            && has_live_thread(tgid)
    }

    fn ended(&mut self, tgid: Tgid, at: KtimeNs, out: &mut impl FnMut(Record<'_>)) {
        if self.processes.contains_key(&tgid) {
            let _absent = self.attached.maps.processes.remove(&tgid.0);
            self.forget_process(tgid, at, out);
        }
    }

    /// Forgets a process whose id the kernel side may have given to a new one already.
    pub(super) fn forget_process(
        &mut self,
        tgid: Tgid,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        let Some(process) = self.processes.remove(&tgid) else {
            return;
        };
        self.ending.remove(&tgid);
        self.started.remove(&tgid);
        self.watched.remove(tgid);
        self.forget_files(tgid, at, out);
        tracing::info!(pid = tgid.0, worker = process.name, "process ended");
        // Before its connections are closed: they end because it did.
        out(Record::ProcessEnded { tgid, at });
        if let Some(files) = self.files.remove(&tgid)
            && !self.files.values().any(|other| *other == files)
        {
            for (descriptor, connection) in self.descriptors.of_table(files) {
                self.detach(Gone {
                    descriptor,
                    connection,
                });
                if let Some(connection) = self.descriptors.remove(descriptor) {
                    self.closed(connection, at, out);
                }
            }
        }
    }
}

/// Whether any thread of a process still runs.
fn has_live_thread(tgid: Tgid) -> bool {
    let Ok(process) = procfs::process::Process::new(tgid.0 as i32) else {
        return false;
    };
    let Ok(tasks) = process.tasks() else {
        return false;
    };
    tasks.flatten().any(|task| {
        task.stat()
            .is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X' | 'x'))
    })
}

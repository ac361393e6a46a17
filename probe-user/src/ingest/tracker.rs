//! The kernel side's records become the core's: what they leave open is looked up here.

use std::collections::{BTreeMap, HashMap};

use probe_core::record::{
    Address, ConnectionId, HookCall, KtimeNs, Process, Record, Tgid,
    kernel::{Descriptor, KernelRecord},
};

use super::{
    Watched, descriptors::Descriptors, files::OpenFiles, quota::Quotas, renaming::Names,
    sockets::Sockets, tcp::TcpReadings,
};
use crate::{
    attach::{Attached, Following, LibraryHooks},
    discover::{ModelFiles, Target},
};

/// Nanoseconds between two looks at descriptors whose end no record tells.
const COMPARE_NS: u64 = 1_000_000_000;

/// Watched processes and their connections.
pub struct Tracker {
    pub(super) attached: Attached,
    /// Hooks at libraries of watched processes.
    pub(super) hooks: LibraryHooks,
    /// Whether the core knows the hooks.
    pub(super) is_told: bool,
    pub(super) targets: Vec<Target>,
    /// Watched processes.
    pub(super) processes: BTreeMap<Tgid, Process>,
    /// Their ids, shared with the GPU sampler.
    pub(super) watched: Watched,
    /// Descriptor table of each watched process.
    pub(super) files: HashMap<Tgid, u32>,
    /// When each watched process started, in clock ticks since boot: an id may be given again.
    pub(super) started: HashMap<Tgid, u64>,
    pub(super) descriptors: Descriptors,
    /// Weights files that are open or mapped.
    pub(super) open_files: OpenFiles,
    /// Where the processes' names come from.
    pub(super) names: Names,
    /// Addresses of listening sockets by inode: each is looked up once.
    pub(super) listeners: HashMap<u64, Address>,
    /// Processes whose last thread may be gone, and since when.
    pub(super) ending: BTreeMap<Tgid, KtimeNs>,
    /// Descriptors that `/proc` no longer shows, to be closed once the records that the kernel
    /// side had written by then are read.
    pub(super) vanished: Vec<(super::descriptors::Gone, KtimeNs)>,
    /// Processes that were looked at and not watched: pid → start time.
    pub(super) passed_over: HashMap<u32, u64>,
    /// Open or close records lost at the last look.
    pub(super) control_losses: u64,
    /// Such records were lost, and `/proc` is to be looked at when the ring is read empty: earlier,
    /// the time it takes would fill the ring further.
    pub(super) is_behind: bool,
    /// Their sockets, where sockets are hooked.
    pub(super) sockets: Sockets,
    /// Sockets that are gone, and when, of processes that may have ended.
    pub(super) closing: Vec<(ConnectionId, KtimeNs)>,
    /// When descriptors were last compared with `/proc`.
    compared: KtimeNs,
    /// CPU quotas of the watched processes' control groups.
    quotas: Quotas,
    /// What TCP counts on workers' connections.
    tcp: TcpReadings,
}

impl Tracker {
    pub(super) fn new(
        attached: Attached,
        targets: Vec<Target>,
        hooks: LibraryHooks,
        model_files: ModelFiles,
    ) -> Self {
        Self {
            attached,
            hooks,
            is_told: false,
            targets,
            processes: BTreeMap::new(),
            watched: Watched::default(),
            files: HashMap::new(),
            started: HashMap::new(),
            descriptors: Descriptors::default(),
            open_files: OpenFiles::new(model_files),
            names: Names::default(),
            listeners: HashMap::new(),
            ending: BTreeMap::new(),
            vanished: Vec::new(),
            passed_over: HashMap::new(),
            control_losses: 0,
            is_behind: false,
            sockets: Sockets::default(),
            closing: Vec::new(),
            compared: KtimeNs(0),
            quotas: Quotas::default(),
            tcp: TcpReadings::default(),
        }
    }

    /// Watched processes.
    pub fn processes(&self) -> &BTreeMap<Tgid, Process> {
        &self.processes
    }

    /// Watched processes, with when each started, in clock ticks since boot; those that were gone before
    /// that could be read are left out.
    pub fn started_processes(&self) -> impl Iterator<Item = (&Process, u64)> {
        let all = self.processes.values();
        all.filter_map(|process| Some((process, *self.started.get(&process.tgid)?)))
    }

    /// Their ids, for another thread.
    pub fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// Programs in the kernel.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Hooks at libraries.
    pub fn hooks(&self) -> &LibraryHooks {
        &self.hooks
    }

    /// Turns one record of the kernel side into records of the core.
    pub(super) fn handle(&mut self, record: KernelRecord<'_>, out: &mut impl FnMut(Record<'_>)) {
        match record {
            KernelRecord::Chunk { chunk, tgid, fd } => {
                if self.descriptors.knows(chunk.connection)
                    || self.recover(chunk.connection, chunk.offset, tgid, fd, chunk.enter, out)
                {
                    out(Record::Chunk(chunk));
                }
            }
            KernelRecord::HalfClosed {
                connection,
                direction,
                at,
            } => {
                if self.descriptors.knows(connection) {
                    out(Record::HalfClosed {
                        connection,
                        direction,
                        at,
                    });
                }
            }
            KernelRecord::Refused { connection, at } => {
                if self.descriptors.knows(connection) {
                    out(Record::Refused { connection, at });
                }
            }
            KernelRecord::Failed {
                connection,
                errno,
                at,
            } => {
                if self.descriptors.knows(connection) {
                    out(Record::Closed {
                        connection,
                        at,
                        errno: Some(errno),
                    });
                }
            }
            KernelRecord::Opened(new) => self.announced(new, out),
            KernelRecord::DescriptorClosed {
                descriptor,
                connection,
                at,
            } => self.descriptor_closed(connection, descriptor, at, out),
            KernelRecord::SocketClosed { connection, at } => {
                self.socket_closed(connection, at, out);
            }
            KernelRecord::DescriptorAdded {
                connection,
                descriptor,
            } => {
                if self.descriptors.knows(connection)
                    && let Some(replaced) = self.descriptors.add(descriptor, connection)
                {
                    self.replaced(replaced, descriptor.files, super::now(), out);
                }
            }
            KernelRecord::Forked {
                child,
                parent,
                files,
                shared,
                at,
            } => {
                self.forked(child, parent, files, shared, at, out);
            }
            KernelRecord::Executed { tgid, at } => self.executed(tgid, at, out),
            KernelRecord::Exited { tgid, at } => {
                if self.processes.contains_key(&tgid) {
                    self.ending.insert(tgid, at);
                } else {
                    // Its making was lost: its id must not be watched when another process has it.
                    let _absent = self.attached.maps.processes.remove(&tgid.0);
                }
            }
            KernelRecord::Gone { tgid, at } => self.forget_process(tgid, at, out),
            KernelRecord::Hooked { attachment, call } => self.hooked(attachment, call, out),
            // Sockets show themselves by their first bytes, however the process came by them.
            KernelRecord::DescriptorsChanged { .. } if self.attached.tier.is_of_sockets() => {}
            KernelRecord::DescriptorsChanged { tgid } => {
                self.compare_descriptors(tgid);
                self.find_connections(tgid, out);
                self.forget_files(tgid, super::now(), out);
            }
            KernelRecord::File(file) => self.file(file, out),
            KernelRecord::Sched(sched) => {
                if self.processes.contains_key(&sched.tgid) {
                    out(Record::Sched(sched));
                }
            }
        }
    }

    /// A descriptor of a connection was closed.
    fn descriptor_closed(
        &mut self,
        connection: ConnectionId,
        descriptor: Descriptor,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        if self.descriptors.connection(descriptor) == Some(connection)
            && let Some(connection) = self.descriptors.remove(descriptor)
        {
            self.closed(connection, at, out);
        } else if !self.descriptors.knows(connection) {
            // Its opening was lost and it moved no bytes: nobody else takes it out.
            self.attached.maps.connections.remove(connection.0);
        }
    }

    /// A hooked function was called; the core is told which hook's it is.
    fn hooked(&mut self, attachment: u32, call: HookCall, out: &mut impl FnMut(Record<'_>)) {
        let Some(process) = self.processes.get(&call.tgid) else {
            return;
        };
        if let Some(hook) = self.hooks.assign(&mut self.attached, attachment, process) {
            out(Record::HookCalled(HookCall { hook, ..call }));
        }
    }

    /// Every record written so far is read.
    pub(super) fn handle_ring_empty(&mut self, out: &mut impl FnMut(Record<'_>)) {
        for (gone, at) in std::mem::take(&mut self.vanished) {
            if self.descriptors.connection(gone.descriptor) == Some(gone.connection)
                && !self.closes_by_ending(gone.descriptor)
                && let Some(connection) = self.descriptors.remove(gone.descriptor)
            {
                self.closed(connection, at, out);
            }
        }
        if std::mem::take(&mut self.is_behind) {
            for tgid in self.processes.keys().copied().collect::<Vec<_>>() {
                self.compare_descriptors(tgid);
                self.look_for_lost_ends(tgid);
                self.find_connections(tgid, out);
                self.trust_descriptors(tgid);
            }
        }
    }

    /// Regular duties.
    pub(super) fn handle_tick(
        &mut self,
        now: KtimeNs,
        look_over: bool,
        out: &mut impl FnMut(Record<'_>),
    ) {
        self.look_at_files(out);
        self.finish_ended(now, out);
        self.close_held_back(out);
        if let Following::On(_) = self.attached.following {
            self.quotas.read(&self.processes, now, out);
            let (processes, files) = (&self.processes, &self.files);
            self.tcp.read(processes, files, &self.descriptors, now, out);
        }
        if self.attached.tier.is_of_sockets() && now.since(self.compared) >= COMPARE_NS {
            self.compared = now;
            self.look_for_closed_sockets();
        }
        self.is_behind |= self.lost_control_records();
        if look_over {
            self.look_over(out);
        }
        if !std::mem::replace(&mut self.is_told, true) {
            for target in self.hooks.targets() {
                out(Record::Hook(target.hook.clone()));
            }
        }
        self.hooks
            .look(&mut self.attached, &self.processes, now, look_over);
    }

    /// Whether records other than chunks were lost since the last call.
    fn lost_control_records(&mut self) -> bool {
        let values = self
            .attached
            .maps
            .losses
            .get(&probe_abi::loss::RING_FULL_CONTROL, 0);
        let lost = values.map_or(0, |values| values.iter().sum());
        std::mem::replace(&mut self.control_losses, lost) != lost
    }

    /// A connection's process may have opened it while the ring was full: a chunk of a connection
    /// that the kernel side still has, and nobody announced, makes it known.
    fn recover(
        &mut self,
        connection: ConnectionId,
        offset: u64,
        tgid: Tgid,
        fd: i32,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) -> bool {
        let Some(&files) = self.files.get(&tgid) else {
            return false;
        };
        if !self.attached.maps.connections.lives(connection.0) {
            return false;
        }
        let descriptor = Descriptor { files, fd };
        self.recovered(connection, offset, tgid, descriptor, at, out);
        true
    }
}

//! Hooks at functions of libraries that watched processes have loaded.
//!
//! Takes the configured hooks and the watched processes; sets breakpoints (uprobes) at every distinct
//! file of a library and takes them out when no watched process has it mapped any more. A hook that
//! cannot be set is a state with its reason, and everything else goes on.
//!
//! The kernel knows a file by its inode. Containers that share an image layer may show one inode under
//! several device numbers (overlayfs), so that several attachments see each call: a call counts for
//! the one whose file its own process has mapped.

mod elf;
mod fault;
mod links;
mod mapped;
mod replace;
mod target;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, thread,
};

use probe_core::record::{HookId, KtimeNs, Process, Role, Tgid};

use super::Attached;
pub use fault::HookFault;
use links::Links;
use mapped::{FileId, code_size, executable_files};
pub use target::{HookTarget, Location};

/// Nanoseconds between two looks at how much code each process has mapped: the time for which a
/// library that was just loaded is not hooked, at most (a busy agent adds its own delay). A look costs
/// 20–30 µs per process.
const LOOK_NS: u64 = 200_000_000;

/// Attachments at once: a hook at a file. Each has up to three breakpoints.
const MAX_ATTACHMENTS: usize = 256;

/// Which processes a hook is set for, where it is, and what came of it.
pub struct LibraryHooks {
    targets: Vec<HookTarget>,
    processes: BTreeMap<Tgid, Seen>,
    attachments: BTreeMap<(HookId, FileId), Result<Attachment, HookFault>>,
    /// Number of the next attachment.
    next: u32,
    last_look: Option<KtimeNs>,
    /// Calls that nobody can assign: their process was gone before its libraries were looked at.
    unassigned: u64,
}

/// A hook at a file.
struct Attachment {
    number: u32,
    #[expect(dead_code, reason = "held for its end")]
    links: Links,
}

/// What is known of a process's libraries.
#[derive(Default)]
struct Seen {
    code_size: Option<u64>,
    /// Files that it has mapped, by hook.
    files: BTreeSet<(HookId, FileId)>,
    /// Attachments whose calls of this process count.
    accepted: BTreeSet<u32>,
    /// Attachments whose calls do not: the file is another one's.
    refused: BTreeSet<u32>,
}

/// How a hook is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// The hook's name.
    pub name: String,
    /// Library files at which it is set.
    pub active: usize,
    /// Why it is not set at others, once each; with the number of files.
    pub faults: Vec<(HookFault, usize)>,
}

impl fmt::Display for HookState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if self.is_waiting() {
            return write!(f, "waiting, no watched process has the library");
        }
        let mut parts = Vec::new();
        if self.active > 0 {
            parts.push(format!("set at {} library files", self.active));
        }
        for (fault, files) in &self.faults {
            parts.push(format!("not at {files}: {fault}"));
        }
        write!(f, "{}", parts.join(", "))
    }
}

impl HookState {
    /// Whether no watched process has the library.
    pub fn is_waiting(&self) -> bool {
        self.active == 0 && self.faults.is_empty()
    }
}

impl LibraryHooks {
    /// Hooks that are set nowhere yet.
    pub fn new(targets: Vec<HookTarget>) -> Self {
        Self {
            targets,
            processes: BTreeMap::new(),
            attachments: BTreeMap::new(),
            next: 1,
            last_look: None,
            unassigned: 0,
        }
    }

    /// The configured hooks.
    pub fn targets(&self) -> &[HookTarget] {
        &self.targets
    }

    /// Looks whether libraries came or went, if it is time to: at every process whose mapped code
    /// changed its size, or at all of them.
    pub fn look(
        &mut self,
        attached: &mut Attached,
        watched: &BTreeMap<Tgid, Process>,
        now: KtimeNs,
        at_all: bool,
    ) {
        let is_due = self.last_look.is_none_or(|last| now.since(last) >= LOOK_NS);
        if self.targets.is_empty() || !(is_due || at_all) {
            return;
        }
        self.last_look = Some(now);
        let before = self.processes.len();
        self.processes.retain(|tgid, _| watched.contains_key(tgid));
        let mut is_changed = self.processes.len() != before;
        for process in watched.values() {
            if !self.concerns(process.role) {
                continue;
            }
            let size = code_size(process.tgid.0);
            let seen = self.processes.get(&process.tgid);
            if at_all || seen.is_none_or(|seen| seen.code_size != size) {
                is_changed |= self.scan(attached, process, size);
            }
        }
        if is_changed {
            self.detach_unmapped();
        }
    }

    /// Which hook a call of an attachment belongs to; `None` when the call is another attachment's to
    /// tell.
    pub fn assign(
        &mut self,
        attached: &mut Attached,
        attachment: u32,
        process: &Process,
    ) -> Option<HookId> {
        let hook = self.hook_of(attachment)?;
        let verdict = |seen: &Seen| {
            let is_known = seen.accepted.contains(&attachment);
            (is_known || seen.refused.contains(&attachment)).then_some(is_known)
        };
        let mut accepted = self.processes.get(&process.tgid).and_then(verdict);
        if accepted.is_none() {
            // A process just made, or a library just loaded.
            let size = code_size(process.tgid.0);
            if size.is_some() {
                self.scan(attached, process, size);
                accepted = self.processes.get(&process.tgid).and_then(verdict);
            } else if self.is_only(hook) {
                accepted = Some(true);
            } else {
                self.unassigned += 1;
            }
        }
        (accepted == Some(true)).then_some(hook)
    }

    /// Calls that nobody can assign.
    pub fn unassigned(&self) -> u64 {
        self.unassigned
    }

    /// How each hook is doing, in the configuration's order.
    pub fn states(&self) -> Vec<HookState> {
        self.targets
            .iter()
            .map(|target| {
                let mut state = HookState {
                    name: target.hook.name.clone(),
                    active: 0,
                    faults: Vec::new(),
                };
                for ((hook, _), attachment) in &self.attachments {
                    let fault = match attachment {
                        _ if *hook != target.hook.id => continue,
                        Ok(_) => {
                            state.active += 1;
                            continue;
                        }
                        Err(fault) => fault,
                    };
                    match state.faults.iter_mut().find(|(known, _)| known == fault) {
                        Some((_, files)) => *files += 1,
                        None => state.faults.push((fault.clone(), 1)),
                    }
                }
                state
            })
            .collect()
    }

    fn concerns(&self, role: Role) -> bool {
        self.targets
            .iter()
            .any(|target| target.hook.role.is_none_or(|wanted| wanted == role))
    }

    fn hook_of(&self, attachment: u32) -> Option<HookId> {
        self.attachments
            .iter()
            .find(|(_, it)| it.as_ref().is_ok_and(|it| it.number == attachment))
            .map(|((hook, _), _)| *hook)
    }

    /// Whether a hook has one attachment, so that no call of it is told twice.
    fn is_only(&self, hook: HookId) -> bool {
        let of_hook = self.attachments.iter().filter(|((it, _), _)| *it == hook);
        of_hook.filter(|(_, it)| it.is_ok()).count() == 1
    }

    /// Looks at a process's libraries and sets what is to be set; true when it had others before.
    fn scan(&mut self, attached: &mut Attached, process: &Process, size: Option<u64>) -> bool {
        let Ok(mapped) = executable_files(process.tgid.0) else {
            // It ended meanwhile; its end is told elsewhere.
            return false;
        };
        let mut seen = Seen {
            code_size: size,
            ..Seen::default()
        };
        for target in &self.targets {
            if target.hook.role.is_some_and(|role| role != process.role) {
                continue;
            }
            let hook = target.hook.id;
            for file in mapped.iter().filter(|it| target.library.is_match(&it.path)) {
                let key = (hook, file.file.clone());
                seen.files.insert(key.clone());
                if self.attachments.contains_key(&key) || self.attachments.len() >= MAX_ATTACHMENTS
                {
                    continue;
                }
                let number = self.next;
                self.next = self.next.wrapping_add(1).max(1);
                // The last place tells that there is no more.
                let result = if self.attachments.len() + 1 < MAX_ATTACHMENTS {
                    file.open_path(process.tgid.0)
                        .ok_or(HookFault::Unreadable)
                        .and_then(|path| Links::set(attached, target, number, &path))
                        .map(|links| Attachment { number, links })
                } else {
                    Err(HookFault::TooMany)
                };
                let (name, path, pid) = (&target.hook.name, &file.path, process.tgid.0);
                match &result {
                    Ok(_) => tracing::info!(hook = name, library = path, pid, "hook set"),
                    Err(fault) => {
                        tracing::warn!(hook = name, library = path, pid, %fault, "hook cannot be set");
                    }
                }
                self.attachments.insert(key, result);
            }
        }
        for ((hook, file), attachment) in &self.attachments {
            let Ok(attachment) = attachment else { continue };
            if seen.files.contains(&(*hook, file.clone())) {
                seen.accepted.insert(attachment.number);
            } else {
                seen.refused.insert(attachment.number);
            }
        }
        let before = self.processes.insert(process.tgid, seen);
        let now = self.processes.get(&process.tgid);
        before.map(|seen| seen.files) != now.map(|seen| seen.files.clone())
    }

    /// Takes the hooks out of libraries that no watched process has mapped.
    fn detach_unmapped(&mut self) {
        let processes = &self.processes;
        let is_mapped =
            |key: &(HookId, FileId)| processes.values().any(|seen| seen.files.contains(key));
        let gone = self
            .attachments
            .extract_if(.., |key, _| !is_mapped(key))
            .collect();
        detach(gone);
    }
}

/// Takes hooks out on another thread, since the kernel takes some tenths of a second for each. What
/// they tell meanwhile is nobody's.
fn detach(gone: Vec<((HookId, FileId), Result<Attachment, HookFault>)>) {
    if gone.is_empty() {
        return;
    }
    let closing = thread::Builder::new().name("detach".to_owned());
    // Where there is no thread to be had, they are dropped here with the closure.
    drop(closing.spawn(move || drop(gone)));
}

/// Side by side: the kernel's grace periods are shared.
impl Drop for LibraryHooks {
    fn drop(&mut self) {
        thread::scope(|scope| {
            for attachment in std::mem::take(&mut self.attachments).into_values() {
                let closing = thread::Builder::new().name("detach".to_owned());
                drop(closing.spawn_scoped(scope, move || drop(attachment)));
            }
        });
    }
}

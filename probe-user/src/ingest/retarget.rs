//! A configuration that changes while the agent runs: other targets, other library hooks.

use probe_core::record::{Process, Record, Tgid};

use super::{Tracker, naming::Source};
use crate::{
    attach::HookTarget,
    discover::{Matched, ProcessFacts, Target, find},
};

impl Tracker {
    /// Goes by other targets from now on. A watched process that matches has the part and the name
    /// that they give it; one that does not is watched until it ends, since its streams are under way.
    pub fn retarget(&mut self, targets: Vec<Target>, out: &mut impl FnMut(Record<'_>)) {
        self.targets = targets;
        self.passed_over.clear();
        for tgid in self.processes.keys().copied().collect::<Vec<_>>() {
            let Some(facts) = ProcessFacts::read(tgid.0) else {
                continue;
            };
            if let Some(matched) = find(&self.targets, &facts) {
                self.adapt(tgid, &matched, out);
            } else if !self.processes.contains_key(&Tgid(facts.parent)) {
                let pid = tgid.0;
                tracing::info!(
                    pid,
                    "process matches no target any more: watched until it ends"
                );
            }
        }
        self.look_over(out);
    }

    /// A watched process is what its target says it is.
    fn adapt(&mut self, tgid: Tgid, matched: &Matched, out: &mut impl FnMut(Record<'_>)) {
        let Some(before) = self.processes.get(&tgid).cloned() else {
            return;
        };
        if let Some(name) = &matched.name
            && *name != before.name
        {
            self.rename(&before.name, name, Source::Configured, out);
        }
        let Some(process) = self.processes.get_mut(&tgid) else {
            return;
        };
        let adapter = matched.adapter.as_ref().unwrap_or(&before.adapter);
        if process.role != matched.role || process.adapter != *adapter {
            *process = Process {
                at: super::now(),
                role: matched.role,
                adapter: adapter.clone(),
                ..process.clone()
            };
            out(Record::Process(process.clone()));
        }
    }

    /// Content of these fields stays where it is from now on.
    pub fn leave_unread(&mut self, fields: u32) {
        self.attached.leave_unread(fields);
    }

    /// Other library hooks from now on; those that are the same stay set.
    pub fn rehook(&mut self, hooks: Vec<HookTarget>, out: &mut impl FnMut(Record<'_>)) {
        for hook in self.hooks.replace(hooks) {
            out(Record::Hook(hook));
        }
    }
}

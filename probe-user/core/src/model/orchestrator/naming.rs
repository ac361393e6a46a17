//! Names of worker sessions, and which sessions use them.

use super::OrchestratorModel;
use super::bounds::{MAX_NAMES, MAX_NAMES_PER_SESSION, MAX_ORPHANS, MAX_OWNERS, MAX_UNDECIDED};
use super::process::{Name, Orchestrator};
use super::session::{Phase, SessionKey};
use crate::interpret::Id;
use crate::metrics::{Measure, SkipReason};
use crate::record::{KtimeNs, Tgid};

impl Orchestrator {
    /// The name's entry, made when it is not there; `None` beyond the bound.
    pub(super) fn name_entry(&mut self, name: &Id) -> Option<&mut Name> {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(name) {
            return None;
        }
        Some(self.names.entry(name.clone()).or_default())
    }

    /// The one session whose client was told this id.
    pub(super) fn told(&self, id: &Id) -> Option<SessionKey> {
        let mut told = self.told.get(id)?.iter();
        told.next().copied().filter(|_| told.next().is_none())
    }

    /// Forgets a name.
    pub(super) fn forget_name(&mut self, name: &Id) -> Option<Name> {
        self.open_names.remove(name);
        self.names.remove(name)
    }
}

impl OrchestratorModel {
    /// A client was told an id: a worker session of that id, which is nobody's yet, is its.
    pub(super) fn bind_told(&mut self, key: SessionKey, id: &Id, at: KtimeNs) {
        let Some(process) = self.sessions.get(&key).map(|session| session.process) else {
            return;
        };
        let Some(orchestrator) = self.processes.get_mut(&process) else {
            return;
        };
        orchestrator.told.entry(id.clone()).or_default().insert(key);
        let free = orchestrator
            .names
            .get(id)
            .is_some_and(|name| name.owners.is_empty());
        if free && orchestrator.told(id) == Some(key) {
            self.bind(process, key, id, at);
        }
    }

    /// A session no longer goes by the id that its client was told.
    pub(super) fn forget_told(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let (process, told) = (session.process, session.told_id.take());
        if let Some(id) = told
            && let Some(orchestrator) = self.processes.get_mut(&process)
            && let Some(keys) = orchestrator.told.get_mut(&id)
        {
            keys.remove(&key);
            if keys.is_empty() {
                orchestrator.told.remove(&id);
            }
        }
    }

    /// A worker session is a session's. What that says about others of which it was not known whose
    /// they are follows.
    pub(super) fn bind(&mut self, process: Tgid, key: SessionKey, name: &Id, at: KtimeNs) {
        let mut known = vec![(key, name.clone())];
        while let Some((key, name)) = known.pop() {
            self.assign(process, key, &name, at);
            let Some(orchestrator) = self.processes.get_mut(&process) else {
                return;
            };
            let Orchestrator {
                names, open_names, ..
            } = orchestrator;
            open_names.retain(|open| {
                let Some(entry) = names.get_mut(open) else {
                    return false;
                };
                let before = entry.candidates.len();
                entry.candidates.retain(|candidate| *candidate != key);
                if *open == name && entry.candidates.len() < before {
                    entry.asks = entry.asks.saturating_sub(1);
                }
                let last = entry.candidates.len() <= entry.asks;
                if entry.asks == 0 || last {
                    let rest = std::mem::take(&mut entry.candidates);
                    let all = rest.into_iter().filter(|_| last);
                    known.extend(all.map(|key| (key, open.clone())));
                    entry.asks = 0;
                    return false;
                }
                true
            });
        }
    }

    /// One of several sessions asked for a worker session.
    pub(super) fn leave_open(
        &mut self,
        process: Tgid,
        name: &Id,
        candidates: Vec<SessionKey>,
        at: KtimeNs,
    ) {
        let Some(orchestrator) = self.processes.get_mut(&process) else {
            return;
        };
        let fits = candidates.len() <= MAX_OWNERS && orchestrator.open_names.len() < MAX_UNDECIDED;
        if fits && let Some(entry) = orchestrator.name_entry(name) {
            for key in &candidates {
                if !entry.candidates.contains(key) && entry.candidates.len() < MAX_OWNERS {
                    entry.candidates.push(*key);
                }
            }
            entry.asks += 1;
            let all = entry.asks >= entry.candidates.len();
            if all {
                // Each of them asked for the one name they share.
                let keys = std::mem::take(&mut entry.candidates);
                entry.asks = 0;
                orchestrator.open_names.remove(name);
                for key in keys {
                    self.bind(process, key, name, at);
                }
            } else {
                orchestrator.open_names.insert(name.clone());
            }
        }
        for key in candidates {
            self.doubt_cause(key);
        }
    }

    /// What the client's latest message caused cannot be told.
    pub(super) fn doubt_cause(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key)
            && session.pending.give_up()
        {
            self.skip(Measure::Processing, SkipReason::Ambiguous);
        }
    }

    /// Names that nobody may ever ask to end: beyond the bound the oldest that nobody uses is
    /// forgotten.
    pub(super) fn orphan(&mut self, process: Tgid, names: Vec<Id>) {
        let Self {
            processes,
            sessions,
            ..
        } = self;
        let Some(orchestrator) = processes.get_mut(&process) else {
            return;
        };
        for name in names {
            let Some(entry) = orchestrator.names.get_mut(&name) else {
                continue;
            };
            if !std::mem::replace(&mut entry.orphaned, true) {
                orchestrator.orphans.push_back(name);
            }
            if orchestrator.orphans.len() <= MAX_ORPHANS {
                continue;
            }
            let Some(oldest) = orchestrator.orphans.pop_front() else {
                continue;
            };
            let used = orchestrator.names.get(&oldest).is_some_and(|name| {
                let mut users = name.owners.iter().chain(&name.candidates);
                users.any(|key| sessions.contains_key(key))
            });
            if used {
                orchestrator.orphans.push_back(oldest);
            } else {
                orchestrator.forget_name(&oldest);
            }
        }
    }

    fn assign(&mut self, process: Tgid, key: SessionKey, name: &Id, at: KtimeNs) {
        let Self {
            processes,
            sessions,
            metrics,
            ..
        } = self;
        let (Some(orchestrator), Some(session)) =
            (processes.get_mut(&process), sessions.get_mut(&key))
        else {
            return;
        };
        if session.phase == Phase::Ended && session.cause.is_some() {
            session.restart(at);
        }
        if session.phase == Phase::Pending {
            session.begin(at, true, &metrics.orchestrator);
        }
        let Some(entry) = orchestrator.name_entry(name) else {
            metrics.probe.state_refused.with(&["session_name"]).inc();
            return;
        };
        if !entry.owners.contains(&key) && entry.owners.len() < MAX_OWNERS {
            entry.owners.push(key);
        }
        if entry.connection.is_some() {
            session.name_model(entry.model.as_ref(), &metrics.orchestrator);
        }
        session.known_as.get_or_insert_with(|| name.clone());
        if !session.names.contains(name) && session.names.len() < MAX_NAMES_PER_SESSION {
            session.names.push(name.clone());
        }
    }
}

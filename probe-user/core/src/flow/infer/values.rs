//! Identifiers that recur on one connection: which call said each first and last, and whether one
//! whose method is known called it a session or a model.

use std::collections::{BTreeMap, VecDeque};

use super::group::GroupId;
use crate::profile::FieldRole;
use crate::record::KtimeNs;
use crate::wire::protobuf::Digest;

/// Identifiers remembered on one connection: sessions of some minutes, and all models. Each takes
/// about 100 bytes.
const MAX_VALUES: usize = 1024;

/// Identifiers whose first call is remembered, in order.
const MAX_FIRSTS: usize = 64;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A call whose method was not known then.
    Group(GroupId),
    /// A call of a method of the profile.
    Method(usize),
}

/// What is known of one identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Whose request said it last.
    pub(super) last: Option<Source>,
    /// When any message said it last.
    pub(super) seen_at: KtimeNs,
    /// Calls that began with it.
    pub(super) calls: u32,
    pub(super) session: bool,
    pub(super) model: bool,
}

/// The identifiers of one connection.
#[derive(Debug, Default)]
pub(super) struct Values {
    known: BTreeMap<Digest, Known>,
    /// Oldest first.
    order: VecDeque<Digest>,
    /// Identifiers that a call said before anything else did, and whose call that was; oldest first.
    firsts: VecDeque<(Digest, Source)>,
    /// Pauses in the lives of sessions: how many were seen, and the longest, in nanoseconds.
    pauses: u32,
    longest_pause: u64,
}

impl Values {
    pub(super) fn get(&self, digest: Digest) -> Option<&Known> {
        self.known.get(&digest)
    }

    /// A message said it.
    pub(super) fn see(&mut self, digest: Digest, at: KtimeNs) {
        self.entry(digest).seen_at = at;
    }

    /// A call began with it; what was known before.
    pub(super) fn begin(&mut self, digest: Digest, source: Source, at: KtimeNs) -> Before {
        let fresh = !self.known.contains_key(&digest);
        if fresh {
            if self.firsts.len() >= MAX_FIRSTS {
                self.firsts.pop_front();
            }
            self.firsts.push_back((digest, source));
        }
        let known = *self.entry(digest);
        if known.session && known.last.is_some() {
            self.pauses = self.pauses.saturating_add(1);
            self.longest_pause = self.longest_pause.max(at.since(known.seen_at));
        }
        let known = self.entry(digest);
        known.seen_at = at;
        known.calls = known.calls.saturating_add(1);
        let last = known.last.replace(source);
        Before { fresh, last }
    }

    /// The identifiers that a call said first, newest first.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (Digest, Source)> {
        self.firsts.iter().rev().copied()
    }

    /// Pauses in the lives of sessions: how many were seen, and the longest, in nanoseconds.
    pub(super) fn pauses(&self) -> (u32, u64) {
        (self.pauses, self.longest_pause)
    }

    /// A method that is known calls it this; whether that is news.
    pub(super) fn mark(&mut self, digest: Digest, role: FieldRole) -> bool {
        let known = self.entry(digest);
        let mark = match role {
            FieldRole::SessionId => &mut known.session,
            FieldRole::ModelId | FieldRole::ResidentModel => &mut known.model,
            _ => return false,
        };
        !std::mem::replace(mark, true)
    }

    fn entry(&mut self, digest: Digest) -> &mut Known {
        if !self.known.contains_key(&digest) {
            if self.order.len() >= MAX_VALUES
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(digest);
        }
        self.known.entry(digest).or_insert(Known {
            last: None,
            seen_at: KtimeNs(0),
            calls: 0,
            session: false,
            model: false,
        })
    }
}

/// What was known of an identifier before a call began with it.
pub(super) struct Before {
    /// Nothing had said it.
    pub(super) fresh: bool,
    /// The last call that began with it.
    pub(super) last: Option<Source>,
}

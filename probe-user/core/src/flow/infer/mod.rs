//! Methods of calls whose path is a reference to an entry of the header table from before the probe,
//! or from before a gap.
//!
//! Calls that refer to the same entry have the same method, whichever it is: they are a [`Group`], and
//! what they say adds up. [`rule`] tells when that is enough to name it; then all of them are named.
//! Nothing here sees content: what is taken in is the shapes of messages, numbers, and whether
//! identifiers are the same. A capture holds all of that, so it replays alike.

mod fit;
mod group;
mod models;
mod residency;
mod rule;
mod state;
mod stream;
mod tellable;
#[cfg(test)]
mod tests;
mod traits;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use state::{InferenceState, Outcome};
pub use tellable::{Tellable, tellable};

pub(super) use group::{GroupId, Key, LEADING_FIELDS};

use super::{Message, Origin, Value};
use crate::profile::{FieldRole, MethodRole, Profile};
use crate::record::KtimeNs;
use crate::wire::hpack::EntryId;
use crate::wire::protobuf::{Condition, Digest, Looks, Shape};
use group::{CallState, Group, side};
use residency::Residency;
use rule::{Scene, Verdict};
use traits::Traits;
use values::{Source, Values};

/// Groups of one connection. A profile has about ten methods; the others are unlisted ones, and calls
/// from before the probe. Each takes up to 10 KB.
const MAX_GROUPS: usize = 64;

/// How often the evidence is weighed while there is news, in nanoseconds: at 50 times a second it costs
/// little, and a name comes within one frame of speech.
const NEWS_NS: u64 = 20_000_000;

/// How often it is weighed without news, in nanoseconds: quiet may tell something too.
const QUIET_NS: u64 = 100_000_000;

/// What the calls of one connection tell of the methods whose paths cannot be read.
#[derive(Debug)]
pub(super) struct Inference {
    profile: Arc<Profile>,
    methods: Vec<Traits>,
    groups: BTreeMap<GroupId, Group>,
    keys: BTreeMap<Key, GroupId>,
    calls: BTreeMap<u32, CallState>,
    values: Values,
    residency: Residency,
    next: GroupId,
    uses: u64,
    /// Of the header table that entries belong to.
    epoch: Option<u32>,
    /// Bit n: the path of method n was written out and indexed in this epoch.
    revealed: u64,
    /// A path was written out twice.
    repeated: bool,
    /// New evidence since it was weighed last.
    news: bool,
    weighed: Option<KtimeNs>,
    decisions: Vec<Decision>,
    /// Streams for which a call that is not known may have been a command.
    commanded: Vec<u32>,
    states: Vec<InferenceState>,
    /// Calls that had an inferred name and are over, or took it back.
    outcomes: Vec<Outcome>,
}

/// The calls of a group have a method from now on, or have none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) group: GroupId,
    /// Position in the profile.
    pub(super) method: Option<usize>,
}

/// An open call of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenCall {
    pub(super) stream: u32,
    /// Messages passed before it was named, by origin: client, server.
    pub(super) missed: [bool; 2],
}

impl Inference {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Self {
            methods: Traits::all(&profile),
            profile,
            groups: BTreeMap::new(),
            keys: BTreeMap::new(),
            calls: BTreeMap::new(),
            values: Values::default(),
            residency: Residency::default(),
            next: 0,
            uses: 0,
            epoch: None,
            revealed: 0,
            repeated: false,
            news: false,
            weighed: None,
            decisions: Vec::new(),
            commanded: Vec::new(),
            states: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// A path was written out and made this entry; its method, if the profile has it.
    pub(super) fn handle_path(&mut self, method: Option<usize>, entry: EntryId) {
        self.enter(entry.epoch);
        if let Some(method) = method {
            let bit = bit(method);
            self.repeated |= self.revealed & bit != 0;
            self.revealed |= bit;
        }
    }

    /// A call begins, or is met in the middle (then not `whole`). Its method is known (by position in
    /// the profile), or its path is behind `key`; returns the method, if that is known by now.
    pub(super) fn open(
        &mut self,
        stream: u32,
        key: Option<Key>,
        method: Option<usize>,
        whole: bool,
    ) -> Option<usize> {
        let mut call = CallState::new(method, whole);
        if let Some(key) = key.filter(|_| method.is_none() && !self.methods.is_empty()) {
            call.group = self.join(key);
        }
        let group = call.group;
        self.calls.insert(stream, call);
        method.or_else(|| self.groups.get(&group?)?.method)
    }

    /// What to look at in the call's messages; `None` where their shapes tell nothing.
    pub(super) fn looks(&self, stream: u32, origin: Origin) -> Option<&Arc<Looks>> {
        let group = self.groups.get(&self.calls.get(&stream)?.group?)?;
        group.looks.get(side(origin))
    }

    /// A message of a call, as far as the profile could read it; before its shape.
    pub(super) fn message(&mut self, stream: u32, origin: Origin, message: &Message, at: KtimeNs) {
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        let first = call.whole && origin == Origin::Client && call.messages == [0, 0];
        if let Some(count) = call.messages.get_mut(side(origin)) {
            *count = count.saturating_add(1);
        }
        let group = call.group.and_then(|group| self.groups.get(&group));
        let method = call.method.or_else(|| group?.method);
        let Some(method) = method else { return };
        if origin == Origin::Client {
            call.requested_at = call.requested_at.or(Some(at));
        }
        self.follow_models(stream, method, origin, message);
        let Some(call) = self.calls.get(&stream) else {
            return;
        };
        let mut session = call.session;
        for (role, value) in &message.fields {
            let Value::Text(text) = value else { continue };
            let Some(digest) = Digest::of(text.as_bytes()).filter(|_| traits::is_id(*role)) else {
                continue;
            };
            if *role == FieldRole::SessionId {
                session = session.or(Some(digest));
            }
            if first && matches!(role, FieldRole::SessionId | FieldRole::ModelId) {
                let before = self.values.begin(digest, Source::Method(method), at);
                if let Some(Source::Group(other)) = before.last {
                    self.follow(other, method, *role);
                }
            }
            self.values.see(digest, at);
            self.news |= self.values.mark(digest, *role);
        }
        if let Some(call) = self.calls.get_mut(&stream) {
            call.session = session;
        }
    }

    /// The shape of the message just told.
    pub(super) fn shape(&mut self, stream: u32, origin: Origin, shape: &Shape, at: KtimeNs) {
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        let Some(id) = call.group else { return };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let parts = (&*self.profile, &*self.methods);
        let contradicted = group.observe(parts, call, origin, shape, at);
        if group.method.is_some() {
            if contradicted {
                self.contradict(id);
            }
            return;
        }
        self.news = true;
        let begins = origin == Origin::Client && call.messages[0] == 1;
        let may_command = begins && group.may_be(&self.methods, MethodRole::Control);
        let session = call.session;
        if begins {
            call.model = call.session;
        }
        if origin == Origin::Client && shape.condition != Condition::Whole {
            self.residency.forget();
        }
        if let Some(model) = call.model {
            let (of, told) = ((id, &*group), (origin, shape));
            self.residency.observe(of, parts, model, told, at);
        }
        let followed = group.note_ids(id, &mut self.values, call, (origin, shape), at);
        for (other, field, source) in followed {
            if let Some(group) = self.groups.get_mut(&other) {
                group.follow(field, source);
            }
        }
        if may_command {
            self.doubt_streams(session);
        }
    }

    /// A call about this session (`None`: any) may be a command: notes the streams that it is for.
    fn doubt_streams(&mut self, session: Option<Digest>) {
        for (stream, call) in &self.calls {
            let group = call.group.and_then(|group| self.groups.get(&group));
            let method = call.method.or_else(|| group?.method);
            let streams = method
                .and_then(|method| self.methods.get(method))
                .is_some_and(Traits::is_streaming);
            let concerned = match (session, call.session) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            };
            if streams && concerned {
                self.commanded.push(*stream);
            }
        }
    }

    /// Frames of any call were lost.
    pub(super) fn frames_lost(&mut self) {
        self.residency.forget();
    }

    /// Messages of a call were lost.
    pub(super) fn lost(&mut self, stream: u32, origin: Origin) {
        if let Some(call) = self.calls.get_mut(&stream) {
            call.lose(origin);
        }
    }

    /// A call is over.
    pub(super) fn end(&mut self, stream: u32) {
        let group = self.calls.remove(&stream).and_then(|call| call.group);
        let Some(group) = group else { return };
        self.news = true;
        let over = self.groups.get_mut(&group).is_some_and(|group| {
            group.open = group.open.saturating_sub(1);
            if group.method.is_some() {
                self.outcomes.push(Outcome::Agreed);
            }
            matches!(group.key, Key::Call(_))
        });
        if over {
            self.forget(group);
        }
    }

    /// Weighs the evidence, if there is any that was not.
    pub(super) fn weigh(&mut self, at: KtimeNs) {
        let pause = if self.news { NEWS_NS } else { QUIET_NS };
        let rested = self.weighed.is_none_or(|last| at.since(last) >= pause);
        if self.groups.is_empty() || !rested {
            return;
        }
        (self.news, self.weighed) = (false, Some(at));
        // Each round names a group, which may tell of others what their identifiers are.
        for _ in 0..MAX_GROUPS {
            let scene = Scene {
                profile: &self.profile,
                methods: &self.methods,
                groups: &self.groups,
                values: &self.values,
                exclusive: !self.repeated,
                at,
            };
            let verdict = self
                .groups
                .iter()
                .map(|(id, group)| (*id, scene.verdict(*id, group)))
                .find(|(_, verdict)| *verdict != Verdict::Open);
            match verdict {
                None | Some((_, Verdict::Open)) => return,
                Some((id, Verdict::Named(method, revealed))) => self.name(id, method, revealed),
                Some((id, Verdict::Disputed(holder))) => {
                    if let Some(group) = self.groups.get_mut(&id) {
                        group.barred = true;
                    }
                    self.contradict(holder);
                }
            }
        }
    }

    /// The next decision to carry out.
    pub(super) fn poll_decision(&mut self) -> Option<Decision> {
        (!self.decisions.is_empty()).then(|| self.decisions.remove(0))
    }

    /// The next stream that may have been commanded by a call that is not known.
    pub(super) fn poll_commanded(&mut self) -> Option<u32> {
        self.commanded.pop()
    }

    /// The next thing to count.
    pub(super) fn poll_state(&mut self) -> Option<InferenceState> {
        self.states.pop()
    }

    /// The next call to count.
    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop()
    }

    /// The open calls of a group.
    pub(super) fn open_calls(&self, group: GroupId) -> Vec<OpenCall> {
        self.calls
            .iter()
            .filter(|(_, call)| call.group == Some(group))
            .map(|(stream, call)| OpenCall {
                stream: *stream,
                missed: call.messages.map(|count| count > 0 || !call.whole),
            })
            .collect()
    }

    /// The connection is over.
    pub(super) fn close(&mut self) {
        while let Some((&group, _)) = self.groups.first_key_value() {
            self.forget(group);
        }
    }

    /// The group of a key; a new one where there is none.
    fn join(&mut self, key: Key) -> Option<GroupId> {
        if let Some(epoch) = key.epoch() {
            self.enter(epoch);
        }
        if !self.keys.contains_key(&key) {
            if self.groups.len() >= MAX_GROUPS {
                let idle = self.groups.iter().filter(|(_, group)| group.open == 0);
                let (&oldest, _) = idle.min_by_key(|(_, group)| group.last_use)?;
                self.forget(oldest);
            }
            let group = Group::new(key, &self.profile, &self.methods);
            self.groups.insert(self.next, group);
            self.keys.insert(key, self.next);
            self.next = self.next.wrapping_add(1);
        }
        let id = *self.keys.get(&key)?;
        self.uses += 1;
        let group = self.groups.get_mut(&id)?;
        group.last_use = self.uses;
        group.open = group.open.saturating_add(1);
        group.calls = group.calls.saturating_add(1);
        if matches!(key, Key::Entries(_)) {
            group.revealed |= self.revealed;
        }
        let contradicted = !self.repeated
            && group
                .method
                .is_some_and(|method| group.revealed & bit(method) != 0);
        if contradicted {
            self.contradict(id);
        }
        Some(id)
    }

    /// Entries belong to this epoch of the header table from now on: those of another one are never
    /// referred to again.
    fn enter(&mut self, epoch: u32) {
        if self.epoch == Some(epoch) {
            return;
        }
        (self.epoch, self.revealed, self.repeated) = (Some(epoch), 0, false);
        let gone: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, group)| group.key.epoch().is_some_and(|theirs| theirs != epoch))
            .map(|(id, _)| *id)
            .collect();
        for group in gone {
            self.forget(group);
        }
    }

    fn name(&mut self, id: GroupId, method: usize, revealed: bool) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.method = Some(method);
        group.look(&self.profile, &self.methods);
        if let Some(traits) = self.methods.get(method) {
            for use_ in &group.uses {
                if let Some(role) = traits.id_role(&self.profile, use_.place) {
                    self.values.mark(use_.digest, role);
                }
            }
        }
        self.states.push(if revealed {
            InferenceState::Revealed
        } else {
            InferenceState::Inferred
        });
        let method = Some(method);
        self.decisions.push(Decision { group: id, method });
    }

    /// The method of a group is wrong.
    fn contradict(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.barred = true;
        if group.method.take().is_none() {
            return;
        }
        group.look(&self.profile, &self.methods);
        self.outcomes.push(Outcome::Contradicted);
        self.states.push(InferenceState::Contradicted);
        let method = None;
        self.decisions.push(Decision { group: id, method });
    }

    fn follow(&mut self, group: GroupId, method: usize, role: FieldRole) {
        let traits = self.methods.get(method);
        let field = traits.and_then(|traits| traits::number(&self.profile, traits.request, role));
        if let (Some(group), Some(field)) = (self.groups.get_mut(&group), field) {
            group.follow(field, Source::Method(method));
        }
    }

    fn forget(&mut self, id: GroupId) {
        let Some(group) = self.groups.remove(&id) else {
            return;
        };
        self.keys.remove(&group.key);
        let unnamed = group.method.is_none() && !group.barred;
        if unnamed && matches!(group.key, Key::Entries(_)) {
            self.states.push(if group.possible == 0 {
                InferenceState::Unlisted
            } else {
                InferenceState::Ambiguous
            });
        }
    }
}

fn bit(method: usize) -> u64 {
    1_u64.checked_shl(method as u32).unwrap_or(0)
}

//! When the evidence is enough to name a method.
//!
//! First the impossible goes: methods whose messages do not fit, that an identifier of another kind
//! rules out, or whose path is known to be another entry's. One method has to be left, and it has to
//! have shown what only it does:
//!
//! | method | what it has shown |
//! | --- | --- |
//! | `synthesize` | three messages in a row that are speech, by two facts of: a usual sample rate, numbers that count up, bytes that are the duration at that rate, the session of the requests |
//! | `start_session` | three sessions in a row that nobody named before, and that speech is then made for |
//! | `end_session` | three sessions that were spoken for, of which nothing is heard any more for longer than any pause, and never one twice |
//! | `control` | a session that is known, a command, and a moment in the responses that runs like a clock |
//! | `load_model` | a model that is known, and durations that are the calls' own, never longer |
//! | `list_models`, `get_capabilities` | a model that is known, in a list of the described form |
//! | `unload_model` | four models that were loaded and are not in the next list; at most a quarter as many that still are |
//!
//! And no other entry may claim the same method with calls about known sessions or models: then
//! neither has it. A method that the profile does not list and that does all of this with the very
//! same fields cannot be told from the listed one, by anybody.

use std::collections::BTreeMap;

use super::group::{Facts, Group, GroupId, Key, Neighbour, Unloads};
use super::stream;
use super::traits::{Place, Traits};
use super::values::{Source, Values};
use crate::flow::Origin;
use crate::profile::{FieldRole, MethodRole, Profile};
use crate::record::KtimeNs;

/// Sessions in a row that have to begin with a group's calls, or that have to end with them. Fewer may
/// be chance: sessions that are older than the probe begin, for it, with any call.
const SESSIONS: usize = 3;

/// Calls that follow in the life of a session that began. A method that is called again and again
/// would have been.
const LIFE: u32 = 2;

/// How long nothing may be heard of a session that has ended, in nanoseconds; and in longest pauses
/// seen in the lives of sessions, of which there have to be some.
const QUIET_NS: u64 = 1_000_000_000;
const QUIET_PAUSES: u64 = 2;
const PAUSES: u32 = 4;

/// Of so many sessions that end one may be heard of again: what was said last crossed with the end.
const STRAGGLERS: u32 = 4;

/// Numbers that have to be their own call's duration. One may be chance.
const DURATIONS: u32 = 2;

/// Models that have to be gone after a group's calls. Some leave by themselves at that moment.
const UNLOADS: u32 = 4;

/// Models gone after which a group's calls do not load them.
const GONE: u32 = 2;

/// Of so many one may still be there: somebody else loaded it meanwhile.
const RELOADS: u32 = 4;

/// Least distinct fields of a listed model or of capabilities.
pub(super) const INNER_FIELDS: u32 = 2;

/// What a decision looks at.
pub(super) struct Scene<'a> {
    pub(super) profile: &'a Profile,
    pub(super) methods: &'a [Traits],
    pub(super) groups: &'a BTreeMap<GroupId, Group>,
    pub(super) values: &'a Values,
    /// Whether an encoder that has a path in its table refers to it. None is known that does not;
    /// one that was seen to write a path twice is not believed.
    pub(super) exclusive: bool,
    pub(super) at: KtimeNs,
}

/// What is to become of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Open,
    /// It has this method; whether paths written out later were needed to tell.
    Named(usize, bool),
    /// It has shown the method that another group was given.
    Disputed(GroupId),
}

impl Scene<'_> {
    pub(super) fn verdict(&self, id: GroupId, group: &Group) -> Verdict {
        if group.method.is_some() || group.barred || group.possible == 0 {
            return Verdict::Open;
        }
        let fitting = self.possible(group);
        let mut left = fitting;
        if self.exclusive {
            left &= !group.revealed;
        }
        let (taken, others) = self.taken(id, group);
        if let Some(method) = single(left)
            && taken & left != 0
        {
            let holder = others.into_iter().find(|(_, theirs)| *theirs == method);
            return match holder {
                Some((holder, _)) if self.has_shown(group, method) => Verdict::Disputed(holder),
                _ => Verdict::Open,
            };
        }
        if self.exclusive {
            left &= !taken;
        }
        let Some(method) = single(left) else {
            return Verdict::Open;
        };
        let streams = self.methods.get(method).is_some_and(Traits::is_streaming);
        let alone = matches!(group.key, Key::Call(_));
        if (alone && !streams)
            || !self.has_shown(group, method)
            || self.is_contested(id, group, method)
        {
            return Verdict::Open;
        }
        Verdict::Named(method, single(fitting).is_none())
    }

    /// Methods that neither messages nor identifiers rule out.
    fn possible(&self, group: &Group) -> u64 {
        let mut possible = group.possible;
        for (index, traits) in self.methods.iter().enumerate() {
            let wrong = group.uses.iter().any(|use_| {
                let Some(known) = self.values.get(use_.digest) else {
                    return false;
                };
                match traits.id_role(self.profile, use_.place) {
                    Some(FieldRole::SessionId) => known.model && !known.session,
                    Some(_) => known.session && !known.model,
                    None => false,
                }
            });
            if wrong {
                possible &= !(1 << index);
            }
        }
        self.without_other_lives(group, possible)
    }

    /// Leaves out what sessions rule out: one that goes on with these calls did not begin with them,
    /// and one that ends with them was neither begun nor only paused.
    fn without_other_lives(&self, group: &Group, possible: u64) -> u64 {
        let ends = self.methods.iter().enumerate().any(|(index, traits)| {
            possible & (1 << index) != 0
                && traits.role == MethodRole::EndSession
                && self.ends(group, traits)
        });
        let mut left = possible;
        for (index, traits) in self.methods.iter().enumerate() {
            let out = match traits.role {
                MethodRole::StartSession => ends || self.goes_on(group, traits),
                MethodRole::Control => ends,
                MethodRole::LoadModel => unloads(group, GONE),
                _ => false,
            };
            if out {
                left &= !(1 << index);
            }
        }
        left
    }

    /// Methods of other entries of the same table.
    fn taken(&self, id: GroupId, group: &Group) -> (u64, Vec<(GroupId, usize)>) {
        let others: Vec<_> = self
            .rivals(id, group)
            .filter_map(|(id, other)| Some((id, other.method?)))
            .collect();
        let taken = others
            .iter()
            .fold(0, |taken, (_, method)| taken | 1 << method);
        (taken, others)
    }

    fn rivals(&self, id: GroupId, group: &Group) -> impl Iterator<Item = (GroupId, &Group)> {
        let key = group.key;
        self.groups
            .iter()
            .filter(move |(other, group)| **other != id && group.key.is_apart(key))
            .map(|(id, group)| (*id, group))
    }

    /// Whether another entry may have the method too.
    fn is_contested(&self, id: GroupId, group: &Group, method: usize) -> bool {
        self.rivals(id, group).any(|(_, other)| {
            other.method.is_none()
                && self.possible(other) & (1 << method) != 0
                && !(self.exclusive && other.revealed & (1 << method) != 0)
                && self.is_about(other, method)
        })
    }

    /// Whether the calls of a group are about what the method is about.
    fn is_about(&self, group: &Group, method: usize) -> bool {
        let Some(traits) = self.methods.get(method) else {
            return false;
        };
        let facts = group.facts.get(method);
        if traits.is_streaming() {
            return facts.is_some_and(|facts| facts.points > 0);
        }
        // Without a duration a load is like any other request about a model.
        if traits.role == MethodRole::LoadModel && !facts.is_some_and(Facts::names_durations) {
            return false;
        }
        match traits.primary {
            Some((field, role)) => self.known_at(group, Origin::Client, field, role) > 0,
            None => self.lists_models(group, traits),
        }
    }

    /// Identifiers in a field of a request that are known to be of this kind.
    fn known_at(&self, group: &Group, origin: Origin, field: u32, role: FieldRole) -> usize {
        let here = Place {
            origin,
            number: field,
            nested: false,
        };
        let known = group.uses.iter().filter(|use_| {
            use_.place == here
                && self
                    .values
                    .get(use_.digest)
                    .is_some_and(|known| match role {
                        FieldRole::SessionId => known.session,
                        _ => known.model,
                    })
        });
        known.count()
    }

    /// Whether the group has shown what only this method does.
    fn has_shown(&self, group: &Group, method: usize) -> bool {
        let (Some(traits), Some(facts)) = (self.methods.get(method), group.facts.get(method))
        else {
            return false;
        };
        if traits.role == MethodRole::Synthesize {
            return facts.points >= stream::ENOUGH;
        }
        if traits.is_streaming() || group.responses == 0 {
            return false;
        }
        let known = |role| match traits.primary {
            Some((field, primary)) if primary == role => {
                self.known_at(group, Origin::Client, field, role)
            }
            _ => 0,
        };
        match traits.role {
            MethodRole::StartSession => facts.models > 0 && self.begins(group, traits),
            MethodRole::EndSession => self.ends(group, traits),
            MethodRole::Control => {
                known(FieldRole::SessionId) > 0
                    && facts.commands > 0
                    && facts.clock_agrees > 0
                    && facts.clock_breaks == 0
            }
            MethodRole::LoadModel => {
                known(FieldRole::ModelId) > 0
                    && facts.durations >= DURATIONS
                    && facts.durations > facts.other_durations
                    && facts.overlong == 0
            }
            MethodRole::ListModels | MethodRole::GetCapabilities => {
                facts.inner_fields >= INNER_FIELDS && self.lists_models(group, traits)
            }
            MethodRole::UnloadModel => known(FieldRole::ModelId) > 0 && unloads(group, UNLOADS),
            MethodRole::Synthesize => false,
        }
    }

    /// Whether a call of the group was about a session that another call had named before, and that
    /// had not ended.
    fn goes_on(&self, group: &Group, traits: &Traits) -> bool {
        let Some((field, FieldRole::SessionId)) = traits.primary else {
            return false;
        };
        count(&group.leaders, field, |source| {
            self.role(source) != Some(MethodRole::EndSession)
        }) > 0
    }

    /// Whether sessions begin with the group's calls.
    fn begins(&self, group: &Group, traits: &Traits) -> bool {
        let Some((field, FieldRole::SessionId)) = traits.primary else {
            return false;
        };
        let mut begun = 0;
        for (digest, source) in self.values.firsts() {
            let Some(known) = self.values.get(digest) else {
                continue;
            };
            let use_ = group
                .uses
                .iter()
                .find(|use_| use_.digest == digest && use_.place.number == field);
            match use_.filter(|_| self.is_of(source, group)) {
                Some(use_) if use_.fresh => {
                    let went_on = known.calls >= use_.calls.saturating_add(LIFE);
                    begun += usize::from(known.session && went_on);
                }
                // Another identifier of the same request, or a model.
                _ if self.is_of(source, group) || known.model && !known.session => {}
                // Something else comes first in the life of an identifier.
                _ => break,
            }
        }
        begun >= SESSIONS && !self.goes_on(group, traits)
    }

    /// Whether sessions end with the group's calls.
    fn ends(&self, group: &Group, traits: &Traits) -> bool {
        let Some((field, FieldRole::SessionId)) = traits.primary else {
            return false;
        };
        let goes_on = count(&group.followers, field, |source| {
            self.role(source) != Some(MethodRole::StartSession)
        });
        let again = count(&group.leaders, field, |source| self.is_of(source, group));
        if goes_on.saturating_add(again).saturating_mul(STRAGGLERS) > group.calls {
            return false;
        }
        let (pauses, longest) = self.values.pauses();
        let quiet = QUIET_NS.max(longest.saturating_mul(QUIET_PAUSES));
        let (mut ended, mut heard_of) = (0_usize, 0);
        for use_ in &group.uses {
            let here = use_.place.origin == Origin::Client && use_.place.number == field;
            let known = self
                .values
                .get(use_.digest)
                .filter(|known| here && known.session);
            let Some(known) = known else { continue };
            if !known.last.is_some_and(|last| self.is_of(last, group)) {
                continue;
            }
            if known.seen_at > use_.at {
                heard_of += 1;
            } else if known.calls > use_.calls && self.at.since(use_.at) >= quiet {
                ended += 1;
            }
        }
        pauses >= PAUSES && ended >= SESSIONS && heard_of * STRAGGLERS as usize <= ended
    }

    fn lists_models(&self, group: &Group, traits: &Traits) -> bool {
        group.uses.iter().any(|use_| {
            let role = traits.id_role(self.profile, use_.place);
            matches!(role, Some(FieldRole::ModelId | FieldRole::ResidentModel))
                && use_.place.origin == Origin::Server
                && self
                    .values
                    .get(use_.digest)
                    .is_some_and(|known| known.model)
        })
    }

    fn role(&self, source: Source) -> Option<MethodRole> {
        let method = match source {
            Source::Method(method) => Some(method),
            Source::Group(group) => self.groups.get(&group).and_then(|group| group.method),
        };
        self.methods.get(method?).map(|traits| traits.role)
    }

    fn is_of(&self, source: Source, group: &Group) -> bool {
        match source {
            Source::Group(other) => self
                .groups
                .get(&other)
                .is_some_and(|it| it.key == group.key),
            Source::Method(_) => false,
        }
    }
}

/// Whether models are gone after the group's calls, so many of them.
fn unloads(group: &Group, least: u32) -> bool {
    let Unloads { shown, unshown } = group.unloads;
    shown >= least && unshown.saturating_mul(RELOADS) <= shown
}

/// Calls of neighbours about the identifier in a field.
fn count(neighbours: &[Neighbour], field: u32, which: impl Fn(Source) -> bool) -> u32 {
    neighbours
        .iter()
        .filter(|neighbour| neighbour.field == field && which(neighbour.source))
        .fold(0, |calls, neighbour| calls.saturating_add(neighbour.calls))
}

fn single(set: u64) -> Option<usize> {
    set.is_power_of_two().then(|| set.trailing_zeros() as usize)
}

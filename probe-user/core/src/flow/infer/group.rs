//! Calls that have one method, whichever it is, and what they tell of it together.

use std::sync::Arc;

use super::fit::fits;
use super::stream;
use super::traits::{Place, Traits, looks, number};
use super::values::{Source, Values};
use crate::flow::Origin;
use crate::profile::{FieldRole, MethodRole, Profile};
use crate::record::KtimeNs;
use crate::wire::hpack::EntryId;
use crate::wire::protobuf::{Condition, Content, Digest, Looks, Seen, Shape};

/// Fields of a request that may be pseudo-headers: there are four, and they come first
/// (RFC 9113, 8.3 and 8.3.1). The path is one of them.
pub(in crate::flow) const LEADING_FIELDS: usize = 4;

/// Distinct identifiers kept of one group, by place. Two that agree are enough.
const MAX_USES: usize = 64;

/// Neighbours of a group's calls that are told apart. More than two already rule a role out.
const MAX_NEIGHBOURS: usize = 8;

/// How far a clock in the messages may be from the probe's, in milliseconds: rounding, and time
/// between its reading and the send.
const CLOCK_TOLERANCE_MS: u64 = 1_000;

/// Shortest call whose duration can tell that a number is that duration, in milliseconds.
const TELLING_CALL_MS: u64 = 10;

/// Name of a group within its connection.
pub(in crate::flow) type GroupId = u32;

/// What the calls of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::flow) enum Key {
    /// The unknown entries among the leading fields of their request: the path is one of them.
    Entries([Option<EntryId>; LEADING_FIELDS]),
    /// One call whose request headers were not seen, by its stream.
    Call(u32),
}

impl Key {
    pub(super) fn epoch(self) -> Option<u32> {
        match self {
            Self::Entries(entries) => entries.iter().flatten().map(|entry| entry.epoch).next(),
            Self::Call(_) => None,
        }
    }

    /// Whether both are about different paths: they have different entries at the same place of the
    /// request. Clients write pseudo-headers in one order, a connection has one authority, and an
    /// encoder has no path in its table twice.
    pub(super) fn is_apart(self, other: Self) -> bool {
        let (Self::Entries(ours), Self::Entries(theirs)) = (self, other) else {
            return false;
        };
        ours.iter()
            .zip(theirs)
            .any(|pair| matches!(pair, (Some(ours), Some(theirs)) if *ours != theirs))
    }
}

/// One identifier that the calls of a group said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) place: Place,
    pub(super) digest: Digest,
    /// When last.
    pub(super) at: KtimeNs,
    /// Calls that began with it.
    pub(super) calls: u32,
    /// The first of them was the first that anybody said of it.
    pub(super) fresh: bool,
}

/// Whose calls are next to a group's in the life of an identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    /// Where the group's request has the identifier.
    pub(super) field: u32,
    pub(super) source: Source,
    pub(super) calls: u32,
}

/// What speaks for one method.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Last moment that a message named, in its milliseconds, and when.
    clock: Option<(u64, KtimeNs)>,
    pub(super) clock_agrees: u32,
    pub(super) clock_breaks: u32,
    /// Messages that named their own call's duration, and that did not though the call was long
    /// enough to tell.
    pub(super) durations: u32,
    pub(super) other_durations: u32,
    /// Messages that named a longer duration than their call's.
    pub(super) overlong: u32,
    /// Requests that named a command.
    pub(super) commands: u32,
    /// Requests that named a model.
    pub(super) models: u32,
    /// Most points of a run of messages (see [`stream`]).
    pub(super) points: u32,
    /// Most distinct fields of an embedded message.
    pub(super) inner_fields: u32,
}

/// Calls of a group about a loaded model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unloads {
    /// The next list did not have the model any more.
    pub(super) shown: u32,
    /// It still had it.
    pub(super) unshown: u32,
}

/// What is remembered of one open call.
#[derive(Debug, Default)]
pub(super) struct CallState {
    pub(super) group: Option<GroupId>,
    /// Its method, where the path could be read.
    pub(super) method: Option<usize>,
    /// It was seen from its first frame.
    pub(super) whole: bool,
    /// Messages so far, by origin: client, server.
    pub(super) messages: [u32; 2],
    pub(super) requested_at: Option<KtimeNs>,
    /// The first identifier that its client said.
    pub(super) session: Option<Digest>,
    /// The model that its request is about.
    pub(super) model: Option<Digest>,
    /// The last messages of the server without one missing between them.
    run: Vec<Shape>,
}

impl CallState {
    pub(super) fn new(method: Option<usize>, whole: bool) -> Self {
        Self {
            method,
            whole,
            ..Self::default()
        }
    }

    /// Messages were lost.
    pub(super) fn lose(&mut self, origin: Origin) {
        self.run.clear();
        if origin == Origin::Client {
            self.requested_at = None;
        }
    }
}

pub(super) fn side(origin: Origin) -> usize {
    match origin {
        Origin::Client => 0,
        Origin::Server => 1,
    }
}

/// The calls that have one method.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    /// Bit n: nothing rules method n out.
    pub(super) possible: u64,
    /// Bit n: its path was written out while this one's entry was there.
    pub(super) revealed: u64,
    /// Its method, once it is certain.
    pub(super) method: Option<usize>,
    /// What was certain was wrong: nothing is, any more.
    pub(super) barred: bool,
    pub(super) calls: u32,
    pub(super) open: u32,
    pub(super) last_use: u64,
    /// Messages of the server.
    pub(super) responses: u32,
    pub(super) uses: Vec<Use>,
    /// Whose calls began before with the same identifier.
    pub(super) leaders: Vec<Neighbour>,
    /// Whose calls began next with the same identifier.
    pub(super) followers: Vec<Neighbour>,
    pub(super) unloads: Unloads,
    /// By method.
    pub(super) facts: Vec<Facts>,
    pub(super) looks: [Arc<Looks>; 2],
}

impl Group {
    pub(super) fn new(key: Key, profile: &Profile, methods: &[Traits]) -> Self {
        let possible = match methods.len() {
            0 => 0,
            count => u64::MAX >> (u64::BITS as usize - count.min(64)),
        };
        let mut group = Self {
            key,
            possible,
            revealed: 0,
            method: None,
            barred: false,
            calls: 0,
            open: 0,
            last_use: 0,
            responses: 0,
            uses: Vec::new(),
            leaders: Vec::new(),
            followers: Vec::new(),
            unloads: Unloads::default(),
            facts: vec![Facts::default(); methods.len()],
            looks: Default::default(),
        };
        group.look(profile, methods);
        group
    }

    /// Takes in the shape of a message just counted in `call`; whether it contradicts the method.
    pub(super) fn observe(
        &mut self,
        (profile, methods): (&Profile, &[Traits]),
        call: &mut CallState,
        origin: Origin,
        shape: &Shape,
        at: KtimeNs,
    ) -> bool {
        let before = self.possible;
        for (index, traits) in methods.iter().enumerate() {
            let bit = 1_u64 << index;
            let asked = self.method.is_none_or(|method| method == index);
            if asked && self.possible & bit != 0 && !may_be(profile, traits, call, (origin, shape))
            {
                self.possible &= !bit;
            }
        }
        if let Some(method) = self.method {
            return self.possible & (1 << method) == 0;
        }
        if origin == Origin::Server {
            self.responses = self.responses.saturating_add(1);
        }
        if shape.condition == Condition::Whole {
            self.learn((profile, methods), call, origin, shape, at);
        } else {
            call.lose(origin);
        }
        if self.possible != before {
            self.look(profile, methods);
        }
        false
    }

    /// Whether its messages can be those of a method of this role.
    pub(super) fn may_be(&self, methods: &[Traits], role: MethodRole) -> bool {
        let mut methods = methods.iter().enumerate();
        methods.any(|(index, traits)| traits.role == role && self.possible & (1 << index) != 0)
    }

    /// Takes in what speaks for the methods that are possible.
    fn learn(
        &mut self,
        (profile, methods): (&Profile, &[Traits]),
        call: &mut CallState,
        origin: Origin,
        shape: &Shape,
        at: KtimeNs,
    ) {
        match origin {
            Origin::Client => {
                call.requested_at = call.requested_at.or(Some(at));
                let ids = shape.fields.iter().find_map(|field| match field.content {
                    Content::Bytes(_, Seen::Id(digest)) => Some(digest),
                    _ => None,
                });
                call.session = call.session.or(ids);
            }
            Origin::Server => {
                if call.run.len() >= stream::RUN {
                    call.run.remove(0);
                }
                call.run.push(shape.clone());
            }
        }
        let elapsed = call.requested_at.map(|start| at.since(start) / 1_000_000);
        for (index, traits) in methods.iter().enumerate() {
            let Some(facts) = self.facts.get_mut(index) else {
                continue;
            };
            if self.possible & (1 << index) == 0 {
                continue;
            }
            let place = |role| number(profile, traits.message(origin), role);
            let varint = |role| place(role).and_then(|field| shape.varint(field));
            if origin == Origin::Client {
                let command = varint(FieldRole::Command).is_some();
                facts.commands = facts.commands.saturating_add(u32::from(command));
                let model = place(FieldRole::ModelId).and_then(|field| shape.bytes(field));
                facts.models = facts.models.saturating_add(u32::from(model.is_some()));
                continue;
            }
            if let Some(moment) = varint(FieldRole::TimestampMs) {
                facts.tick(moment, at);
            }
            if let (Some(duration), Some(elapsed)) = (varint(FieldRole::LoadDurationMs), elapsed) {
                facts.last(duration, elapsed);
            }
            let points = stream::points(profile, traits, &call.run, call.session);
            facts.points = facts.points.max(points);
            for field in &shape.fields {
                if let Content::Bytes(_, Seen::Message { fields, .. }) = field.content {
                    facts.inner_fields = facts.inner_fields.max(fields);
                }
            }
        }
    }

    /// Remembers the identifiers of a message.
    pub(super) fn note_ids(
        &mut self,
        id: GroupId,
        values: &mut Values,
        call: &CallState,
        (origin, shape): (Origin, &Shape),
        at: KtimeNs,
    ) -> Vec<(GroupId, u32, Source)> {
        let begins = call.whole && origin == Origin::Client && call.messages[0] == 1;
        let mut followed = Vec::new();
        for field in &shape.fields {
            let (digest, nested) = match &field.content {
                Content::Bytes(_, Seen::Id(digest)) => (*digest, false),
                Content::Bytes(
                    _,
                    Seen::Message {
                        id: Some(digest), ..
                    },
                ) => (*digest, true),
                _ => continue,
            };
            let place = Place {
                origin,
                number: field.number,
                nested,
            };
            let mut fresh = false;
            if begins {
                let before = values.begin(digest, Source::Group(id), at);
                fresh = before.fresh;
                if let Some(last) = before.last {
                    remember(&mut self.leaders, field.number, last);
                    if let Source::Group(other) = last {
                        followed.push((other, field.number, Source::Group(id)));
                    }
                }
            } else {
                values.see(digest, at);
            }
            self.note(place, digest, begins, fresh, at);
        }
        followed
    }

    fn note(&mut self, place: Place, digest: Digest, begins: bool, fresh: bool, at: KtimeNs) {
        let known = self
            .uses
            .iter_mut()
            .find(|known| known.place == place && known.digest == digest);
        if let Some(known) = known {
            known.at = at;
            known.calls = known.calls.saturating_add(u32::from(begins));
            return;
        }
        if self.uses.len() >= MAX_USES {
            self.uses.remove(0);
        }
        self.uses.push(Use {
            place,
            digest,
            at,
            calls: u32::from(begins),
            fresh,
        });
    }

    /// Another call began with an identifier that a call of this group began with last.
    pub(super) fn follow(&mut self, field: u32, source: Source) {
        remember(&mut self.followers, field, source);
    }

    /// Looks at what the methods that are possible may say. Of a call whose method is told nothing
    /// needs to be looked at.
    pub(super) fn look(&mut self, profile: &Profile, methods: &[Traits]) {
        let possible = if self.method.is_some() {
            0
        } else {
            self.possible
        };
        let possible: Vec<_> = methods
            .iter()
            .enumerate()
            .filter(|(index, _)| possible & (1 << index) != 0)
            .map(|(_, traits)| traits)
            .collect();
        self.looks =
            [Origin::Client, Origin::Server].map(|origin| looks(profile, &possible, origin));
    }
}

impl Facts {
    /// Whether any message named a duration.
    pub(super) fn names_durations(&self) -> bool {
        self.durations > 0 || self.other_durations > 0 || self.overlong > 0
    }

    /// A message named this moment.
    fn tick(&mut self, moment: u64, at: KtimeNs) {
        if let Some((last, last_at)) = self.clock {
            let elapsed = at.since(last_at) / 1_000_000;
            let agrees = last.saturating_add(elapsed).abs_diff(moment) <= CLOCK_TOLERANCE_MS;
            if agrees {
                self.clock_agrees = self.clock_agrees.saturating_add(1);
            } else {
                self.clock_breaks = self.clock_breaks.saturating_add(1);
            }
        }
        self.clock = Some((moment, at));
    }

    /// A message named a duration after its call had lasted `elapsed`, both in milliseconds.
    fn last(&mut self, duration: u64, elapsed: u64) {
        let count = if duration > elapsed + 1 {
            &mut self.overlong
        } else if elapsed < TELLING_CALL_MS {
            return;
        } else if duration >= elapsed / 2 {
            &mut self.durations
        } else {
            &mut self.other_durations
        };
        *count = count.saturating_add(1);
    }
}

/// Whether the message just counted in `call` can be one of a method.
fn may_be(
    profile: &Profile,
    traits: &Traits,
    call: &CallState,
    (origin, shape): (Origin, &Shape),
) -> bool {
    let [requests, responses] = call.messages;
    let (number, streaming) = match origin {
        Origin::Client => (requests, traits.client_streaming),
        Origin::Server => (responses, traits.server_streaming),
    };
    if number > 1 && !streaming {
        return false;
    }
    match shape.condition {
        Condition::Partial => true,
        Condition::Malformed => false,
        Condition::Whole => {
            let opens = call.whole && origin == Origin::Client && number == 1 && !shape.more;
            let subject = traits.primary.filter(|_| opens);
            fits(profile, traits.message(origin), shape)
                && subject.is_none_or(|(field, _)| shape.bytes(field).is_some_and(|n| n > 0))
        }
    }
}

fn remember(list: &mut Vec<Neighbour>, field: u32, source: Source) {
    let known = list
        .iter_mut()
        .find(|known| known.field == field && known.source == source);
    if let Some(known) = known {
        known.calls = known.calls.saturating_add(1);
    } else if list.len() < MAX_NEIGHBOURS {
        list.push(Neighbour {
            field,
            source,
            calls: 1,
        });
    }
}

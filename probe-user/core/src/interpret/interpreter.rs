//! Keeps the open calls and turns what happens in them into events.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt as _};

use super::call::Call;
use super::{Command, Event, What};
use crate::flow::{self, CallEnd, CallId, Method};
use crate::profile::{MethodRole, Profile};
use crate::record::{KtimeNs, Process, Side};

/// Calls open at once that are interpreted. 100 connections with 100 concurrent streams each
/// (grpc's usual `MAX_CONCURRENT_STREAMS`) are 10 000; a call takes up to about 0.7 KB with its ids,
/// so this is 12 MB at the worst. Calls beyond it are counted and passed over.
pub const MAX_CALLS: usize = 16_384;

/// What was interpreted and what not, since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls whose method is in the profile.
    pub known: u64,
    /// Calls whose method is not in the profile.
    pub other: u64,
    /// Calls whose method could not be read.
    pub unknown: u64,
    /// Calls passed over because [`MAX_CALLS`] were open.
    pub refused: u64,
}

/// Turns exchanges into events. One for all processes and connections.
#[derive(Debug)]
pub struct Interpreter {
    calls: HashMap<CallId, Call>,
    commands: Vec<(i64, Command)>,
    counts: Counts,
}

impl Interpreter {
    /// An interpreter that goes by a profile's command numbers. A number that is not listed there
    /// is [`Command::Other`].
    pub fn new(profile: &Profile) -> Self {
        Self {
            calls: HashMap::new(),
            commands: commands(profile),
            counts: Counts::default(),
        }
    }

    /// Goes by another profile's command numbers from the next call on.
    pub fn reconfigure(&mut self, profile: &Profile) {
        self.commands = commands(profile);
    }

    /// Takes one event of a connection of `process`, which is its `side`, and appends what it
    /// means to `out`.
    pub fn handle(
        &mut self,
        process: &Process,
        side: Side,
        event: &flow::Event<'_>,
        out: &mut Vec<Event>,
    ) {
        let (call, at) = place(event);
        let mut emit = |what| {
            out.push(Event {
                process: process.tgid,
                role: process.role,
                side,
                call,
                at,
                what,
            });
        };
        match event {
            flow::Event::CallStarted { method, .. } => {
                if let Some(opened) = self.start(call, *method, side).and_then(Call::opened) {
                    emit(opened);
                }
            }
            flow::Event::MethodInferred { method, .. } => {
                if let Some(opened) = self.name(call, *method, side).and_then(Call::opened) {
                    emit(opened);
                }
            }
            flow::Event::Traced { context, .. } => {
                if self.calls.get(&call).is_some_and(Call::is_stream) {
                    emit(What::StreamTraced(*context));
                }
            }
            flow::Event::MaybeCommanded { .. } => {
                if self.calls.contains_key(&call) {
                    emit(What::MaybeCommanded);
                }
            }
            flow::Event::MethodContradicted { .. } => {
                if let Some(mut open) = self.calls.remove(&call) {
                    open.handle_end(CallEnd::Unknown, &mut emit);
                }
            }
            flow::Event::Message {
                origin, message, ..
            } => {
                if let Some(open) = self.calls.get_mut(&call) {
                    open.handle_message(at, *origin, message, &self.commands, &mut emit);
                }
            }
            flow::Event::MessagesLost { origin, .. } => {
                if let Some(open) = self.calls.get_mut(&call) {
                    open.handle_lost(*origin, &mut emit);
                }
            }
            flow::Event::RequestsEnded { .. } => {
                if let Some(open) = self.calls.get(&call) {
                    open.handle_requests_ended(&mut emit);
                }
            }
            flow::Event::CallEnded { end, .. } => {
                if let Some(mut open) = self.calls.remove(&call) {
                    open.handle_end(*end, &mut emit);
                }
            }
        }
    }

    /// What was interpreted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Calls that are open and interpreted.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    fn start(&mut self, id: CallId, method: Method, side: Side) -> Option<&Call> {
        let role = match method {
            Method::Known(role) => role,
            Method::Other => {
                self.counts.other += 1;
                return None;
            }
            Method::Unknown => {
                self.counts.unknown += 1;
                return None;
            }
        };
        self.counts.known += 1;
        self.name(id, role, side)
    }

    /// Follows a call of this method from now on.
    fn name(&mut self, id: CallId, role: MethodRole, side: Side) -> Option<&Call> {
        let full = self.calls.len() >= MAX_CALLS;
        match self.calls.entry(id) {
            // The same stream cannot start twice (RFC 9113, 5.1.1): the first start stands.
            Entry::Occupied(_) => None,
            Entry::Vacant(_) if full => {
                self.counts.refused += 1;
                None
            }
            Entry::Vacant(place) => Some(place.insert(Call::new(role, side))),
        }
    }
}

/// The profile's commands by number.
fn commands(profile: &Profile) -> Vec<(i64, Command)> {
    let named = profile.commands();
    named
        .map(|(number, name)| (number, Command::from_name(name)))
        .collect()
}

fn place(event: &flow::Event<'_>) -> (CallId, KtimeNs) {
    match event {
        flow::Event::CallStarted { call, at, .. }
        | flow::Event::Traced { call, at, .. }
        | flow::Event::MethodInferred { call, at, .. }
        | flow::Event::MethodContradicted { call, at }
        | flow::Event::MaybeCommanded { call, at }
        | flow::Event::Message { call, at, .. }
        | flow::Event::MessagesLost { call, at, .. }
        | flow::Event::RequestsEnded { call, at }
        | flow::Event::CallEnded { call, at, .. } => (*call, *at),
    }
}

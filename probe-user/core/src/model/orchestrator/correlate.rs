//! The rules that join calls to workers with clients' sessions; the module's documentation states
//! them.

use super::OrchestratorModel;
use super::bounds::{AUDIO_MATCHES, CAUSE_NS, MAX_OWNERS, MAX_UNDECIDED, START_NS};
use super::process::{Orchestrator, Starts};
use super::session::{SessionKey, Transport};
use super::stream::{Candidate, Owner};
use crate::flow::CallId;
use crate::interpret::{Id, MessageKind};
use crate::record::{ConnectionId, KtimeNs, Tgid};

/// Whom the evidence points to.
#[derive(Debug)]
enum Verdict {
    One(SessionKey),
    Several(Vec<SessionKey>),
    Nobody,
}

impl Verdict {
    fn of(keys: Vec<SessionKey>) -> Self {
        match keys.as_slice() {
            [] => Self::Nobody,
            [one] => Self::One(*one),
            _ => Self::Several(keys),
        }
    }
}

impl OrchestratorModel {
    /// An orchestrator asks a worker for a session.
    pub(super) fn ask_session(
        &mut self,
        process: Tgid,
        connection: ConnectionId,
        name: Option<&Id>,
        model: Option<&Id>,
        at: KtimeNs,
    ) {
        if self.transport(process) == Transport::LiveKit {
            self.ask_livekit(process, connection, name, model, at);
            return;
        }
        let asker = self.asker(process, name, at);
        let Some(name) = name else {
            // Without a name nothing that follows can be joined, but who asked is known.
            if let Verdict::One(key) = asker {
                self.caused_start(process, key, at);
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.name_model(model, &self.metrics.orchestrator);
                }
            }
            return;
        };
        let Some(entry) = self
            .processes
            .get_mut(&process)
            .and_then(|orchestrator| orchestrator.name_entry(name))
        else {
            self.refuse("session_name");
            return;
        };
        // Askers that are not told apart and want different models: whose is which is unknown.
        let mixed = entry.asks > 0 && entry.model.as_ref() != model;
        entry.model = model.filter(|_| !mixed).cloned();
        entry.connection = Some(connection);
        self.asked_on.insert(connection);
        let owners = entry.owners.clone();
        match asker {
            Verdict::One(key) => {
                self.bind(process, key, name, at);
                self.caused_start(process, key, at);
            }
            Verdict::Several(keys) => {
                self.leave_open(process, name, keys, at);
                self.orphan(process, vec![name.clone()]);
            }
            // Asked for again, on another worker or for another model.
            Verdict::Nobody => {
                if owners.is_empty() {
                    self.orphan(process, vec![name.clone()]);
                }
                for key in owners {
                    self.bind(process, key, name, at);
                }
            }
        }
    }

    /// A worker was asked for a session: the upgrade caused that, or the client's pending message did.
    fn caused_start(&mut self, process: Tgid, key: SessionKey, at: KtimeNs) {
        let (Some(orchestrator), Some(session)) =
            (self.processes.get_mut(&process), self.sessions.get(&key))
        else {
            return;
        };
        match session.first_message {
            None => orchestrator.starts = Starts::Upgrade,
            Some(first)
                if orchestrator.starts == Starts::Unknown
                    && first.since(session.opened) >= START_NS =>
            {
                orchestrator.starts = Starts::Message;
            }
            Some(_) => {}
        }
        match orchestrator.starts {
            Starts::Upgrade => {}
            Starts::Message => {
                self.caused(key, &[MessageKind::TextChunk], at);
            }
            Starts::Unknown => self.doubt_cause(key),
        }
    }

    /// Decides whose a stream is when its first message has come.
    pub(super) fn decide_stream(&mut self, call: CallId, at: KtimeNs) {
        let Some(stream) = self.streams.get(&call) else {
            return;
        };
        if !matches!(stream.owner, Owner::Undecided) {
            return;
        }
        let (process, name) = (stream.process, stream.name.clone());
        let late = stream.texts == 0 && stream.frames > 0;
        match self.speaker(process, name.as_ref(), late) {
            Verdict::One(key) => self.own_stream(call, key, at),
            Verdict::Several(keys) => self.leave_stream_open(call, process, keys),
            Verdict::Nobody => self.set_owner(call, Owner::Nobody),
        }
    }

    /// A session sent audio that none of its streams explains: the streams that may be its are
    /// narrowed down.
    pub(super) fn narrow_streams(&mut self, key: SessionKey, at: KtimeNs) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let (process, sent) = (session.process, session.stray_audio);
        let Some(orchestrator) = self.processes.get(&process) else {
            return;
        };
        let mut able = None;
        for call in &orchestrator.open_streams {
            let Some(stream) = self.streams.get(call) else {
                continue;
            };
            let Owner::OneOf(candidates) = &stream.owner else {
                continue;
            };
            let since = candidates
                .iter()
                .find(|candidate| candidate.session == key)
                .map(|candidate| sent.saturating_sub(candidate.sent_before));
            if since.is_some_and(|since| since <= stream.frames) && able.replace(*call).is_some() {
                return;
            }
        }
        let Some(call) = able else {
            return;
        };
        let Some(Owner::OneOf(candidates)) = self.streams.get_mut(&call).map(|s| &mut s.owner)
        else {
            return;
        };
        let supported = candidates
            .iter_mut()
            .find(|candidate| candidate.session == key)
            .is_some_and(|candidate| {
                candidate.support += 1;
                candidate.support >= AUDIO_MATCHES
            });
        if supported {
            self.own_stream(call, key, at);
        }
    }

    /// A session that asked for a worker session: by the id its client was told, else by cause.
    fn asker(&self, process: Tgid, name: Option<&Id>, at: KtimeNs) -> Verdict {
        let Some(orchestrator) = self.processes.get(&process) else {
            return Verdict::Nobody;
        };
        if let Some(told) = name.and_then(|name| orchestrator.told(name)) {
            return Verdict::One(told);
        }
        let causes = |key: &SessionKey| {
            self.sessions.get(key).is_some_and(|session| {
                session.names.is_empty()
                    && session
                        .cause
                        .is_some_and(|cause| at.since(cause) <= CAUSE_NS)
            })
        };
        Verdict::of(
            orchestrator
                .sessions
                .iter()
                .copied()
                .filter(causes)
                .collect(),
        )
    }

    /// A session that a stream speaks for; `late` for one whose text was not seen.
    fn speaker(&self, process: Tgid, name: Option<&Id>, late: bool) -> Verdict {
        let Some(orchestrator) = self.processes.get(&process) else {
            return Verdict::Nobody;
        };
        if let Some(told) = name.and_then(|name| orchestrator.told(name)) {
            return Verdict::One(told);
        }
        let entry = name.and_then(|name| orchestrator.names.get(name));
        let users: &[SessionKey] = entry.map_or(&[], |entry| &entry.owners);
        let owners: Vec<SessionKey> = users
            .iter()
            .copied()
            .filter(|key| self.sessions.contains_key(key))
            .collect();
        if !users.is_empty() && owners.is_empty() {
            return Verdict::Nobody;
        }
        let candidates = entry.map_or(Vec::new(), |entry| entry.candidates.clone());
        let waits = |key: &SessionKey| {
            self.sessions
                .get(key)
                .is_some_and(|session| session.utterances.owes_text() || session.unread)
        };
        match owners.as_slice() {
            [] if candidates.is_empty() && late => {
                Verdict::Several(self.waiting_unnamed(orchestrator, |_| true))
            }
            [] if candidates.is_empty() => Verdict::of(self.waiting_unnamed(orchestrator, waits)),
            [] => narrowed(candidates, waits),
            [owner] => {
                let mut others = self.waiting_unnamed(orchestrator, waits);
                others.retain(|key| key != owner);
                if others.is_empty() {
                    return Verdict::One(*owner);
                }
                others.push(*owner);
                Verdict::of(others)
            }
            _ => narrowed(owners, waits),
        }
    }

    /// Sessions without a worker session whose text waits to be spoken.
    fn waiting_unnamed(
        &self,
        orchestrator: &Orchestrator,
        waits: impl Fn(&SessionKey) -> bool,
    ) -> Vec<SessionKey> {
        let unnamed = |key: &SessionKey| {
            self.sessions
                .get(key)
                .is_some_and(|session| session.names.is_empty())
        };
        orchestrator
            .sessions
            .iter()
            .copied()
            .filter(|key| unnamed(key) && waits(key))
            .collect()
    }

    fn own_stream(&mut self, call: CallId, key: SessionKey, at: KtimeNs) {
        let Some(stream) = self.streams.get(&call) else {
            return;
        };
        let (process, name) = (stream.process, stream.name.clone());
        let sent_before = match &stream.owner {
            Owner::OneOf(candidates) => candidates
                .iter()
                .find(|candidate| candidate.session == key)
                .map(|candidate| candidate.sent_before),
            _ => None,
        };
        self.set_owner(call, Owner::One(key));
        self.join_stream(key, call, sent_before);
        if let Some(name) = name {
            self.bind(process, key, &name, at);
        }
        self.strike_streams(process, key, at);
    }

    /// A session that waits for nothing more to be spoken is struck out of the streams left open; one
    /// that has a single candidate then is decided.
    fn strike_streams(&mut self, process: Tgid, key: SessionKey, at: KtimeNs) {
        let waits = self
            .sessions
            .get(&key)
            .is_some_and(|session| session.utterances.owes_text() || session.unread);
        let Some(orchestrator) = self.processes.get(&process).filter(|_| !waits) else {
            return;
        };
        let open = orchestrator.open_streams.clone();
        for call in open {
            // A stream older than the probe may be of a session that waits for nothing.
            let Some(Owner::OneOf(candidates)) = self
                .streams
                .get_mut(&call)
                .filter(|stream| stream.texts > 0)
                .map(|stream| &mut stream.owner)
            else {
                continue;
            };
            let before = candidates.len();
            candidates.retain(|candidate| candidate.session != key);
            if candidates.len() == before {
                continue;
            }
            if let [last] = candidates.as_slice() {
                let last = last.session;
                // Open streams only get fewer, so this ends.
                self.own_stream(call, last, at);
            }
        }
    }

    fn leave_stream_open(&mut self, call: CallId, process: Tgid, keys: Vec<SessionKey>) {
        for key in &keys {
            self.doubt_cause(*key);
        }
        let fits = keys.len() <= MAX_OWNERS
            && self
                .processes
                .get(&process)
                .is_some_and(|it| it.open_streams.len() < MAX_UNDECIDED);
        if !fits {
            self.set_owner(call, Owner::Nobody);
            return;
        }
        let candidates = keys
            .into_iter()
            .filter_map(|session| {
                let sent_before = self.sessions.get(&session)?.stray_audio;
                Some(Candidate {
                    session,
                    sent_before,
                    support: 0,
                })
            })
            .collect();
        self.set_owner(call, Owner::OneOf(candidates));
        if let Some(orchestrator) = self.processes.get_mut(&process) {
            orchestrator.open_streams.insert(call);
        }
    }

    fn set_owner(&mut self, call: CallId, owner: Owner) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        stream.owner = owner;
        if let Some(orchestrator) = self.processes.get_mut(&stream.process) {
            orchestrator.open_streams.remove(&call);
        }
    }
}

/// Those of `keys` that wait to be spoken to; all of them when none does.
fn narrowed(keys: Vec<SessionKey>, waits: impl Fn(&SessionKey) -> bool) -> Verdict {
    let waiting: Vec<SessionKey> = keys.iter().copied().filter(waits).collect();
    Verdict::of(if waiting.is_empty() { keys } else { waiting })
}

//! Sessions of all workers: start, end, and how long their own series stay.

use super::Model;
use super::session::{Session, Started};
use super::settings::{MAX_LINGERING, MAX_SESSIONS_PER_WORKER};
use super::story::{SessionChange, SessionStory, Story};
use crate::flow::CallId;
use crate::interpret::{Event, Id};
use crate::record::{ConnectionId, KtimeNs, Role, Tgid};

/// A session that is over and whose series wait for a last scrape.
#[derive(Debug)]
pub(super) struct Lingering {
    pub(super) worker: Id,
    session: Id,
    until: KtimeNs,
}

impl Model {
    /// A connection of a watched process ended: so did the sessions that were started on it.
    pub fn handle_connection_closed(&mut self, connection: ConnectionId, at: KtimeNs) {
        let ended: Vec<(Id, Id)> = self
            .workers
            .iter_mut()
            .filter_map(|(name, worker)| Some((name, worker.by_connection.remove(&connection)?)))
            .flat_map(|(name, sessions)| sessions.into_iter().map(|s| (name.clone(), s)))
            .collect();
        for (worker, session) in ended {
            self.end_session(&worker, Some(&session), at);
        }
    }

    pub(super) fn start_session(
        &mut self,
        worker: &Id,
        event: &Event,
        session: Option<&Id>,
        model: Option<&Id>,
    ) {
        let Some(id) = session else {
            self.refuse("nameless_session");
            return;
        };
        let Some(entry) = self.session_entry(worker, id) else {
            return;
        };
        let before = entry.started.replace(Started {
            process: event.process,
            connection: event.call.connection,
            model: model.cloned(),
        });
        let streams = entry.streams.clone();
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        if let Some(before) = before {
            // Started again: it is still one session, of the connection that said so last.
            forget_connection(&mut state.by_connection, before.connection, id);
        } else {
            state.started += 1;
            let process = event.process;
            let story = worker_session(process, worker, id, model, SessionChange::Started);
            self.tell(|| Story::Session(story));
        }
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        state
            .by_connection
            .entry(event.call.connection)
            .or_default()
            .insert(id.clone());
        for call in streams {
            if let Some(stream) = self.streams.get_mut(&call)
                && std::mem::take(&mut stream.counts_as_session)
            {
                state.anonymous = state.anonymous.saturating_sub(1);
            }
        }
        state.publish_sessions(&self.metrics);
    }

    pub(super) fn end_session(&mut self, worker: &Id, session: Option<&Id>, at: KtimeNs) {
        let (Some(id), Some(state)) = (session, self.workers.get_mut(worker)) else {
            return;
        };
        let Some(started) = state.sessions.get_mut(id).and_then(|s| s.started.take()) else {
            return;
        };
        state.started = state.started.saturating_sub(1);
        forget_connection(&mut state.by_connection, started.connection, id);
        state.publish_sessions(&self.metrics);
        let (process, model) = (started.process, started.model.as_ref());
        let story = worker_session(process, worker, id, model, SessionChange::Ended(None));
        self.tell(|| Story::Session(story));
        self.release_session(worker, id, at);
    }

    /// Ends the sessions a process left open when it ended.
    pub(super) fn end_sessions_of(&mut self, worker: &Id, tgid: Tgid, at: KtimeNs) {
        let Some(state) = self.workers.get(worker) else {
            return;
        };
        let open: Vec<Id> = state
            .sessions
            .iter()
            .filter(|(_, session)| session.started.as_ref().is_some_and(|s| s.process == tgid))
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            self.end_session(worker, Some(&id), at);
        }
    }

    /// The session's state, made when it is not there; `None` beyond the bound.
    pub(super) fn session_entry(&mut self, worker: &Id, session: &Id) -> Option<&mut Session> {
        let full = {
            let sessions = &self.workers.get(worker)?.sessions;
            sessions.len() >= MAX_SESSIONS_PER_WORKER && !sessions.contains_key(session)
        };
        if full {
            self.refuse("session");
            return None;
        }
        let sessions = &mut self.workers.get_mut(worker)?.sessions;
        Some(sessions.entry(session.clone()).or_default())
    }

    /// A stream of the session ended.
    pub(super) fn leave_session(&mut self, worker: &Id, session: &Id, call: CallId, at: KtimeNs) {
        if let Some(entry) = self
            .workers
            .get_mut(worker)
            .and_then(|state| state.sessions.get_mut(session))
        {
            entry.streams.retain(|open| *open != call);
        }
        self.release_session(worker, session, at);
    }

    /// One more or one fewer stream counts as a session of its own.
    pub(super) fn count_anonymous(&mut self, worker: &Id, more: bool) {
        if let Some(state) = self.workers.get_mut(worker) {
            state.anonymous = if more {
                state.anonymous + 1
            } else {
                state.anonymous.saturating_sub(1)
            };
            state.publish_sessions(&self.metrics);
        }
    }

    /// Removes the series of sessions that were over long enough.
    pub(super) fn expire_sessions(&mut self, at: KtimeNs) {
        while let Some(one) = self.lingering.pop_front_if(|one| one.until <= at) {
            self.remove_series(&one);
        }
    }

    /// A new session needs a label value: the series of the session longest over make place.
    pub(super) fn make_room_for_session(&mut self) {
        while !self.metrics.worker.audio_frames_emitted.has_room() {
            let Some(one) = self.lingering.pop_front() else {
                return;
            };
            self.remove_series(&one);
        }
    }

    /// Forgets a session that nothing keeps. Its series linger.
    fn release_session(&mut self, worker: &Id, session: &Id, at: KtimeNs) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        if !state.sessions.get(session).is_some_and(Session::is_over) {
            return;
        }
        state.sessions.remove(session);
        self.lingering.push_back(Lingering {
            worker: worker.clone(),
            session: session.clone(),
            until: at.plus(u64::from(self.settings.session_linger_ms) * 1_000_000),
        });
        if self.lingering.len() > MAX_LINGERING
            && let Some(one) = self.lingering.pop_front()
        {
            self.remove_series(&one);
        }
        self.expire_sessions(at);
    }

    fn remove_series(&self, one: &Lingering) {
        // The same id may have come back meanwhile, and then its series go on.
        let back = self
            .workers
            .get(&one.worker)
            .is_some_and(|state| state.sessions.contains_key(&one.session));
        if !back {
            self.metrics
                .worker
                .audio_frames_emitted
                .remove(&[one.worker.as_str(), one.session.as_str()]);
        }
    }
}

/// A worker's session started or ended.
fn worker_session(
    process: Tgid,
    worker: &Id,
    session: &Id,
    model: Option<&Id>,
    change: SessionChange,
) -> SessionStory {
    SessionStory {
        process,
        role: Role::Worker,
        worker: Some(worker.clone()),
        session: Some(session.clone()),
        model: model.cloned(),
        transport: None,
        change,
    }
}

fn forget_connection(
    by_connection: &mut std::collections::HashMap<ConnectionId, std::collections::BTreeSet<Id>>,
    connection: ConnectionId,
    session: &Id,
) {
    if let Some(sessions) = by_connection.get_mut(&connection) {
        sessions.remove(session);
        if sessions.is_empty() {
            by_connection.remove(&connection);
        }
    }
}

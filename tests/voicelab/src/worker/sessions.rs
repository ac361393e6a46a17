//! The sessions of a worker, and the control commands in force for each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::watch;

/// What a session's streams must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Playback {
    /// No frame is sent.
    pub(crate) paused: bool,
    /// Commands to stop so far: a stream that began at a lower count ends.
    pub(crate) stops: u64,
}

/// Why a session cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum SessionError {
    /// A session of that name is running.
    #[error("session already started")]
    Exists,
    /// The worker has as many sessions as it takes.
    #[error("too many sessions")]
    Full,
    /// The name is empty.
    #[error("session_id is empty")]
    Unnamed,
}

/// The running sessions by name.
pub(crate) struct Sessions {
    limit: usize,
    running: Mutex<HashMap<String, Session>>,
}

struct Session {
    model: String,
    playback: watch::Sender<Playback>,
}

impl Sessions {
    /// No session; at most `limit` at a time.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are running.
    pub(crate) fn count(&self) -> usize {
        self.running().len()
    }

    /// Begins a session with `model`.
    pub(crate) fn start(&self, name: &str, model: &str) -> Result<(), SessionError> {
        let mut running = self.running();
        if name.is_empty() {
            return Err(SessionError::Unnamed);
        }
        if running.contains_key(name) {
            return Err(SessionError::Exists);
        }
        if running.len() >= self.limit {
            return Err(SessionError::Full);
        }
        let playback = watch::Sender::new(Playback::default());
        running.insert(
            name.to_owned(),
            Session {
                model: model.to_owned(),
                playback,
            },
        );
        Ok(())
    }

    /// Ends a session and its streams; gives its model.
    pub(crate) fn end(&self, name: &str) -> Option<String> {
        let session = self.running().remove(name)?;
        stop(&session);
        Some(session.model)
    }

    /// The model of a session.
    pub(crate) fn model(&self, name: &str) -> Option<String> {
        self.running()
            .get(name)
            .map(|session| session.model.clone())
    }

    /// The model of a session and what its streams must do from now on.
    pub(crate) fn join(&self, name: &str) -> Option<(String, watch::Receiver<Playback>)> {
        let running = self.running();
        let session = running.get(name)?;
        Some((session.model.clone(), session.playback.subscribe()))
    }

    /// Holds a session's frames back, or lets them go. Gives whether the session exists.
    pub(crate) fn pause(&self, name: &str, paused: bool) -> bool {
        let running = self.running();
        let session = running.get(name);
        if let Some(session) = session {
            session
                .playback
                .send_modify(|playback| playback.paused = paused);
        }
        session.is_some()
    }

    /// Ends a session's streams. Gives whether the session exists.
    pub(crate) fn stop(&self, name: &str) -> bool {
        let running = self.running();
        let session = running.get(name);
        if let Some(session) = session {
            stop(session);
        }
        session.is_some()
    }
}

fn stop(session: &Session) {
    session.playback.send_modify(|playback| {
        playback.stops += 1;
        playback.paused = false;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_are_unique_and_bounded() {
        let sessions = Sessions::new(1);
        assert_eq!(sessions.start("", "m"), Err(SessionError::Unnamed));
        assert_eq!(sessions.start("a", "m"), Ok(()));
        assert_eq!(sessions.start("a", "m"), Err(SessionError::Exists));
        assert_eq!(sessions.start("b", "m"), Err(SessionError::Full));
        assert_eq!(sessions.end("a").as_deref(), Some("m"));
        assert_eq!(sessions.start("b", "m"), Ok(()));
    }

    #[test]
    fn stop_reaches_streams_that_joined_and_lifts_a_pause() {
        let sessions = Sessions::new(1);
        sessions.start("a", "m").unwrap();
        let (_, playback) = sessions.join("a").unwrap();
        assert!(sessions.pause("a", true));
        assert!(playback.borrow().paused);
        assert!(sessions.stop("a"));
        assert_eq!(
            *playback.borrow(),
            Playback {
                paused: false,
                stops: 1
            }
        );
    }

    #[test]
    fn commands_to_an_unknown_session_are_refused() {
        let sessions = Sessions::new(1);
        assert!(!sessions.pause("a", true) && !sessions.stop("a"));
        assert!(sessions.join("a").is_none() && sessions.end("a").is_none());
    }
}

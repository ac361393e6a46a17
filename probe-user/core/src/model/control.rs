//! Control commands: which streams they hold, how fast they are answered, and how fast the audio
//! follows.
//!
//! The effect of a PAUSE or STOP is the last frame its session sent after it; it is known when a
//! RESUME or another STOP arrives, or the streams are over, and 0 when no frame followed. The effect
//! of a RESUME is the first frame the session sends after it.

use super::Model;
use super::session::Effect;
use super::stream::Hold;
use crate::flow::CallId;
use crate::interpret::{Command, Id};
use crate::metrics::{Measure, Metrics, SkipReason};
use crate::record::KtimeNs;

impl Model {
    pub(super) fn handle_command(
        &mut self,
        worker: &Id,
        session: Option<&Id>,
        command: Command,
        at: KtimeNs,
    ) {
        self.metrics
            .worker
            .control_commands
            .with(&[worker.as_str(), command.as_str()])
            .inc();
        match (session, command) {
            (_, Command::Reload | Command::Other) => {}
            (Some(session), Command::Pause | Command::Stop) => {
                self.hold_session(worker, session, command, at);
            }
            (Some(session), Command::Resume) => self.resume_session(worker, session, at),
            // Whom or what it concerns is unknown.
            (session, _) => self.doubt_streams(worker, session),
        }
    }

    pub(super) fn observe_answer(
        &self,
        worker: &Id,
        command: Command,
        received: Option<KtimeNs>,
        at: KtimeNs,
    ) {
        match received {
            Some(received) => self
                .metrics
                .worker
                .control_latency
                .with(&[worker.as_str(), command.as_str()])
                .observe(at.ms_since(received)),
            None => self
                .metrics
                .probe
                .skip(Measure::ControlLatency, SkipReason::Lost),
        }
    }

    /// The worker refused the command that arrived at `received`.
    pub(super) fn revoke_command(&mut self, worker: &Id, session: Option<&Id>, received: KtimeNs) {
        let Some(session) =
            session.and_then(|id| self.workers.get_mut(worker)?.sessions.get_mut(id))
        else {
            return;
        };
        let effect = session.effect.take_if(|effect| effect.at == received);
        for call in &session.streams {
            if let Some(stream) = self.streams.get_mut(call) {
                stream.release(received);
                stream.watched &= effect.is_none();
            }
        }
    }

    /// A stream sent its first frame after a RESUME.
    pub(super) fn observe_resumed(&mut self, call: CallId, at: KtimeNs) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        stream.awaits_resume = false;
        let resumed = stream.session.as_ref().and_then(|session| {
            let worker = self.workers.get_mut(&stream.worker)?;
            worker.sessions.get_mut(session)?.resumed.take()
        });
        if let Some(resumed) = resumed {
            self.metrics
                .worker
                .control_effect
                .with(&[stream.worker.as_str(), Command::Resume.as_str()])
                .observe(at.ms_since(resumed));
        }
    }

    /// Frames of a stream went unseen: the effect of commands in force cannot be told.
    pub(super) fn lose_effects(&mut self, call: CallId) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        let awaited = std::mem::take(&mut stream.awaits_resume);
        let Some(session) = stream.session.as_ref().and_then(|session| {
            self.workers
                .get_mut(&stream.worker)?
                .sessions
                .get_mut(session)
        }) else {
            return;
        };
        if stream.watched
            && let Some(effect) = &mut session.effect
        {
            effect.lost = true;
        }
        if awaited && session.resumed.take().is_some() {
            self.metrics
                .probe
                .skip(Measure::ControlEffect, SkipReason::Lost);
        }
    }

    /// A stream is over: no frame will follow a PAUSE or STOP any more.
    pub(super) fn settle_stream(&mut self, call: CallId) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        stream.awaits_resume = false;
        if !std::mem::take(&mut stream.watched) {
            return;
        }
        let Some(session) = stream.session.as_ref().and_then(|session| {
            self.workers
                .get_mut(&stream.worker)?
                .sessions
                .get_mut(session)
        }) else {
            return;
        };
        if let Some(effect) = &mut session.effect {
            effect.latest = effect.latest.max(stream.last_frame.unwrap_or_default());
            effect.awaited = effect.awaited.saturating_sub(1);
        }
        if let Some(effect) = session.effect.take_if(|effect| effect.awaited == 0) {
            observe(effect, &stream.worker, &self.metrics);
        }
    }

    fn hold_session(&mut self, worker: &Id, id: &Id, command: Command, at: KtimeNs) {
        let streams = self.open_streams(worker, id);
        let mut awaited = 0;
        if command == Command::Stop {
            self.settle_session(worker, id);
        }
        for call in streams {
            let Some(stream) = self.streams.get_mut(&call).filter(|s| !s.finished) else {
                continue;
            };
            match (command, stream.hold) {
                (Command::Stop, Hold::Free | Hold::Paused(_)) => stream.stop(at),
                (Command::Pause, Hold::Free) => stream.pause(at),
                _ => continue,
            }
            stream.awaits_resume = false;
            if stream.frames > 0 {
                stream.watched = true;
                awaited += 1;
            }
        }
        let Some(session) = self
            .workers
            .get_mut(worker)
            .and_then(|state| state.sessions.get_mut(id))
        else {
            return;
        };
        session.resumed = None;
        if awaited > 0 {
            session.effect = Some(Effect {
                command,
                at,
                latest: at,
                awaited,
                lost: false,
            });
        }
    }

    fn resume_session(&mut self, worker: &Id, id: &Id, at: KtimeNs) {
        self.settle_session(worker, id);
        let mut awaited = false;
        for call in self.open_streams(worker, id) {
            if let Some(stream) = self.streams.get_mut(&call).filter(|s| !s.finished)
                && stream.resume(at)
            {
                stream.awaits_resume = true;
                awaited = true;
            }
        }
        if awaited
            && let Some(session) = self
                .workers
                .get_mut(worker)
                .and_then(|state| state.sessions.get_mut(id))
        {
            session.resumed = Some(at);
        }
    }

    /// Another command arrived: what the one before did is known now.
    fn settle_session(&mut self, worker: &Id, id: &Id) {
        let Some(session) = self
            .workers
            .get_mut(worker)
            .and_then(|state| state.sessions.get_mut(id))
        else {
            return;
        };
        let Some(mut effect) = session.effect.take() else {
            return;
        };
        for call in &session.streams {
            if let Some(stream) = self.streams.get_mut(call)
                && std::mem::take(&mut stream.watched)
            {
                effect.latest = effect.latest.max(stream.last_frame.unwrap_or_default());
            }
        }
        observe(effect, worker, &self.metrics);
    }

    fn open_streams(&self, worker: &Id, session: &Id) -> Vec<CallId> {
        self.workers
            .get(worker)
            .and_then(|state| state.sessions.get(session))
            .map(|session| session.streams.clone())
            .unwrap_or_default()
    }

    fn doubt_streams(&mut self, worker: &Id, session: Option<&Id>) {
        for stream in self.streams.values_mut() {
            let concerned = session.is_none_or(|id| stream.session.as_ref() == Some(id));
            if stream.worker == *worker && concerned {
                stream.handle_unread_command();
            }
        }
    }
}

fn observe(effect: Effect, worker: &Id, metrics: &Metrics) {
    if effect.lost {
        metrics.probe.skip(Measure::ControlEffect, SkipReason::Lost);
        return;
    }
    metrics
        .worker
        .control_effect
        .with(&[worker.as_str(), effect.command.as_str()])
        .observe(effect.latest.ms_since(effect.at));
}

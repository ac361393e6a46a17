//! Synthesis streams of all workers: their events, and what they mean to session and worker.

use foldhash::HashMap;

use super::story::Story;
use super::stream::Stream;
use super::worker::Worker;
use super::{MAX_STREAMS, Model};
use crate::flow::{CallEnd, CallId};
use crate::interpret::{AudioFrame, Id};
use crate::metrics::{Metrics, SkipReason, UNKNOWN};
use crate::record::{KtimeNs, Tgid};

impl Model {
    pub(super) fn open_stream(&mut self, process: Tgid, call: CallId) {
        let Some(worker) = self.processes.get(&process) else {
            return;
        };
        if self.streams.len() >= MAX_STREAMS || self.streams.contains_key(&call) {
            self.refuse("stream");
            return;
        }
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.streams += 1;
        }
        self.streams.insert(
            call,
            Stream::new(worker.clone(), process, self.settings.objectives),
        );
    }

    /// The stream says which session it belongs to.
    pub(super) fn name_stream(&mut self, call: CallId, session: &Id) {
        let Some(worker) = self.streams.get(&call).map(|stream| stream.worker.clone()) else {
            return;
        };
        let Some(entry) = self.session_entry(&worker, session) else {
            return;
        };
        entry.streams.push(call);
        let started = entry.started.is_some();
        if let Some(stream) = self.streams.get_mut(&call) {
            stream.session = Some(session.clone());
            if started && stream.counts_as_session {
                stream.counts_as_session = false;
                self.count_anonymous(&worker, false);
            }
        }
    }

    pub(super) fn handle_text(&mut self, call: CallId, at: KtimeNs, length: Option<u32>) {
        self.identify(call, true);
        self.change(call, |stream, _| stream.handle_text(at, length));
    }

    pub(super) fn handle_text_lost(&mut self, call: CallId) {
        self.change(call, |stream, _| stream.handle_text_lost());
    }

    pub(super) fn handle_frames_lost(&mut self, call: CallId, reason: SkipReason) {
        self.change(call, |stream, metrics| {
            stream.handle_frames_lost(reason, metrics);
        });
        self.lose_effects(call);
    }

    pub(super) fn handle_frame(&mut self, call: CallId, at: KtimeNs, frame: &AudioFrame) {
        match frame.audio_bytes {
            // An end marker without audio is no frame.
            Some(0) => self.identify(call, true),
            Some(_) => {
                if !self.send_frame(call, at, frame) {
                    self.identify(call, true);
                    self.give_counter(call);
                    self.send_frame(call, at, frame);
                }
            }
            None => {
                self.identify(call, true);
                self.handle_frames_lost(call, SkipReason::Unreadable);
            }
        }
        if frame.is_final == Some(true) {
            self.finish_stream(call, at, None);
        }
    }

    pub(super) fn end_stream(&mut self, call: CallId, at: KtimeNs, end: CallEnd) {
        self.identify(call, false);
        self.finish_stream(call, at, Some(end));
        let Some(mut stream) = self.streams.remove(&call) else {
            return;
        };
        stream.count_drops(end, &self.metrics);
        if let Some(worker) = self.workers.get_mut(&stream.worker) {
            worker.streams = worker.streams.saturating_sub(1);
        }
        if stream.counts_as_session {
            self.count_anonymous(&stream.worker, false);
        }
        if let Some(session) = &stream.session {
            self.leave_session(&stream.worker, session, call, at);
        }
    }

    /// Ends what a process left open when it ended.
    pub(super) fn end_streams_of(&mut self, tgid: Tgid, at: KtimeNs) {
        let open: Vec<CallId> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.process == tgid)
            .map(|(call, _)| *call)
            .collect();
        for call in open {
            self.end_stream(call, at, CallEnd::ConnectionClosed);
        }
    }

    /// Takes a frame with audio; false where its stream has yet to be identified, or lacks its counter.
    fn send_frame(&mut self, call: CallId, at: KtimeNs, frame: &AudioFrame) -> bool {
        let Some(stream) = self.streams.get_mut(&call) else {
            return true;
        };
        if !stream.identified || stream.lacks_counter() {
            return false;
        }
        let prebuffer_ns = u64::from(self.settings.prebuffer_ms) * 1_000_000;
        let first = stream.waits_for_model();
        let queued = stream.queued;
        let sent = stream.handle_frame(at, frame, prebuffer_ns, &self.metrics);
        let awaits_resume = stream.awaits_resume;
        count_queued(&mut self.workers, stream, queued, &self.metrics);
        self.late.handle(call, stream, at, sent, &self.metrics);
        if let Some((worker, model, asked)) = first {
            self.answer_for_model(&worker, &model, Some(asked), at);
        }
        if awaits_resume {
            self.observe_resumed(call, at);
        }
        true
    }

    fn finish_stream(&mut self, call: CallId, at: KtimeNs, end: Option<CallEnd>) {
        let goes_on = self.streams.get(&call).is_some_and(|it| !it.finished);
        self.change(call, |stream, metrics| stream.finish(at, end, metrics));
        self.settle_stream(call);
        if goes_on
            && self.stories.are_kept()
            && let Some(stream) = self.streams.get(&call)
        {
            let story = stream.story(call, at, end);
            self.tell(|| Story::Synthesis(story));
        }
    }

    /// Counts the request with the model its session was started for. A stream that spoke and whose
    /// session is unknown counts as a session of its own.
    fn identify(&mut self, call: CallId, spoke: bool) {
        let Some(stream) = self.streams.get_mut(&call).filter(|s| !s.identified) else {
            return;
        };
        stream.identified = true;
        let Some(worker) = self.workers.get_mut(&stream.worker) else {
            return;
        };
        let started = stream
            .session
            .as_ref()
            .and_then(|session| worker.sessions.get(session)?.started.as_ref());
        stream.model = started.and_then(|started| started.model.clone());
        stream.counts_as_session = spoke && started.is_none();
        if stream.counts_as_session {
            worker.anonymous += 1;
            worker.publish_sessions(&self.metrics);
        }
        self.metrics
            .worker
            .synthesis_requests
            .with(&[worker.name.as_str(), stream.model_label()])
            .inc();
    }

    /// Looks up the series that counts the stream's frames.
    fn give_counter(&mut self, call: CallId) {
        self.make_room_for_session();
        if let Some(stream) = self.streams.get_mut(&call) {
            let session = stream.session.as_ref().map_or(UNKNOWN, Id::as_str);
            let counter = self
                .metrics
                .worker
                .audio_frames_emitted
                .with(&[stream.worker.as_str(), session]);
            stream.set_counter(counter);
        }
    }

    /// Changes a stream, and the queue depth with it.
    fn change(&mut self, call: CallId, change: impl FnOnce(&mut Stream, &Metrics)) {
        let Some(stream) = self.streams.get_mut(&call) else {
            return;
        };
        let queued = stream.queued;
        change(stream, &self.metrics);
        count_queued(&mut self.workers, stream, queued, &self.metrics);
    }
}

/// Brings a worker's queue depth up to a stream that was `queued` before.
fn count_queued(
    workers: &mut HashMap<Id, Worker>,
    stream: &Stream,
    queued: bool,
    metrics: &Metrics,
) {
    if queued != stream.queued
        && let Some(worker) = workers.get_mut(&stream.worker)
    {
        worker.queue = if stream.queued {
            worker.queue + 1
        } else {
            worker.queue.saturating_sub(1)
        };
        worker.publish_queue(metrics);
    }
}

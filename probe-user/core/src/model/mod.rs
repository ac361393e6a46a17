//! The state of the voice system's workers: sessions, synthesis streams and their playout, control
//! commands, models. Turns events into the metrics of the catalogue, and shows itself to the live
//! view.
//!
//! Takes [`interpret::Event`](crate::interpret::Event)s, process facts, GPU samples and ticks; gives
//! observations in [`Metrics`] and views ([`Model::streams`], [`Model::workers`]). Only the server
//! side of processes with [`Role::Worker`] counts: the same bytes seen at the client's end are the
//! orchestrator's story.
//!
//! How each metric is defined, where the definition leaves a choice:
//!
//! - A request is counted with the stream's first message, because that names its session and
//!   through it the model; a stream without a message is counted at its end, for model `unknown`.
//! - A stream's model is the one its session was started for; a session without a `StartSession` seen
//!   has model `unknown`.
//! - A PAUSE, RESUME or STOP concerns the streams of its session that are open when it arrives.
//! - A model that is loaded without a `LoadModel` (by first use, at start-up) is a load where its weights
//!   files are seen (`file_loads` says how). On the wire nothing tells it from a model that was
//!   there; without files it shows in the resident count with the worker's next list.
//! - A load that `LoadModel` asked for counts once, whether or not files tell of it too. Its duration
//!   is the worker's own figure, else what the files tell, else the call's time.
//! - Warm-up goes from the end of a load, by the worker's own figure or by its files, to the first
//!   answer to a request that was there by then: a `LoadModel` or `StartSession` response, or the first
//!   frame of a stream. The first answer to a later request says nothing about it, and with nothing
//!   that tells the load's end nothing is observed.
//! - Frames missing from the sequence count as `pause` at once when a command holds the stream; the
//!   others wait for the end of the call, which tells `error` from `backpressure`.
//! - What depends on bytes that were lost is not observed, and counted in
//!   `voxprobe_observations_skipped_total`.

mod control;
mod file_loads;
mod files;
mod hooks;
mod late;
mod models;
mod orchestrator;
mod pacing;
mod playout;
mod redis;
mod rename;
mod residency;
mod sequence;
mod session;
mod sessions;
mod settings;
mod story;
mod stream;
mod streams;
mod view;
mod violation;
mod worker;

pub use file_loads::{MAPPED_QUIET_NS, MIN_LOAD_BYTES, QUIET_NS};
pub use hooks::{HookModel, MAX_HOOKS, MAX_INSTANCES, Speech};
pub use late::LateFrame;
pub use orchestrator::OrchestratorModel;
pub use redis::RedisModel;
pub use settings::{
    MAX_FRAME_MS, MAX_LINGERING, MAX_MODELS_PER_PROCESS, MAX_PROCESSES, MAX_SEQUENCE_GAP,
    MAX_SESSIONS_PER_WORKER, MAX_STREAMS, ModelSettings, Objectives, TransportSetting,
};
pub use story::{
    CallStory, InterruptionStory, Jitter, Moment, SentAudio, SessionChange, SessionStory, Story,
    SynthesisStory, UtteranceId, UtteranceStory,
};
pub use view::{SentFrame, StreamState, StreamView, WorkerView};
pub use violation::{Objective, Violation};

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt as _};

use files::ModelFile;
use late::Lateness;
use models::Loaded;
use sessions::Lingering;
use story::Stories;
use stream::Stream;
use worker::Worker;

use crate::flow::CallId;
use crate::interpret::{Command, Event, Id, What};
use crate::metrics::{Measure, Metrics, SkipReason};
use crate::record::{FileId, GpuSample, KtimeNs, Process, Role, Side, Tgid};

/// How a stream's frames are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// One per frame duration.
    Paced,
    /// As fast as they are made.
    Burst,
}

impl Pacing {
    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paced => "paced",
            Self::Burst => "burst",
        }
    }
}

/// The workers' state. Feed it in record order; it needs no other call.
#[derive(Debug)]
pub struct Model {
    settings: ModelSettings,
    metrics: Metrics,
    workers: HashMap<Id, Worker>,
    processes: HashMap<Tgid, Id>,
    streams: HashMap<CallId, Stream>,
    files: HashMap<FileId, ModelFile>,
    lingering: VecDeque<Lingering>,
    late: Lateness,
    stories: Stories,
}

impl Model {
    /// An empty model that observes into `metrics`.
    pub fn new(settings: ModelSettings, metrics: &Metrics) -> Self {
        Self {
            settings,
            metrics: metrics.clone(),
            workers: HashMap::new(),
            processes: HashMap::new(),
            streams: HashMap::new(),
            files: HashMap::new(),
            lingering: VecDeque::new(),
            late: Lateness::new(settings.late_threshold_ms),
            stories: Stories::default(),
        }
    }

    /// Goes by other settings from the next record on. Streams that speak keep their playout's start.
    pub fn reconfigure(&mut self, settings: ModelSettings) {
        self.settings = settings;
        self.late.set_threshold(settings.late_threshold_ms);
    }

    /// Sets by how many milliseconds an interval may be too long, and whether late frames are kept for
    /// [`Self::poll_late`], whose caller counts them, or counted here with an unknown cause.
    pub fn collect_late_frames(&mut self, threshold_ms: u32, collects: bool) {
        self.late.collect(threshold_ms, collects);
    }

    /// Keeps stories from now on, for [`Self::take_stories`].
    pub fn keep_stories(&mut self) {
        self.stories.keep();
    }

    /// What is over since the last call.
    pub fn take_stories(&mut self) -> Vec<Story> {
        self.stories.take()
    }

    fn tell(&mut self, story: impl FnOnce() -> Story) {
        if self.stories.are_kept() && !self.stories.add(story()) {
            self.refuse("story");
        }
    }

    /// A late frame, told once.
    pub fn poll_late(&mut self) -> Option<LateFrame> {
        self.late.poll()
    }

    /// A process is watched, or what is known about it changed. Only workers matter here.
    pub fn handle_process(&mut self, process: &Process) {
        let name = Id::new(&process.name).filter(|_| process.role == Role::Worker);
        if let Some(before) = self.processes.get(&process.tgid)
            && Some(before) != name.as_ref()
        {
            self.handle_process_ended(process.tgid, process.at);
        }
        let Some(name) = name else {
            return;
        };
        let known = self.processes.contains_key(&process.tgid);
        if !known && self.processes.len() >= MAX_PROCESSES {
            self.refuse("process");
            return;
        }
        if !self.workers.contains_key(&name) && self.workers.len() >= self.metrics.limits().workers
        {
            self.refuse("worker");
            return;
        }
        let worker = self
            .workers
            .entry(name.clone())
            .or_insert_with(|| Worker::new(name.clone(), process.adapter.clone()));
        worker.set_adapter(&process.adapter, &self.metrics);
        worker.processes.entry(process.tgid).or_default();
        worker.publish_sessions(&self.metrics);
        worker.publish_queue(&self.metrics);
        self.processes.insert(process.tgid, name);
    }

    /// A watched process ended, and with it its streams, sessions and models. With the last process
    /// of its name the worker is gone, and every series that carries its name leaves.
    pub fn handle_process_ended(&mut self, tgid: Tgid, at: KtimeNs) {
        let Some(name) = self.processes.remove(&tgid) else {
            return;
        };
        self.forget_files_of(tgid);
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        worker.processes.remove(&tgid);
        worker.loads.forget_process(tgid);
        if worker.processes.is_empty() {
            self.workers.remove(&name);
            self.streams.retain(|_, stream| stream.worker != name);
            self.lingering.retain(|one| one.worker != name);
            self.metrics.worker.remove_worker(name.as_str());
            self.metrics.gpu.remove_worker(name.as_str());
            return;
        }
        worker.publish_models(&self.metrics);
        self.end_streams_of(tgid, at);
        self.end_sessions_of(&name, tgid, at);
    }

    /// Something happened.
    pub fn handle(&mut self, event: &Event) {
        if event.role != Role::Worker || event.side != Side::Server {
            return;
        }
        let (call, at) = (event.call, event.at);
        match &event.what {
            What::Frame(frame) => self.handle_frame(call, at, frame),
            What::Text { length, .. } => self.handle_text(call, at, *length),
            What::StreamOpened => self.open_stream(event.process, call),
            What::StreamTraced(context) => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.trace = Some(*context);
                }
            }
            What::StreamSession(session) => self.name_stream(call, session),
            What::TextLost => self.handle_text_lost(call),
            What::FramesLost => self.handle_frames_lost(call, SkipReason::Lost),
            What::MaybeCommanded => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.handle_unread_command();
                }
            }
            What::StreamEnded(end) => self.end_stream(call, at, *end),
            what => {
                if let Some(worker) = self.processes.get(&event.process).cloned() {
                    self.handle_unary(&worker, event, what);
                }
            }
        }
    }

    /// GPU readings came. They replace the ones before.
    pub fn handle_gpus(&mut self, sample: &GpuSample) {
        let processes = &self.processes;
        self.metrics.gpu.update(sample, &|tgid| {
            processes.get(&tgid).map(|name| name.as_str().to_owned())
        });
    }

    /// Time passed: series of sessions that are over leave.
    pub fn handle_tick(&mut self, at: KtimeNs) {
        self.expire_sessions(at);
        self.expire_file_loads(at);
        for (kind, count) in [
            ("process", self.processes.len()),
            ("stream", self.streams.len()),
            (
                "session",
                self.workers.values().map(|w| w.sessions.len()).sum(),
            ),
        ] {
            self.metrics
                .probe
                .state_tracked
                .with(&[kind])
                .set(count as f64);
        }
    }

    fn handle_unary(&mut self, worker: &Id, event: &Event, what: &What) {
        let at = event.at;
        match what {
            What::SessionStarted { session, model } => {
                let asked = self.end_model_request(event.process, event.call);
                self.start_session(worker, event, session.as_ref(), model.as_ref());
                if let Some(model) = model {
                    self.answer_for_model(worker, model, asked, at);
                }
            }
            What::SessionEnded { session } => self.end_session(worker, session.as_ref(), at),
            What::SessionMaybeStarted | What::SessionMaybeEnded => {
                self.metrics.probe.skip(Measure::Session, SkipReason::Lost);
            }
            What::ControlReceived { session, command } => {
                self.handle_command(worker, session.as_ref(), *command, at);
            }
            What::ControlAnswered {
                session,
                command,
                received,
                success,
            } => {
                self.observe_answer(worker, *command, *received, at);
                match (received, success, command) {
                    (Some(received), Some(false), _) => {
                        self.revoke_command(worker, session.as_ref(), *received);
                    }
                    (Some(received), Some(true), Command::Reload) => {
                        self.reload_model(worker, session.as_ref(), *received);
                    }
                    _ => {}
                }
            }
            What::ModelLoaded {
                model,
                received,
                duration,
            } => {
                let loaded = Loaded {
                    process: event.process,
                    call: event.call,
                    model: model.as_ref(),
                    received: *received,
                    duration: *duration,
                    at,
                };
                self.load_model(worker, &loaded);
            }
            What::ModelRequested { model } => {
                self.request_model(event.process, event.call, model.as_ref(), at);
            }
            What::ModelRequestEnded => {
                self.end_model_request(event.process, event.call);
            }
            What::ModelUnloaded { model } => {
                self.unload_model(worker, event.process, model.as_ref());
            }
            What::ModelsListed { resident } => self.list_models(worker, event.process, resident),
            What::ModelsUnreadable => self
                .metrics
                .probe
                .skip(Measure::ModelList, SkipReason::Unreadable),
            What::StreamOpened
            | What::StreamTraced(_)
            | What::StreamSession(_)
            | What::Text { .. }
            | What::TextEnded
            | What::SessionAsked { .. }
            | What::SessionEndAsked { .. }
            | What::CallFailed { .. }
            | What::TextLost
            | What::Frame(_)
            | What::FramesLost
            | What::MaybeCommanded
            | What::StreamEnded(_) => {}
        }
    }

    fn refuse(&self, kind: &str) {
        self.metrics.probe.state_refused.with(&[kind]).inc();
    }
}

#[cfg(test)]
mod tests;

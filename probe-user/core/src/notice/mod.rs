//! What a log should tell of the voice system: sessions, objectives that were missed, GPUs.
//!
//! Takes the model's [`Story`]s and GPU samples; gives [`Notice`]s. How they are written, and how many, is
//! the shell's business.

mod gpu;

use std::collections::VecDeque;

pub use gpu::{GpuNotice, Severity};

use crate::interpret::Id;
use crate::model::{Objectives, SessionStory, Story, Violation};
use crate::record::{GpuSample, Tgid, TraceId};
use gpu::Gpus;

/// Notices that were not taken. They are taken after some records; more are left out, and counted.
const MAX_NOTICES: usize = 4096;

/// Something that a log should tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A session started or ended.
    Session(SessionStory),
    /// An objective was missed.
    Violation(ViolationNotice),
    /// A GPU, or NVML, changed.
    Gpu(GpuNotice),
    /// So many were left out: more came at once than are kept.
    LeftOut(u64),
}

/// An objective that was missed, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ViolationNotice {
    /// What was missed, with the numbers.
    pub violation: Violation,
    /// Process.
    pub process: Tgid,
    /// Label `worker`, of a worker.
    pub worker: Option<Id>,
    /// The session, where that is known.
    pub session: Option<Id>,
    /// Its model, where that is known.
    pub model: Option<Id>,
    /// The trace that shows it, where there is one.
    pub trace: Option<TraceId>,
}

/// Notices that wait to be told.
#[derive(Debug)]
pub struct Notices {
    objectives: Objectives,
    gpus: Gpus,
    waiting: VecDeque<Notice>,
    left_out: u64,
}

impl Notices {
    /// None yet.
    pub fn new(objectives: Objectives) -> Self {
        Self {
            objectives,
            gpus: Gpus::default(),
            waiting: VecDeque::new(),
            left_out: 0,
        }
    }

    /// Goes by other objectives from now on.
    pub fn set_objectives(&mut self, objectives: Objectives) {
        self.objectives = objectives;
    }

    /// Takes a story; `trace` is the trace that it will be in.
    pub fn handle(&mut self, story: &Story, trace: Option<TraceId>) {
        if let Story::Session(session) = story {
            self.add(Notice::Session(session.clone()));
        }
        let Some(violation) = Violation::of(story, self.objectives) else {
            return;
        };
        let (process, worker, session, model) = match story {
            Story::Utterance(story) => (story.process, None, &story.session, &story.model),
            Story::Interruption(story) => (story.process, None, &story.session, &story.model),
            Story::Synthesis(story) => {
                let worker = Some(story.worker.clone());
                (story.process, worker, &story.session, &story.model)
            }
            Story::Session(_) | Story::Call { .. } => return,
        };
        self.add(Notice::Violation(ViolationNotice {
            violation,
            process,
            worker,
            session: session.clone(),
            model: model.clone(),
            trace,
        }));
    }

    /// Takes GPU readings.
    pub fn handle_gpus(&mut self, sample: &GpuSample) {
        for notice in self.gpus.changes(sample) {
            self.add(Notice::Gpu(notice));
        }
    }

    /// The oldest one, told once.
    pub fn poll(&mut self) -> Option<Notice> {
        self.waiting.pop_front().or_else(|| {
            let left_out = std::mem::take(&mut self.left_out);
            (left_out > 0).then_some(Notice::LeftOut(left_out))
        })
    }

    fn add(&mut self, notice: Notice) {
        if self.waiting.len() < MAX_NOTICES {
            self.waiting.push_back(notice);
        } else {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests;

//! What the model tells once it is over, on its way to traces and notices.

use super::Pipeline;
use crate::{
    model::{Objectives, Story},
    notice::{Notice, Notices},
    record::KtimeNs,
    trace::{Seed, Trace, Tracer},
};

impl Pipeline {
    /// Notices what a log should tell, for [`Self::poll_notice`].
    pub fn keep_notices(&mut self, objectives: Objectives) {
        self.keep_stories();
        self.notices = Some(Notices::new(objectives));
    }

    /// Something to be told in the log, told once.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.as_mut()?.poll()
    }

    /// Traces what is spoken, for [`Self::poll_trace`]: this share of it, from 0 to 1. Of what misses one
    /// of `objectives` everything.
    pub fn trace(&mut self, seed: Seed, rate: f64, objectives: Objectives) {
        self.keep_stories();
        self.tracer = Some(Tracer::new(seed, rate, objectives, &self.metrics));
    }

    /// The tracer, to be set up, where it traces.
    pub fn tracer_mut(&mut self) -> Option<&mut Tracer> {
        self.tracer.as_mut()
    }

    /// A trace to be exported, told once.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.tracer.as_mut()?.poll()
    }

    fn keep_stories(&mut self) {
        self.model.keep_stories();
        self.orchestrator.keep_stories();
    }

    /// Hands on what the last record completed. `at` is the time where it was a tick.
    pub(super) fn tell_stories(&mut self, at: Option<KtimeNs>) {
        if self.notices.is_none() && self.tracer.is_none() {
            return;
        }
        // The worker's part first: the orchestrator's may be waiting for it.
        let stories = self.model.take_stories().into_iter();
        for story in stories.chain(self.orchestrator.take_stories()) {
            let trace = self.tracer.as_ref().and_then(|tracer| {
                let of = match &story {
                    Story::Synthesis(story) => self.orchestrator.utterance_of(story.call),
                    _ => None,
                };
                tracer.trace_of(&story, of)
            });
            if let Some(notices) = &mut self.notices {
                notices.handle(&story, trace);
            }
            if let Some(tracer) = &mut self.tracer {
                tracer.handle(story, |call| self.orchestrator.will_tell(call));
            }
        }
        if let (Some(tracer), Some(at)) = (&mut self.tracer, at) {
            tracer.handle_tick(at);
        }
    }
}

//! What a stream tells once its synthesis is over.

use super::Stream;
use crate::flow::{CallEnd, CallId};
use crate::model::story::SynthesisStory;
use crate::record::KtimeNs;

impl Stream {
    /// Its story, up to the final frame (`None`) or the end of its call.
    pub(in crate::model) fn story(
        &self,
        call: CallId,
        ended: KtimeNs,
        end: Option<CallEnd>,
    ) -> SynthesisStory {
        SynthesisStory {
            call,
            process: self.process,
            worker: self.worker.clone(),
            session: self.session.clone(),
            model: self.model.clone(),
            trace: self.trace,
            text: self.first_text,
            text_bytes: self.text_bytes,
            first_frame: self.first_frame,
            last_frame: self.last_frame,
            frames: (!self.frames_lost).then_some(self.frames),
            pacing: self.rhythm.pacing(),
            jitter: self.rhythm.jitter(),
            ended,
            end,
        }
    }
}

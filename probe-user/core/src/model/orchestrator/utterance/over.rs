//! Utterances that are over, until their story is told: it needs the stories of their calls.

use super::{Utterance, Utterances};
use crate::flow::CallId;
use crate::model::orchestrator::bounds::MAX_UTTERANCES;
use crate::model::story::CallStory;

impl Utterance {
    /// Whether there is anything to tell of it.
    fn has_story(&self) -> bool {
        self.audio.is_some() || !self.calls.is_empty() || !self.open_calls.is_empty()
    }
}

impl Utterances {
    /// Number of the utterance that a call began with.
    pub(in crate::model::orchestrator) fn number_of(&self, call: CallId) -> Option<u64> {
        let mut all = self.over.iter().chain(&self.queue);
        let of = all.find(|it| {
            it.open_calls.contains(&call) || it.calls.iter().any(|told| told.call == call)
        });
        of.map(|utterance| utterance.number)
    }

    /// An utterance was interrupted, which took `ms` milliseconds. Gives its calls.
    pub(in crate::model::orchestrator) fn measure_interruption(
        &mut self,
        number: u64,
        ms: f64,
    ) -> Vec<CallId> {
        let mut all = self.over.iter_mut().chain(&mut self.queue);
        let Some(of) = all.find(|it| it.number == number) else {
            return Vec::new();
        };
        of.barge_in_ms = Some(ms);
        let told = of.calls.iter().map(|call| call.call);
        told.chain(of.open_calls.iter().copied()).collect()
    }

    /// Nothing more is learnt of a call. Gives it back where it is of no utterance.
    pub(in crate::model::orchestrator) fn close_call(
        &mut self,
        call: CallStory,
    ) -> Option<CallStory> {
        let mut all = self.over.iter_mut().chain(&mut self.queue);
        let Some(of) = all.find(|it| it.open_calls.contains(&call.call)) else {
            return Some(call);
        };
        of.open_calls.retain(|open| *open != call.call);
        of.calls.push(call);
        None
    }

    /// Calls whose story is still to come.
    pub(in crate::model::orchestrator) fn open_calls(&self) -> Vec<CallId> {
        let all = self.over.iter().chain(&self.queue);
        all.flat_map(|it| it.open_calls.iter().copied()).collect()
    }

    /// Takes those that are over and of whose calls nothing more is learnt.
    pub(in crate::model::orchestrator) fn take_over(&mut self) -> Vec<Utterance> {
        if self.over.is_empty() {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.over);
        let (open, told) = all.into_iter().partition(|it| !it.open_calls.is_empty());
        self.over = open;
        told
    }

    /// Nobody asks for those that are over.
    pub(in crate::model::orchestrator) fn forget_over(&mut self) {
        self.over = Vec::new();
    }

    /// Takes all that there are, the newest last.
    pub(in crate::model::orchestrator) fn take_all(&mut self) -> Vec<Utterance> {
        self.remove(|_| true);
        std::mem::take(&mut self.over)
    }

    /// These are over. Their stories may still need those of their calls.
    pub(super) fn finish(&mut self, over: impl IntoIterator<Item = Utterance>) {
        let told = over.into_iter().filter(Utterance::has_story);
        self.over.extend(told);
        if self.over.len() > MAX_UTTERANCES {
            self.over.drain(..self.over.len() - MAX_UTTERANCES);
        }
    }
}

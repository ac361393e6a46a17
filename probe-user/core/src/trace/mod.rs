//! Traces: what is between a client's text and its audio, in orchestrator and worker, as spans.
//!
//! Takes the model's [`Story`]s; gives [`Trace`]s. Which call is whose is the model's decision; here the
//! two ends of a call are put together, which are told one after the other. What is not known has no
//! parent, and is counted in `voxprobe_observations_skipped_total`.

mod ids;
mod sample;
mod span;
mod tree;

use std::collections::{BTreeMap, VecDeque};

pub use ids::Seed;
pub use span::{Kind, Parent, Place, Span, Trace, Value};

use crate::flow::CallId;
use crate::metrics::{Measure, Metrics, SkipReason};
use crate::model::{
    CallStory, Objectives, Story, SynthesisStory, UtteranceId, UtteranceStory, Violation,
};
use crate::record::{KtimeNs, Tgid, TraceContext, TraceId};
use sample::{Decision, Rate};
use tree::{Tree, context_of, lone_trace, trace_of};

/// Nanoseconds from the end of an utterance to its trace: an interruption is measured, and a worker's
/// records of another CPU are read, by then.
pub const TOLD_AFTER_NS: u64 = 2_500_000_000;

/// Utterances and calls that wait for that. At about 1 KB each, 16 MB.
const MAX_PENDING: usize = 16_384;

/// Syntheses whose call is not told yet: as many as calls are followed.
const MAX_SYNTHESES: usize = crate::interpret::MAX_CALLS;

/// Traces that were not taken. They are taken after some records.
const MAX_TRACES: usize = 16_384;

/// Puts stories together.
#[derive(Debug)]
pub struct Tracer {
    seed: Seed,
    rate: Rate,
    objectives: Objectives,
    /// The last tick.
    now: KtimeNs,
    metrics: Metrics,
    pending: VecDeque<Pending>,
    /// By the call at the worker's end.
    syntheses: BTreeMap<CallId, Synthesis>,
    /// The order in which they came; some are gone.
    arrivals: VecDeque<CallId>,
    traces: VecDeque<Trace>,
}

/// A worker's part that waits for the orchestrator's.
#[derive(Debug)]
struct Synthesis {
    story: SynthesisStory,
    is_violation: bool,
}

/// An orchestrator's part that waits for what belongs to it.
#[derive(Debug)]
struct Pending {
    /// The tick before it came.
    at: KtimeNs,
    of: Of,
    is_violation: bool,
}

#[derive(Debug)]
enum Of {
    Utterance(UtteranceStory),
    Call { process: Tgid, call: CallStory },
}

impl Of {
    fn calls(&self) -> &[CallStory] {
        match self {
            Self::Utterance(story) => &story.calls,
            Self::Call { call, .. } => std::slice::from_ref(call),
        }
    }

    fn id(&self) -> Option<UtteranceId> {
        match self {
            Self::Utterance(story) => Some(story.id),
            Self::Call { .. } => None,
        }
    }
}

impl Tracer {
    /// A tracer that exports this share of the traces, from 0 to 1, whose callers leave it to us, and all
    /// that miss an objective.
    pub fn new(seed: Seed, rate: f64, objectives: Objectives, metrics: &Metrics) -> Self {
        for decision in Decision::ALL {
            metrics.probe.traces.with(&[decision.as_str()]);
        }
        Self {
            seed,
            rate: Rate::new(rate),
            objectives,
            now: KtimeNs::default(),
            metrics: metrics.clone(),
            pending: VecDeque::new(),
            syntheses: BTreeMap::new(),
            arrivals: VecDeque::new(),
            traces: VecDeque::new(),
        }
    }

    /// Goes by another share and other objectives from now on.
    pub fn reconfigure(&mut self, rate: f64, objectives: Objectives) {
        self.rate = Rate::new(rate);
        self.objectives = objectives;
    }

    /// The trace that a story will be in; `of` is the utterance that a synthesis is for.
    pub fn trace_of(
        &self,
        story: &Story,
        of: Option<(UtteranceId, Option<TraceContext>)>,
    ) -> Option<TraceId> {
        match story {
            Story::Utterance(story) => Some(trace_of(self.seed, story.id, context_of(story))),
            Story::Interruption(story) => Some(trace_of(self.seed, story.utterance?, story.trace)),
            Story::Synthesis(story) => Some(match (story.trace, of) {
                (Some(context), _) => context.trace,
                (None, Some((id, context))) => trace_of(self.seed, id, context),
                (None, None) => lone_trace(self.seed, story.call, None),
            }),
            Story::Session(_) | Story::Call { .. } => None,
        }
    }

    /// Takes a story. `will_tell` says whether the caller's part of a synthesis is still to come.
    pub fn handle(&mut self, story: Story, will_tell: impl FnOnce(CallId) -> bool) {
        let is_violation = Violation::is_in(&story, self.objectives);
        match story {
            Story::Session(_) => {}
            Story::Utterance(story) => self.wait(Of::Utterance(story), is_violation),
            Story::Call {
                process,
                call,
                reason,
            } => {
                if call.has_spoken() {
                    self.metrics.probe.skip(Measure::SpanParent, reason);
                }
                self.wait(Of::Call { process, call }, is_violation);
            }
            Story::Interruption(story) => {
                let id = story.utterance;
                let mut pending = self.pending.iter_mut();
                let Some(waiting) = pending.find(|it| id.is_some() && it.of.id() == id) else {
                    return;
                };
                waiting.is_violation |= is_violation;
                if let Of::Utterance(waiting) = &mut waiting.of {
                    waiting.barge_in_ms = Some(story.latency_ms);
                }
            }
            Story::Synthesis(story) => {
                let called = self.is_called(story.call) || will_tell(story.call);
                let synthesis = Synthesis {
                    story,
                    is_violation,
                };
                if called {
                    self.hold(synthesis);
                } else {
                    self.tell_lone(&synthesis);
                }
            }
        }
    }

    /// Time passed: tells what waited long enough.
    pub fn handle_tick(&mut self, now: KtimeNs) {
        self.now = now;
        while let Some(first) = self.pending.front()
            && now.since(first.at) >= TOLD_AFTER_NS
        {
            self.tell_first();
        }
    }

    /// No story comes any more: tells everything.
    pub fn finish(&mut self) {
        while !self.pending.is_empty() {
            self.tell_first();
        }
        for synthesis in std::mem::take(&mut self.syntheses).into_values() {
            self.tell_lone(&synthesis);
        }
    }

    /// A trace to be exported, told once.
    pub fn poll(&mut self) -> Option<Trace> {
        self.traces.pop_front()
    }

    /// Whether the caller's part of a synthesis waits for it.
    fn is_called(&self, worker: CallId) -> bool {
        let mut calls = self.pending.iter().flat_map(|it| it.of.calls());
        calls.any(|call| call.peer == Some(worker))
    }

    fn wait(&mut self, of: Of, is_violation: bool) {
        if self.pending.len() >= MAX_PENDING {
            self.tell_first();
        }
        self.pending.push_back(Pending {
            at: self.now,
            of,
            is_violation,
        });
    }

    /// Keeps a worker's part; without room the oldest one goes by itself.
    fn hold(&mut self, synthesis: Synthesis) {
        while self.syntheses.len() >= MAX_SYNTHESES || self.arrivals.len() >= 2 * MAX_SYNTHESES {
            let Some(oldest) = self.arrivals.pop_front() else {
                break;
            };
            if let Some(oldest) = self.syntheses.remove(&oldest) {
                self.metrics
                    .probe
                    .skip(Measure::SpanParent, SkipReason::Lost);
                self.tell_lone(&oldest);
            }
        }
        self.arrivals.push_back(synthesis.story.call);
        self.syntheses.insert(synthesis.story.call, synthesis);
    }

    fn tell_first(&mut self) {
        let Some(Pending {
            of, is_violation, ..
        }) = self.pending.pop_front()
        else {
            return;
        };
        let mut violated = is_violation;
        let mut taken = BTreeMap::new();
        for peer in of.calls().iter().filter_map(|call| call.peer) {
            if let Some(synthesis) = self.syntheses.remove(&peer) {
                violated |= synthesis.is_violation;
                taken.insert(peer, synthesis.story);
            }
        }
        let (tree, context) = match &of {
            Of::Utterance(story) => {
                let tree = Tree::utterance(self.seed, story, &taken);
                (tree, context_of(story))
            }
            Of::Call { process, call } => {
                let synthesis = call.peer.and_then(|peer| taken.get(&peer));
                let tree = Tree::lone_call(self.seed, *process, call, synthesis);
                (tree, call.trace)
            }
        };
        self.tell(tree, context, violated);
    }

    fn tell_lone(&mut self, synthesis: &Synthesis) {
        let story = &synthesis.story;
        let tree = Tree::lone_synthesis(self.seed, story);
        self.tell(tree, story.trace, synthesis.is_violation);
    }

    fn tell(&mut self, tree: Tree, context: Option<TraceContext>, violated: bool) {
        for reason in tree.skipped {
            self.metrics.probe.skip(Measure::Span, reason);
        }
        let Some(first) = tree.spans.first() else {
            return;
        };
        let decision = self.rate.decide(first.trace, context, violated);
        self.metrics.probe.traces.with(&[decision.as_str()]).inc();
        if decision == Decision::Unsampled {
            return;
        }
        if self.traces.len() >= MAX_TRACES {
            let lost = tree.spans.len() as u64;
            let dropped = &self.metrics.probe.spans_dropped;
            dropped.with(&["queue_full"]).inc_by(lost);
            return;
        }
        self.traces.push_back(Trace { spans: tree.spans });
    }
}

#[cfg(test)]
mod tests;

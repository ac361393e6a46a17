//! Single events that miss one of the observability guide's objectives.

use super::Pacing;
use super::settings::Objectives;
use super::story::{Story, SynthesisStory, UtteranceStory};

/// Intervals of a stream from which on its 95th percentile means something.
const MIN_INTERVALS: u64 = 20;

/// One of the guide's objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// From a client's text to its first audio.
    FirstAudio,
    /// From an interruption to the last audio.
    BargeIn,
    /// How far a paced stream's intervals are from a frame's duration.
    FrameJitter,
}

/// What was missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Violation {
    /// Which objective.
    pub objective: Objective,
    /// The latency, or the worst distance, milliseconds.
    pub value_ms: f64,
    /// What it may be, milliseconds.
    pub limit_ms: u32,
    /// Frame jitter: the share of intervals that are further off, 0 to 1; at most 0.05 may be.
    pub share: Option<f64>,
}

impl Violation {
    /// What a story says was missed.
    pub fn of(story: &Story, objectives: Objectives) -> Option<Self> {
        match story {
            Story::Utterance(story) => {
                let limit_ms = objectives.first_audio_ms;
                latency(Objective::FirstAudio, story.first_audio_ms()?, limit_ms)
            }
            Story::Interruption(story) => {
                let limit_ms = objectives.barge_in_ms;
                latency(Objective::BargeIn, story.latency_ms, limit_ms)
            }
            Story::Synthesis(story) => jitter(story, objectives.frame_jitter_ms),
            Story::Session(_) | Story::Call { .. } => None,
        }
    }
}

impl Violation {
    /// Whether a story misses any objective.
    pub fn is_in(story: &Story, objectives: Objectives) -> bool {
        let interrupted = match story {
            Story::Utterance(story) => story.barge_in_ms,
            _ => None,
        };
        let limit_ms = f64::from(objectives.barge_in_ms);
        Self::of(story, objectives).is_some() || interrupted.is_some_and(|ms| ms > limit_ms)
    }
}

impl UtteranceStory {
    /// `orchestrator_latency_fal_ms` of it, where that is known.
    pub fn first_audio_ms(&self) -> Option<f64> {
        if self.doubt.is_some() {
            return None;
        }
        let heard = self.asked.zip(self.audio);
        let answered = self.calls.iter().find_map(|call| call.answered_ms);
        heard
            .map(|(asked, audio)| audio.first.ms_since(asked))
            .or(answered)
    }
}

fn latency(objective: Objective, value_ms: f64, limit_ms: u32) -> Option<Violation> {
    (value_ms > f64::from(limit_ms)).then_some(Violation {
        objective,
        value_ms,
        limit_ms,
        share: None,
    })
}

/// The 95th percentile is above the limit where more than one interval in twenty is.
fn jitter(story: &SynthesisStory, limit_ms: u32) -> Option<Violation> {
    let jitter = story.jitter;
    let paced = story.pacing == Some(Pacing::Paced);
    let missed = jitter.intervals >= MIN_INTERVALS && jitter.above * 20 > jitter.intervals;
    (paced && missed).then(|| Violation {
        objective: Objective::FrameJitter,
        value_ms: jitter.worst_ms,
        limit_ms,
        share: Some(jitter.above as f64 / jitter.intervals as f64),
    })
}

//! One interruption: what triggered it, and what has to happen before it is over.

use crate::flow::CallId;
use crate::metrics::SkipReason;
use crate::record::KtimeNs;

use super::bounds::{REACTION_NS, SETTLE_NS};

/// Label `trigger`: the first of these that was seen, from the last one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// The orchestrator told the worker, and nothing before was seen.
    Grpc,
    /// The client sent PAUSE or STOP.
    Control,
    /// The user was heard.
    Vad,
}

impl Trigger {
    /// As written in labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Control => "control",
            Self::Vad => "vad",
        }
    }
}

/// An interruption that is not over.
#[derive(Debug)]
pub(super) struct BargeIn {
    pub(super) trigger: Trigger,
    pub(super) at: KtimeNs,
    /// No other session's user can be meant.
    sure: bool,
    /// The worker was told, or the client asked: it is no noise.
    confirmed: bool,
    /// The worker was told.
    reacted: bool,
    /// When it was told first.
    told: Option<KtimeNs>,
    /// Calls to the worker that are not answered.
    unanswered: usize,
    /// Streams whose audio may still come.
    streams: Vec<CallId>,
    /// Last audio, or last answer.
    latest: Option<KtimeNs>,
    /// When something of it last happened.
    last_sign: KtimeNs,
    doubt: Option<SkipReason>,
    /// Number of the utterance that was heard, where one was.
    pub(super) spoken: Option<u64>,
}

impl BargeIn {
    /// `streams` are those being spoken.
    pub(super) fn new(
        trigger: Trigger,
        at: KtimeNs,
        streams: Vec<CallId>,
        spoken: Option<u64>,
    ) -> Self {
        Self {
            trigger,
            at,
            spoken,
            sure: true,
            reacted: false,
            told: None,
            confirmed: trigger != Trigger::Vad,
            unanswered: 0,
            streams,
            latest: None,
            last_sign: at,
            doubt: None,
        }
    }

    /// The user who was heard may be another session's, for `doubt`'s reason if that is likely.
    pub(super) fn unsure(mut self, doubt: Option<SkipReason>) -> Self {
        self.sure = false;
        self.doubt = doubt;
        self
    }

    /// The client asked for it too.
    pub(super) fn add_control(&mut self, at: KtimeNs) {
        if self.trigger == Trigger::Grpc || !self.sure {
            self.trigger = Trigger::Control;
            self.at = at;
            self.sure = true;
            self.doubt = None;
        }
        self.confirmed = true;
        self.last_sign = self.last_sign.max(at);
    }

    /// The worker was told by a call that it answers.
    pub(super) fn ask(&mut self, at: KtimeNs) {
        self.confirmed = true;
        self.reacted = true;
        self.told.get_or_insert(at);
        self.unanswered += 1;
        self.last_sign = self.last_sign.max(at);
    }

    /// The worker answered.
    pub(super) fn answer(&mut self, at: KtimeNs) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.sign(at);
    }

    /// The orchestrator reset a stream; the audio of one that is followed at the worker may go on.
    pub(super) fn reset(&mut self, at: KtimeNs) {
        self.confirmed = true;
        self.reacted = true;
        self.told.get_or_insert(at);
        self.last_sign = self.last_sign.max(at);
    }

    /// The call to the worker failed.
    pub(super) fn fail_answer(&mut self, reason: SkipReason) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.doubt(reason);
    }

    /// Audio of a stream, or an answer.
    pub(super) fn sign(&mut self, at: KtimeNs) {
        if at >= self.at {
            self.latest = Some(self.latest.map_or(at, |latest| latest.max(at)));
            self.last_sign = self.last_sign.max(at);
        }
    }

    /// A stream was followed to its end at the worker: no audio after the trigger is no time.
    pub(super) fn settle_followed(&mut self) {
        self.latest.get_or_insert(self.at);
    }

    /// No more audio of a stream will come.
    pub(super) fn end_stream(&mut self, call: CallId) {
        self.streams.retain(|stream| *stream != call);
    }

    /// Whether the stream is part of it.
    pub(super) fn is_of(&self, call: CallId) -> bool {
        self.streams.contains(&call)
    }

    /// It cannot be measured.
    pub(super) fn doubt(&mut self, reason: SkipReason) {
        self.doubt.get_or_insert(reason);
    }

    /// Whether it was only heard, and nothing followed for too long to be its doing.
    pub(super) fn is_noise(&self, now: KtimeNs) -> bool {
        !self.confirmed && now.since(self.at) > REACTION_NS
    }

    /// Whether it is known to be an interruption.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether it is confirmed and no answer is awaited.
    pub(super) fn is_answered(&self) -> bool {
        self.confirmed && self.unanswered == 0
    }

    /// When it was last triggered or the worker told.
    pub(super) fn since(&self) -> KtimeNs {
        self.told.unwrap_or(self.at)
    }

    /// Whether nothing of it is awaited.
    pub(super) fn is_over(&self) -> bool {
        self.reacted && self.unanswered == 0 && self.streams.is_empty()
    }

    /// Whether it has been still for so long that nothing of it comes any more.
    pub(super) fn is_settled(&self, now: KtimeNs) -> bool {
        now.since(self.last_sign) >= SETTLE_NS
    }

    /// Milliseconds from the trigger to the last audio or answer.
    pub(super) fn latency(&self) -> Result<f64, SkipReason> {
        if let Some(reason) = self.doubt {
            return Err(reason);
        }
        if self.unanswered > 0 {
            return Err(SkipReason::CutOff);
        }
        self.latest
            .map(|latest| latest.ms_since(self.at))
            .ok_or(SkipReason::AfterEnd)
    }
}

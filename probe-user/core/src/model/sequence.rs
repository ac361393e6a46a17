//! Sequence numbers of one stream's frames, which start at 1 per call: numbers that never came are
//! frames the worker dropped.

use super::settings::MAX_SEQUENCE_GAP;

/// The numbers seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// The last number; `None` while frames went unseen, so that a gap would tell nothing.
    last: Option<i64>,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No frame is known to be missing.
    Whole,
    /// This many frames are missing before it.
    Missing(u64),
    /// It jumps further than frames can be missing.
    Implausible,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { last: Some(0) }
    }
}

impl Sequence {
    /// A frame with this number was sent; `None` when it could not be read.
    pub(super) fn frame(&mut self, number: Option<i64>) -> Step {
        let Some(number) = number else {
            self.last = None;
            return Step::Whole;
        };
        // 0 is proto3's "absent": this frame is not numbered. A lower number repeats an earlier
        // one, except 1, which begins anew.
        if number < 1 || self.last.is_some_and(|last| number <= last && number != 1) {
            return Step::Whole;
        }
        let before = self.last.replace(number);
        match before {
            Some(last) if number > last => match number.abs_diff(last) - 1 {
                0 => Step::Whole,
                missing if missing > MAX_SEQUENCE_GAP => Step::Implausible,
                missing => Step::Missing(missing),
            },
            _ => Step::Whole,
        }
    }

    /// Frames went unseen.
    pub(super) fn lose(&mut self) {
        self.last = None;
    }
}

//! What the view remembers between two looks: jitter of late, the order of rows, how far it is scrolled.

use std::{
    cmp::Ordering,
    collections::{HashMap, VecDeque},
    time::Duration,
};

use probe_core::{
    diagnose::{Cause, Summary},
    flow::CallId,
    record::Gpu,
};

use super::keys::Asked;
use crate::agent::StreamRow;

/// Looks whose jitter is remembered: what fits on a wide screen.
pub(super) const REMEMBERED: usize = 60;

/// What the agent published.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    pub(super) elapsed: Duration,
    pub(super) streams: Vec<StreamRow>,
    pub(super) summary: Summary,
    pub(super) gpus: Vec<Gpu>,
}

/// What streams are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Jitter,
    Late,
    Underruns,
    Frames,
    Session,
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jitter => "jitter",
            Self::Late => "late",
            Self::Underruns => "underruns",
            Self::Frames => "frames",
            Self::Session => "session",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Jitter => Self::Late,
            Self::Late => Self::Underruns,
            Self::Underruns => Self::Frames,
            Self::Frames => Self::Session,
            Self::Session => Self::Jitter,
        }
    }

    /// The most first; names by the alphabet.
    fn order(self, a: &StreamRow, b: &StreamRow) -> Ordering {
        let most = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        match self {
            Self::Jitter => most(a.jitter_p95_ms, b.jitter_p95_ms),
            Self::Late => most(a.lateness_ms, b.lateness_ms),
            Self::Underruns => b.underruns.cmp(&a.underruns),
            Self::Frames => b.frames.cmp(&a.frames),
            Self::Session => a.session.cmp(&b.session),
        }
    }
}

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) moment: Moment,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    /// Rows above the first one shown.
    pub(super) above: usize,
    jitters: HashMap<CallId, VecDeque<f64>>,
}

impl Board {
    /// Looks at what was published.
    pub(super) fn look(&mut self, moment: Moment) {
        self.moment = moment;
        let rows = &self.moment.streams;
        self.jitters
            .retain(|call, _| rows.iter().any(|row| row.call == *call));
        for row in rows {
            let jitters = self.jitters.entry(row.call).or_default();
            if jitters.len() >= REMEMBERED {
                jitters.pop_front();
            }
            jitters.push_back(row.jitter_p95_ms.unwrap_or(0.0));
        }
        self.sort();
    }

    /// Does what was asked for, and gives it back.
    pub(super) fn obey(&mut self, asked: Asked) -> Asked {
        match asked {
            Asked::Nothing | Asked::Quit => {}
            Asked::Sort => self.sort = self.sort.next(),
            Asked::Reverse => self.is_reversed = !self.is_reversed,
            Asked::Scroll(rows) => self.above = self.above.saturating_add_signed(rows),
        }
        self.sort();
        asked
    }

    /// Keeps the last row in sight.
    pub(super) fn fit(&mut self, rows: usize) {
        let most = self.moment.streams.len().saturating_sub(rows);
        self.above = self.above.min(most);
    }

    /// A stream's jitter of late, milliseconds, the latest last.
    pub(super) fn jitters(&self, call: CallId) -> impl Iterator<Item = f64> + '_ {
        self.jitters.get(&call).into_iter().flatten().copied()
    }

    /// Why a stream was late, the last time that it was.
    pub(super) fn cause(&self, call: CallId) -> Option<Cause> {
        let mut recent = self.moment.summary.recent.iter().rev();
        recent.find(|one| one.call == call).map(|one| one.cause)
    }

    fn sort(&mut self) {
        let (sort, is_reversed) = (self.sort, self.is_reversed);
        self.moment.streams.sort_by(|a, b| {
            let order = sort.order(a, b);
            let order = if is_reversed { order.reverse() } else { order };
            // Rows of the same rank keep their places.
            order.then_with(|| (&a.session, a.call).cmp(&(&b.session, b.call)))
        });
    }
}

//! Which traces are exported.

use crate::record::{TraceContext, TraceId};

/// Bits of a trace's identifier that are random (W3C Trace Context level 2, 3.2.2.3.2): the last seven
/// bytes. Comparing them to a threshold samples the same traces on every host.
const RANDOM_BITS: u32 = 56;

/// A share of all traces, as the threshold below which a trace is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate(u64);

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// An objective was missed: it is exported whatever else says.
    Violation,
    /// The caller samples it.
    Parent,
    /// The rate.
    Rate,
    /// It is not exported: the caller does not sample it, or the rate leaves it out.
    Unsampled,
}

impl Decision {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Violation, Self::Parent, Self::Rate, Self::Unsampled];

    /// As written in labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Parent => "parent",
            Self::Rate => "rate",
            Self::Unsampled => "unsampled",
        }
    }
}

impl Rate {
    /// A share from 0 to 1.
    pub(super) fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1_u64 << RANDOM_BITS) as f64) as u64)
    }

    pub(super) fn decide(
        self,
        TraceId(id): TraceId,
        context: Option<TraceContext>,
        is_violation: bool,
    ) -> Decision {
        let random = id
            .iter()
            .skip(id.len() - RANDOM_BITS as usize / 8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        match context {
            _ if is_violation => Decision::Violation,
            Some(context) if context.sampled => Decision::Parent,
            None if random < self.0 => Decision::Rate,
            Some(_) | None => Decision::Unsampled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SpanId;

    fn id(random: u64) -> TraceId {
        let mut id = [0xab; 16];
        id[8..].copy_from_slice(&(random | 0xff << RANDOM_BITS).to_be_bytes());
        TraceId(id)
    }

    #[test]
    fn rate_takes_its_share_of_the_identifiers() {
        let taken = |rate: f64| {
            let all = (0..1024_u64).map(|n| id(n << (RANDOM_BITS - 10)));
            let rate = Rate::new(rate);
            all.filter(|id| rate.decide(*id, None, false) == Decision::Rate)
                .count()
        };
        assert_eq!([taken(0.0), taken(0.25), taken(1.0)], [0, 256, 1024]);
    }

    #[test]
    fn caller_decides_unless_an_objective_was_missed() {
        let context = |sampled| {
            Some(TraceContext {
                trace: id(0),
                parent: SpanId([1; 8]),
                sampled,
            })
        };
        let none = Rate::new(0.0);
        assert_eq!(none.decide(id(0), context(true), false), Decision::Parent);
        let all = Rate::new(1.0);
        assert_eq!(
            all.decide(id(0), context(false), false),
            Decision::Unsampled
        );
        assert_eq!(all.decide(id(0), context(false), true), Decision::Violation);
        assert_eq!(none.decide(id(0), None, true), Decision::Violation);
    }
}

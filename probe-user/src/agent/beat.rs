//! When the agent's regular duties are due.

use std::time::Duration;

use probe_core::record::KtimeNs;

/// Between two ticks of the core.
const TICK_NS: u64 = 100_000_000;

/// Between two renewals of what other threads see.
const PUBLISH_NS: u64 = 500_000_000;

/// Remembers when each duty was last seen to.
pub(super) struct Beat {
    look_over_ns: u64,
    last_tick: Option<KtimeNs>,
    last_publish: Option<KtimeNs>,
    last_look_over: Option<KtimeNs>,
}

/// What is due now.
pub(super) struct Due {
    /// A tick of the core.
    pub(super) tick: bool,
    /// Renewing what other threads see.
    pub(super) publish: bool,
    /// Looking over `/proc`; only with a tick.
    pub(super) look_over: bool,
}

impl Beat {
    pub(super) fn new(look_over: Duration) -> Self {
        Self {
            look_over_ns: u64::try_from(look_over.as_nanos()).unwrap_or(u64::MAX),
            last_tick: None,
            last_publish: None,
            last_look_over: None,
        }
    }

    pub(super) fn due(&mut self, now: KtimeNs) -> Due {
        let tick = is_due(&mut self.last_tick, TICK_NS, now);
        Due {
            tick,
            publish: is_due(&mut self.last_publish, PUBLISH_NS, now),
            look_over: tick && is_due(&mut self.last_look_over, self.look_over_ns, now),
        }
    }
}

/// Whether the interval has passed since the last time; the first time it always has.
fn is_due(last: &mut Option<KtimeNs>, interval_ns: u64, now: KtimeNs) -> bool {
    let due = last.is_none_or(|last| now.since(last) >= interval_ns);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duties_come_at_their_intervals() {
        let mut beat = Beat::new(Duration::from_secs(1));
        let mut ticks = 0;
        let mut look_overs = 0;
        for ms in 0..2_000_u64 {
            let due = beat.due(KtimeNs(ms * 1_000_000));
            ticks += u32::from(due.tick);
            look_overs += u32::from(due.look_over);
        }
        assert_eq!((ticks, look_overs), (20, 2));
    }
}

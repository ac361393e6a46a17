//! Whether the kernel side loses anything now.

use std::collections::BTreeMap;

use probe_core::record::KtimeNs;

/// Nanoseconds without a loss after which there is no trouble any more.
const QUIET_NS: u64 = 60_000_000_000;

/// What is known of losses.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Totals by reason.
    seen: BTreeMap<&'static str, u64>,
    /// The last loss, and how many there were, while there is trouble.
    trouble: Option<(KtimeNs, u64)>,
}

/// A change for the worse or the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// More was lost.
    Began {
        /// Label `reason` of `voxprobe_kernel_losses_total`.
        reason: &'static str,
        /// How much since the last look.
        count: u64,
    },
    /// Nothing was lost for a while.
    Ended {
        /// How much was lost before.
        count: u64,
    },
}

impl Health {
    /// Compares totals with those of the last look.
    pub(super) fn look(
        &mut self,
        totals: impl Iterator<Item = (&'static str, u64)>,
        now: KtimeNs,
    ) -> Vec<Loss> {
        let mut changes = Vec::new();
        for (reason, total) in totals {
            let before = self.seen.insert(reason, total).unwrap_or(0);
            let count = total.saturating_sub(before);
            if count > 0 {
                let all = self.trouble.map_or(0, |(_, all)| all);
                self.trouble = Some((now, all + count));
                changes.push(Loss::Began { reason, count });
            }
        }
        if let Some((last, count)) = self.trouble
            && now.since(last) >= QUIET_NS
        {
            self.trouble = None;
            changes.push(Loss::Ended { count });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_as_they_grow_and_when_they_end() {
        let mut health = Health::default();
        let mut look = |total, second: u64| {
            let totals = [("ring_full", total), ("other", 0)];
            health.look(totals.into_iter(), KtimeNs(second * 1_000_000_000))
        };
        assert_eq!(look(0, 0), []);
        let began = |count| Loss::Began {
            reason: "ring_full",
            count,
        };
        assert_eq!(look(7, 1), [began(7)]);
        assert_eq!(look(7, 2), []);
        assert_eq!(look(10, 30), [began(3)]);
        assert_eq!(look(10, 89), []);
        assert_eq!(look(10, 90), [Loss::Ended { count: 10 }]);
        assert_eq!(look(10, 200), []);
    }
}

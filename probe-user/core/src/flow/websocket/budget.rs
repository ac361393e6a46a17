//! How many directions are inflated at once, over all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Inflaters at once: both directions of 2 048 sessions. One holds about 43 KiB, so all of them
/// hold 172 MiB. Messages of further directions are counted and not read.
const MAX_INFLATERS: usize = 4096;

/// What inflaters there are, shared by the connections of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct InflaterBudget(Arc<AtomicUsize>);

/// One inflater's share, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease(Arc<AtomicUsize>);

impl InflaterBudget {
    /// A share; `None` when there is none left.
    pub(super) fn lease(&self) -> Option<Lease> {
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        // Given back at once where it is one too many.
        let lease = Lease(Arc::clone(&self.0));
        (taken < MAX_INFLATERS).then_some(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_that_is_given_back_can_be_had_again() {
        let budget = InflaterBudget::default();
        let mut leases: Vec<_> = (0..MAX_INFLATERS).map(|_| budget.lease()).collect();
        assert!(leases.iter().all(Option::is_some));
        assert!(budget.lease().is_none() && budget.lease().is_none());
        leases.pop();
        assert!(budget.lease().is_some());
    }
}

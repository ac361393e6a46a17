//! Watched process ids, for the thread that reads GPUs.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use probe_core::record::Tgid;

use crate::discover::ProcessFacts;

/// Generations looked up: a worker's helper processes are children or grandchildren.
const MAX_GENERATIONS: usize = 16;

/// The set of watched processes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watched(Arc<RwLock<BTreeSet<Tgid>>>);

impl Watched {
    pub(super) fn insert(&self, tgid: Tgid) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tgid);
    }

    pub(super) fn remove(&self, tgid: Tgid) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&tgid);
    }

    /// The watched process that `pid` is, or in whose tree it is.
    pub fn root_of(&self, pid: u32) -> Option<Tgid> {
        let mut pid = pid;
        for _ in 0..MAX_GENERATIONS {
            if self
                .0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&Tgid(pid))
            {
                return Some(Tgid(pid));
            }
            pid = ProcessFacts::read(pid)?.parent;
            if pid <= 1 {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_belongs_to_its_watched_parent() {
        let watched = Watched::default();
        let own = Tgid(std::process::id());
        let mut child = std::process::Command::new("sleep")
            .arg("5")
            .spawn()
            .unwrap();
        assert_eq!(watched.root_of(child.id()), None);
        watched.insert(own);
        assert_eq!(watched.root_of(child.id()), Some(own));
        assert_eq!(watched.root_of(own.0), Some(own));
        watched.remove(own);
        assert_eq!(watched.root_of(child.id()), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

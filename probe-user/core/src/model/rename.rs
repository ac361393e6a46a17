//! A worker gets another name: its registration was seen, or the port it listens on became known.
//!
//! State goes on: sessions, streams, models. Series of the old name leave, and counters start anew
//! under the new one, so that nothing is counted under two names.

use super::Model;
use crate::interpret::Id;
use crate::record::{KtimeNs, Process, Role, Tgid};

impl Model {
    /// Every process of one name has another from now on.
    pub fn handle_renamed(&mut self, from: &str, to: &str, at: KtimeNs) {
        let (Some(from), Some(to)) = (Id::new(from), Id::new(to)) else {
            return;
        };
        if from == to || !self.workers.contains_key(&from) {
            return;
        }
        if self.workers.contains_key(&to) {
            self.join_worker(&from, &to, at);
            return;
        }
        let Some(mut worker) = self.workers.remove(&from) else {
            return;
        };
        self.metrics.worker.remove_worker(from.as_str());
        self.metrics.gpu.remove_worker(from.as_str());
        self.lingering.retain(|one| one.worker != from);
        for name in self.processes.values_mut().filter(|name| **name == from) {
            name.clone_from(&to);
        }
        for stream in self.streams.values_mut().filter(|it| it.worker == from) {
            stream.rename(to.clone());
        }
        worker.name = to.clone();
        worker.publish_sessions(&self.metrics);
        worker.publish_queue(&self.metrics);
        worker.publish_models(&self.metrics);
        self.workers.insert(to, worker);
    }

    /// The new name is another worker's: its processes become that worker's, without what they were
    /// at.
    fn join_worker(&mut self, from: &Id, to: &Id, at: KtimeNs) {
        let Some(adapter) = self.workers.get(from).map(|it| it.adapter.clone()) else {
            return;
        };
        let mut moved: Vec<Tgid> = self
            .processes
            .iter()
            .filter(|(_, name)| *name == from)
            .map(|(tgid, _)| *tgid)
            .collect();
        moved.sort_unstable();
        for tgid in moved {
            self.handle_process(&Process {
                tgid,
                at,
                role: Role::Worker,
                name: to.as_str().to_owned(),
                adapter: adapter.clone(),
            });
        }
    }
}

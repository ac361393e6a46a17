//! Which models are resident, and which must leave. Pure: times are arguments, in monotonic
//! nanoseconds.

use std::collections::BTreeMap;

use thiserror::Error;

/// Why a model cannot be used, loaded or unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ModelError {
    /// The worker has no such model.
    #[error("unknown model")]
    Unknown,
    /// Its weights cannot be read.
    #[error("weights cannot be read")]
    Unreadable,
    /// Every resident model has sessions, so none can make room.
    #[error("every resident model is in use")]
    NoRoom,
    /// The model is not resident.
    #[error("model is not loaded")]
    NotLoaded,
    /// The model has sessions.
    #[error("model is in use")]
    InUse,
}

/// The models a worker knows, and the state of those that are resident.
pub(crate) struct Models {
    known: Vec<String>,
    cap: usize,
    ttl_ns: u64,
    resident: BTreeMap<String, Resident>,
}

#[derive(Default)]
struct Resident {
    last_used_ns: u64,
    sessions: u64,
}

impl Models {
    /// At most `cap` models are resident; one unused for `ttl_ns` leaves (0: never).
    pub(crate) fn new(known: Vec<String>, cap: usize, ttl_ns: u64) -> Self {
        Self {
            known,
            cap: cap.max(1),
            ttl_ns,
            resident: BTreeMap::new(),
        }
    }

    /// Every model the worker can load.
    pub(crate) fn known(&self) -> &[String] {
        &self.known
    }

    /// The model that a request without a model means.
    pub(crate) fn default_model(&self) -> &str {
        self.known.first().map_or("", String::as_str)
    }

    /// The models that are loaded, in name order.
    pub(crate) fn resident(&self) -> impl Iterator<Item = &str> {
        self.resident.keys().map(String::as_str)
    }

    /// Whether `model` is loaded.
    pub(crate) fn is_resident(&self, model: &str) -> bool {
        self.resident.contains_key(model)
    }

    /// Makes room for `model` and gives the models that left, least recently used first.
    pub(crate) fn make_room(&mut self, model: &str) -> Result<Vec<String>, ModelError> {
        if !self.known.iter().any(|known| known == model) {
            return Err(ModelError::Unknown);
        }
        let mut evicted = Vec::new();
        while !self.is_resident(model) && self.resident.len() >= self.cap {
            let oldest = self
                .resident
                .iter()
                .filter(|(_, state)| state.sessions == 0)
                .min_by_key(|(_, state)| state.last_used_ns)
                .map(|(name, _)| name.clone())
                .ok_or(ModelError::NoRoom)?;
            self.resident.remove(&oldest);
            evicted.push(oldest);
        }
        Ok(evicted)
    }

    /// `model` has been loaded.
    pub(crate) fn loaded(&mut self, model: &str, now_ns: u64) {
        self.resident
            .entry(model.to_owned())
            .or_default()
            .last_used_ns = now_ns;
    }

    /// A session begins to use `model`, which must be resident.
    pub(crate) fn acquire(&mut self, model: &str, now_ns: u64) -> Result<(), ModelError> {
        let state = self.resident.get_mut(model).ok_or(ModelError::NotLoaded)?;
        state.sessions += 1;
        state.last_used_ns = now_ns;
        Ok(())
    }

    /// A session has stopped using `model`.
    pub(crate) fn release(&mut self, model: &str, now_ns: u64) {
        if let Some(state) = self.resident.get_mut(model) {
            state.sessions = state.sessions.saturating_sub(1);
            state.last_used_ns = now_ns;
        }
    }

    /// Unloads `model`, which must have no sessions.
    pub(crate) fn unload(&mut self, model: &str) -> Result<(), ModelError> {
        match self.resident.get(model) {
            None => Err(ModelError::NotLoaded),
            Some(state) if state.sessions > 0 => Err(ModelError::InUse),
            Some(_) => {
                self.resident.remove(model);
                Ok(())
            }
        }
    }

    /// Unloads and gives the models that nothing has used for the time to live.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Vec<String> {
        if self.ttl_ns == 0 {
            return Vec::new();
        }
        let ttl_ns = self.ttl_ns;
        let expired = |state: &Resident| {
            state.sessions == 0 && now_ns.saturating_sub(state.last_used_ns) >= ttl_ns
        };
        self.resident
            .extract_if(.., |_, state| expired(state))
            .map(|(name, _)| name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(cap: usize, ttl_ns: u64) -> Models {
        Models::new(
            vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            cap,
            ttl_ns,
        )
    }

    #[test]
    fn unknown_model_gets_no_room() {
        assert_eq!(models(2, 0).make_room("x"), Err(ModelError::Unknown));
    }

    #[test]
    fn full_cap_evicts_the_least_recently_used() {
        let mut models = models(2, 0);
        models.loaded("a", 1);
        models.loaded("b", 2);
        models.acquire("a", 3).unwrap();
        models.release("a", 4);
        assert_eq!(models.make_room("c"), Ok(vec!["b".to_owned()]));
        assert_eq!(models.resident().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn models_with_sessions_are_never_evicted() {
        let mut models = models(1, 10);
        models.loaded("a", 1);
        models.acquire("a", 1).unwrap();
        assert_eq!(models.make_room("b"), Err(ModelError::NoRoom));
        assert_eq!(models.unload("a"), Err(ModelError::InUse));
        assert!(models.expire(1_000).is_empty());
    }

    #[test]
    fn resident_model_needs_no_eviction() {
        let mut models = models(1, 0);
        models.loaded("a", 1);
        assert_eq!(models.make_room("a"), Ok(Vec::new()));
        assert!(models.is_resident("a"));
    }

    #[test]
    fn unused_model_leaves_after_its_time_to_live() {
        let mut models = models(2, 10);
        models.loaded("a", 1);
        models.loaded("b", 8);
        assert_eq!(models.expire(11), ["a"]);
        assert_eq!(models.unload("a"), Err(ModelError::NotLoaded));
        assert!(models.is_resident("b"));
    }
}

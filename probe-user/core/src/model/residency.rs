//! Which models one process holds: the worker's last list, adjusted by the loads and unloads seen
//! since, on the wire or by its weights files. A session's first use may load its model too, but where
//! files are not seen nothing says whether it did, so it shows only with the next list.

use std::collections::BTreeSet;

use super::settings::MAX_MODELS_PER_PROCESS;
use crate::interpret::Id;

/// Models of one process.
#[derive(Debug, Default)]
pub(super) struct Residency {
    models: BTreeSet<Id>,
    said: Said,
    /// Something was said on the wire.
    heard: bool,
}

/// Models that vanished, and whether there were more than the cap when they did (`None` without one).
pub(super) type Listed = (Vec<Id>, Option<bool>);

/// What was said about the models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Said {
    /// Nothing yet.
    #[default]
    Nothing,
    /// A list, or loads.
    Enough,
    /// Something that could not be read or kept: the number is unknown until the next list.
    TooMuch,
}

/// A list of more models than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Residency {
    /// Number of resident models; `None` while nothing was said.
    pub(super) fn count(&self) -> Option<usize> {
        (self.said == Said::Enough).then_some(self.models.len())
    }

    /// Whether something was said that leaves the number unknown.
    pub(super) fn is_uncertain(&self) -> bool {
        self.said == Said::TooMuch
    }

    /// Whether the process said anything about models on the wire.
    pub(super) fn is_heard(&self) -> bool {
        self.heard
    }

    /// Its models.
    pub(super) fn into_models(self) -> BTreeSet<Id> {
        self.models
    }

    /// Files tell that a model was loaded.
    pub(super) fn load_unheard(&mut self, model: &Id) -> Result<(), TooMany> {
        let heard = self.heard;
        let loaded = self.load(Some(model));
        self.heard = heard;
        loaded
    }

    /// A model was loaded. Without its name the number is unknown until the next list.
    pub(super) fn load(&mut self, model: Option<&Id>) -> Result<(), TooMany> {
        self.heard = true;
        let Some(model) = model else {
            self.said = Said::TooMuch;
            return Ok(());
        };
        if self.models.len() >= MAX_MODELS_PER_PROCESS && !self.models.contains(model) {
            self.said = Said::TooMuch;
            return Err(TooMany);
        }
        if self.said == Said::Nothing {
            self.said = Said::Enough;
        }
        self.models.insert(model.clone());
        Ok(())
    }

    /// A model was unloaded. Without its name the number is unknown until the next list.
    pub(super) fn unload(&mut self, model: Option<&Id>) {
        self.heard = true;
        match model {
            Some(model) => {
                self.models.remove(model);
            }
            None => self.said = Said::TooMuch,
        }
    }

    /// The worker listed its resident models: gives those that vanished, and whether there were more
    /// models than `cap` when they did (`None` without a cap).
    pub(super) fn list(&mut self, resident: &[Id], cap: Option<u32>) -> Result<Listed, TooMany> {
        self.heard = true;
        let resident: BTreeSet<Id> = resident.iter().cloned().collect();
        if resident.len() > MAX_MODELS_PER_PROCESS {
            return Err(TooMany);
        }
        let vanished = self.models.difference(&resident).cloned().collect();
        let together = self.models.union(&resident).count();
        self.models = resident;
        self.said = Said::Enough;
        Ok((vanished, cap.map(|cap| together > cap as usize)))
    }
}

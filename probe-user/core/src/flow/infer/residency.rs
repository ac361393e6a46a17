//! Which models are loaded, as lists and loads tell, and calls after which a model was not any more.

use std::collections::BTreeMap;

use super::group::{Group, GroupId};
use super::traits::{Traits, number};
use crate::flow::Origin;
use crate::profile::{FieldRole, MethodRole, Profile};
use crate::record::KtimeNs;
use crate::wire::protobuf::{Digest, Shape};

/// Models whose state is remembered. A worker lists some tens.
const MAX_MODELS: usize = 64;

/// Calls that wait for the next list.
const MAX_CLAIMS: usize = 16;

/// A call about a loaded model that succeeded: the next list tells whether it unloaded it.
#[derive(Clone, Copy, Debug)]
struct Claim {
    group: GroupId,
    model: Digest,
    answered_at: KtimeNs,
}

/// The models of one connection's worker.
#[derive(Debug, Default)]
pub(super) struct Residency {
    /// Whether a model is loaded, where that is known.
    loaded: BTreeMap<Digest, bool>,
    claims: Vec<Claim>,
}

impl Residency {
    /// Takes in a message of a call about this model, whose method is not known.
    pub(super) fn observe(
        &mut self,
        (id, group): (GroupId, &Group),
        (profile, methods): (&Profile, &[Traits]),
        model: Digest,
        (origin, shape): (Origin, &Shape),
        at: KtimeNs,
    ) {
        let may_be = |role: MethodRole| {
            let methods = methods.iter().enumerate();
            methods
                .filter(move |(index, traits)| {
                    traits.role == role && group.possible & (1 << index) != 0
                })
                .map(|(_, traits)| traits)
        };
        // A load says how long it took.
        let loads = |traits: &Traits| {
            let duration = number(profile, traits.response, FieldRole::LoadDurationMs);
            traits.succeeds(profile, shape)
                && duration.is_some_and(|field| shape.varint(field) > Some(0))
        };
        if origin == Origin::Client {
            self.ask(model, Some(id));
        } else if may_be(MethodRole::LoadModel).any(loads) {
            self.load(model);
        } else if may_be(MethodRole::UnloadModel).any(|it| it.succeeds(profile, shape)) {
            self.succeed(id, model, at);
        }
    }

    /// A list that was asked for at `asked_at` names these as loaded, and no other; gives whose calls
    /// were followed by the absence of their model, and whose were not.
    pub(super) fn handle_list(
        &mut self,
        asked_at: KtimeNs,
        loaded: &[Digest],
    ) -> Vec<(GroupId, bool)> {
        let mut told = Vec::new();
        self.claims.retain(|claim| {
            let later = asked_at >= claim.answered_at;
            if later {
                told.push((claim.group, !loaded.contains(&claim.model)));
            }
            !later
        });
        for (model, state) in &mut self.loaded {
            *state = loaded.contains(model);
        }
        for model in loaded {
            self.load(*model);
        }
        told
    }

    /// A request may have been missed: nothing is known until the next list.
    pub(super) fn forget(&mut self) {
        self.loaded.clear();
        self.claims.clear();
    }

    /// A model is loaded.
    pub(super) fn load(&mut self, model: Digest) {
        if self.loaded.len() < MAX_MODELS || self.loaded.contains_key(&model) {
            self.loaded.insert(model, true);
        }
    }

    /// A request is about a model: it may load or unload it. Claims of other groups end.
    pub(super) fn ask(&mut self, model: Digest, group: Option<GroupId>) {
        self.claims
            .retain(|claim| claim.model != model || Some(claim.group) == group);
    }

    /// A call of a group about a model succeeded.
    pub(super) fn succeed(&mut self, group: GroupId, model: Digest, answered_at: KtimeNs) {
        // Whatever it did, the model's state is told by the next list.
        if self.loaded.remove(&model) == Some(true) && self.claims.len() < MAX_CLAIMS {
            self.claims.push(Claim {
                group,
                model,
                answered_at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Digest {
        Digest::of(name.as_bytes()).unwrap()
    }

    #[test]
    fn call_is_judged_by_the_next_list_that_was_asked_for_after_it() {
        let (mut residency, small) = (Residency::default(), model("tone-small"));
        residency.handle_list(KtimeNs(1), &[small]);
        residency.succeed(7, small, KtimeNs(10));
        assert_eq!(residency.handle_list(KtimeNs(9), &[small]), []);
        assert_eq!(residency.handle_list(KtimeNs(11), &[]), [(7, true)]);
        // Not loaded before: it tells nothing.
        residency.succeed(7, small, KtimeNs(12));
        assert_eq!(residency.handle_list(KtimeNs(13), &[]), []);
        residency.load(small);
        residency.succeed(7, small, KtimeNs(14));
        assert_eq!(residency.handle_list(KtimeNs(15), &[small]), [(7, false)]);
    }

    #[test]
    fn another_request_about_the_model_ends_the_claim() {
        let (mut residency, small) = (Residency::default(), model("tone-small"));
        residency.load(small);
        residency.succeed(7, small, KtimeNs(10));
        residency.ask(small, Some(7));
        residency.ask(model("tone-large"), None);
        residency.ask(small, Some(8));
        assert_eq!(residency.handle_list(KtimeNs(11), &[]), []);
    }
}

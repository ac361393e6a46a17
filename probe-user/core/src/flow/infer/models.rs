//! What calls whose method is known say of models.

use super::Inference;
use crate::flow::{Message, Origin};
use crate::profile::{FieldRole, MethodRole};
use crate::wire::protobuf::Digest;

impl Inference {
    /// Takes in what a call whose method is known says of models.
    pub(super) fn follow_models(
        &mut self,
        stream: u32,
        method: usize,
        origin: Origin,
        message: &Message,
    ) {
        let role = self.methods.get(method).map(|traits| traits.role);
        let Some(call) = self.calls.get_mut(&stream) else {
            return;
        };
        if origin == Origin::Client {
            if !message.intact {
                self.residency.forget();
            }
            call.model = message
                .text(FieldRole::ModelId)
                .and_then(|model| Digest::of(model.as_bytes()));
            if let Some(model) = call.model {
                self.residency.ask(model, call.group);
            }
            return;
        }
        let loaded = match role {
            Some(MethodRole::LoadModel) if message.integer(FieldRole::Success) == Some(1) => {
                if let Some(model) = call.model {
                    self.residency.load(model);
                }
                return;
            }
            Some(MethodRole::ListModels | MethodRole::GetCapabilities) => message.loaded_models(),
            _ => return,
        };
        if let (Some(loaded), Some(asked_at)) = (loaded, call.requested_at) {
            let loaded: Vec<_> = loaded
                .iter()
                .filter_map(|model| Digest::of(model.as_bytes()))
                .collect();
            for (group, shown) in self.residency.handle_list(asked_at, &loaded) {
                if let Some(group) = self.groups.get_mut(&group) {
                    let unloads = &mut group.unloads;
                    unloads.shown = unloads.shown.saturating_add(u32::from(shown));
                    unloads.unshown = unloads.unshown.saturating_add(u32::from(!shown));
                    self.news = true;
                }
            }
        }
    }
}

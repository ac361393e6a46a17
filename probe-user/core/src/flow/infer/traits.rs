//! What inference asks of a method's description, looked up once.

use std::sync::Arc;

use crate::flow::Origin;
use crate::profile::{FieldKind, FieldRole, MessageIndex, MethodDescription, MethodRole, Profile};
use crate::wire::protobuf::{Look, Looks, Shape};

/// Most methods of a profile that are told apart: bits of a set of methods. With more, nothing is
/// inferred.
pub(super) const MAX_METHODS: usize = 64;

/// One method.
#[derive(Debug)]
pub(super) struct Traits {
    pub(super) role: MethodRole,
    pub(super) client_streaming: bool,
    pub(super) server_streaming: bool,
    pub(super) request: MessageIndex,
    pub(super) response: MessageIndex,
    /// The field of a request that says what it is about: a session, else a model.
    pub(super) primary: Option<(u32, FieldRole)>,
}

impl Traits {
    /// Every method of a profile, in its order; none where there are too many.
    pub(super) fn all(profile: &Profile) -> Vec<Self> {
        if profile.methods().len() > MAX_METHODS {
            return Vec::new();
        }
        let traits = profile.methods().iter();
        traits.map(|method| Self::new(profile, method)).collect()
    }

    fn new(profile: &Profile, method: &MethodDescription) -> Self {
        let primary = [FieldRole::SessionId, FieldRole::ModelId]
            .into_iter()
            .find_map(|role| Some((number(profile, method.request, role)?, role)));
        Self {
            role: method.role,
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
            request: method.request,
            response: method.response,
            primary,
        }
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.client_streaming || self.server_streaming
    }

    /// Whether a response says that the request was carried out.
    pub(super) fn succeeds(&self, profile: &Profile, response: &Shape) -> bool {
        number(profile, self.response, FieldRole::Success)
            .is_some_and(|field| response.varint(field) == Some(1))
    }

    pub(super) fn message(&self, origin: Origin) -> MessageIndex {
        match origin {
            Origin::Client => self.request,
            Origin::Server => self.response,
        }
    }

    /// What a string field, or the id inside an embedded message, means.
    pub(super) fn id_role(&self, profile: &Profile, place: Place) -> Option<FieldRole> {
        let message = profile.message(self.message(place.origin))?;
        let field = message.field(place.number)?;
        match (field.kind, place.nested) {
            (FieldKind::String, false) => is_id(field.role).then_some(field.role),
            (FieldKind::Message(inner), true) => {
                let inner = profile.message(inner)?;
                inner
                    .fields
                    .iter()
                    .map(|field| field.role)
                    .find(|role| is_id(*role))
            }
            _ => None,
        }
    }
}

/// Where an identifier stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// Field of the message.
    pub(super) number: u32,
    /// In an embedded message there.
    pub(super) nested: bool,
}

/// Whether a field of this role is an identifier.
pub(super) fn is_id(role: FieldRole) -> bool {
    matches!(
        role,
        FieldRole::SessionId | FieldRole::ModelId | FieldRole::ResidentModel
    )
}

/// The field of a message that has a role.
pub(super) fn number(profile: &Profile, message: MessageIndex, role: FieldRole) -> Option<u32> {
    let fields = &profile.message(message)?.fields;
    fields
        .iter()
        .find_map(|f| (f.role == role).then_some(f.number))
}

/// What to look at while these methods are possible. A field that would be content (text, audio, a
/// remark) under one of them is not looked at.
pub(super) fn looks(profile: &Profile, methods: &[&Traits], origin: Origin) -> Arc<Looks> {
    let mut looks = Looks::default();
    let mut content = Vec::new();
    for traits in methods {
        let Some(message) = profile.message(traits.message(origin)) else {
            continue;
        };
        for field in &message.fields {
            let place = looks
                .fields
                .iter()
                .position(|look| look.number == field.number);
            let place = place.unwrap_or_else(|| {
                looks.fields.push(Look {
                    number: field.number,
                    id: false,
                    messages: Vec::new(),
                });
                looks.fields.len() - 1
            });
            let Some(look) = looks.fields.get_mut(place) else {
                continue;
            };
            match field.kind {
                FieldKind::String if is_id(field.role) => look.id = true,
                FieldKind::String | FieldKind::Bytes => content.push(field.number),
                FieldKind::Message(inner) if !look.messages.contains(&inner) => {
                    look.messages.push(inner);
                }
                _ => {}
            }
        }
    }
    looks
        .fields
        .retain(|look| (look.id || !look.messages.is_empty()) && !content.contains(&look.number));
    Arc::new(looks)
}

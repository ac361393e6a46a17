//! From a profile's file to a profile that cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    FieldDescription, FieldKind, FieldRole, MessageDescription, MessageIndex, MethodDescription,
    MethodRole, Profile, ProfileError,
};
use super::{file, websocket};

/// Highest field number (protobuf language guide, "Assigning Field Numbers"): 29 bits.
const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// Validates a file.
pub(super) fn profile(file: file::File) -> Result<Profile, ProfileError> {
    let names = Names::new(&file)?;
    let mut commands = Commands::default();
    let mut messages = Vec::with_capacity(file.message.len());
    for message in &file.message {
        messages.push(names.message(message, &mut commands)?);
    }
    mark_roles(&mut messages);
    let mut methods = Vec::new();
    for service in &file.service {
        for method in &service.method {
            let method = names.method(service, method)?;
            if methods
                .iter()
                .any(|other: &MethodDescription| other.path == method.path)
            {
                return Err(ProfileError::Duplicate {
                    key: "service.method".into(),
                    what: format!("method {}", method.path),
                });
            }
            methods.push(method);
        }
    }
    if methods.is_empty() {
        return Err(ProfileError::NoMethods);
    }
    Ok(Profile {
        name: file.name,
        methods,
        messages,
        commands: commands.values,
        websocket: file
            .websocket
            .map(websocket::websocket)
            .transpose()?
            .unwrap_or_default(),
    })
}

/// What a type name can refer to.
struct Names<'a> {
    messages: BTreeMap<&'a str, MessageIndex>,
    enums: BTreeMap<&'a str, &'a BTreeMap<String, i32>>,
}

impl<'a> Names<'a> {
    fn new(file: &'a file::File) -> Result<Self, ProfileError> {
        let mut names = Self {
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
        };
        let mut taken = BTreeSet::new();
        for (index, message) in file.message.iter().enumerate() {
            names.messages.insert(&message.name, MessageIndex(index));
            claim(&mut taken, &message.name, "message")?;
        }
        for item in &file.enums {
            names.enums.insert(&item.name, &item.values);
            claim(&mut taken, &item.name, "enum")?;
        }
        Ok(names)
    }

    fn method(
        &self,
        service: &file::Service,
        method: &file::Method,
    ) -> Result<MethodDescription, ProfileError> {
        let key = format!("service.{}.method.{}", service.name, method.name);
        let message = |which: &str, name: &str| {
            self.messages
                .get(name)
                .copied()
                .ok_or_else(|| ProfileError::UnknownMessage {
                    key: format!("{key}.{which}"),
                    name: name.to_owned(),
                })
        };
        let role =
            MethodRole::from_name(&method.role).ok_or_else(|| ProfileError::UnknownRole {
                key: format!("{key}.role"),
                role: method.role.clone(),
                valid: MethodRole::ALL.map(MethodRole::as_str).join(", "),
            })?;
        Ok(MethodDescription {
            path: format!("/{}/{}", service.name, method.name),
            role,
            request: message("request", &method.request)?,
            response: message("response", &method.response)?,
            client_streaming: method.client_streaming,
            server_streaming: method.server_streaming,
        })
    }

    fn message(
        &self,
        message: &file::Message,
        commands: &mut Commands,
    ) -> Result<MessageDescription, ProfileError> {
        let mut fields = Vec::with_capacity(message.fields.len());
        let mut field_names = BTreeSet::new();
        for field in &message.fields {
            let key = format!("message.{}.fields.{}", message.name, field.name);
            if field.number == 0 || field.number > MAX_FIELD_NUMBER {
                return Err(ProfileError::BadNumber {
                    key: format!("{key}.number"),
                    number: field.number,
                });
            }
            if !field_names.insert(field.name.as_str()) {
                return Err(ProfileError::Duplicate {
                    key,
                    what: format!("field name {}", field.name),
                });
            }
            let description = self.field(&key, field)?;
            if description.role == FieldRole::Command {
                let values = self.enums.get(field.kind.as_str()).copied();
                commands.add(&key, &field.kind, values)?;
            }
            fields.push(description);
        }
        fields.sort_by_key(|field| field.number);
        for pair in fields.windows(2) {
            if let [first, second] = pair
                && first.number == second.number
            {
                return Err(ProfileError::Duplicate {
                    key: format!("message.{}.fields.{}.number", message.name, second.name),
                    what: format!("field number {}", second.number),
                });
            }
        }
        Ok(MessageDescription {
            name: message.name.clone(),
            fields,
            has_roles: false,
        })
    }

    fn field(&self, key: &str, field: &file::Field) -> Result<FieldDescription, ProfileError> {
        let kind = FieldKind::from_name(&field.kind)
            .or_else(|| {
                self.enums
                    .get(field.kind.as_str())
                    .map(|_| FieldKind::Int32)
            })
            .or_else(|| {
                self.messages
                    .get(field.kind.as_str())
                    .copied()
                    .map(FieldKind::Message)
            })
            .ok_or_else(|| ProfileError::UnknownType {
                key: format!("{key}.type"),
                kind: field.kind.clone(),
            })?;
        let role = match &field.role {
            None => FieldRole::None,
            Some(name) => FieldRole::from_name(name).ok_or_else(|| ProfileError::UnknownRole {
                key: format!("{key}.role"),
                role: name.clone(),
                valid: FieldRole::ALL.map(FieldRole::as_str).join(", "),
            })?,
        };
        check_type(key, field, kind, role)?;
        Ok(FieldDescription {
            number: field.number,
            name: field.name.clone(),
            kind,
            repeated: field.repeated,
            role,
        })
    }
}

/// Refuses a role that the field's type cannot have.
fn check_type(
    key: &str,
    field: &file::Field,
    kind: FieldKind,
    role: FieldRole,
) -> Result<(), ProfileError> {
    let (fits, needs) = match role {
        FieldRole::None => return Ok(()),
        FieldRole::SessionId | FieldRole::ModelId | FieldRole::ResidentModel => {
            (kind == FieldKind::String, "string")
        }
        FieldRole::Text | FieldRole::Audio | FieldRole::Remark => (
            matches!(kind, FieldKind::String | FieldKind::Bytes),
            "string or bytes",
        ),
        FieldRole::Final | FieldRole::Success | FieldRole::Loaded => {
            (kind == FieldKind::Bool, "bool")
        }
        FieldRole::SampleRate
        | FieldRole::FrameDurationMs
        | FieldRole::Sequence
        | FieldRole::Command
        | FieldRole::LoadDurationMs
        | FieldRole::MaxSessions
        | FieldRole::TimestampMs => (kind.is_integer(), "integer or enum"),
    };
    if fits {
        return Ok(());
    }
    Err(ProfileError::WrongType {
        key: format!("{key}.role"),
        role: role.as_str(),
        needs,
        kind: field.kind.clone(),
    })
}

/// The enum of the fields with role `command`.
#[derive(Default)]
struct Commands {
    source: Option<String>,
    values: BTreeMap<i64, String>,
}

impl Commands {
    fn add(
        &mut self,
        key: &str,
        kind: &str,
        values: Option<&BTreeMap<String, i32>>,
    ) -> Result<(), ProfileError> {
        match &self.source {
            Some(source) if source == kind => return Ok(()),
            Some(source) => {
                return Err(ProfileError::TwoCommandEnums {
                    key: key.to_owned(),
                    first: source.clone(),
                    second: kind.to_owned(),
                });
            }
            None => self.source = Some(kind.to_owned()),
        }
        for (name, number) in values.into_iter().flatten() {
            if self
                .values
                .insert(i64::from(*number), name.clone())
                .is_some()
            {
                return Err(ProfileError::Duplicate {
                    key: format!("enum.{kind}.values.{name}"),
                    what: format!("value {number}"),
                });
            }
        }
        Ok(())
    }
}

fn claim<'a>(taken: &mut BTreeSet<&'a str>, name: &'a str, what: &str) -> Result<(), ProfileError> {
    if taken.insert(name) {
        return Ok(());
    }
    Err(ProfileError::Duplicate {
        key: format!("{what}.{name}"),
        what: format!("type name {name}"),
    })
}

/// Sets `has_roles`, following embedded messages to any depth (they may be recursive).
fn mark_roles(messages: &mut [MessageDescription]) {
    loop {
        let marked: Vec<bool> = messages
            .iter()
            .map(|message| {
                message.fields.iter().any(|field| {
                    field.role != FieldRole::None
                        || matches!(field.kind, FieldKind::Message(MessageIndex(index))
                            if messages.get(index).is_some_and(|inner| inner.has_roles))
                })
            })
            .collect();
        let mut changed = false;
        for (message, marked) in messages.iter_mut().zip(marked) {
            changed |= message.has_roles != marked;
            message.has_roles = marked;
        }
        if !changed {
            return;
        }
    }
}

//! Which methods of a profile can be told at all where their paths cannot be read.

use super::rule::INNER_FIELDS;
use super::stream;
use super::traits::{Traits, number};
use crate::flow::Origin;
use crate::profile::{FieldKind, FieldRole, MessageIndex, MethodRole, Profile};

/// Whether a method can be told by what its calls say and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tellable {
    /// Yes.
    Yes,
    /// No: the messages of this other one are the same.
    LikeAnother(String),
    /// No: its messages lack what would tell.
    Lacks(&'static str),
    /// No: the profile has more methods than are told apart.
    TooMany,
}

/// Every method of a profile by its path.
pub fn tellable(profile: &Profile) -> Vec<(String, Tellable)> {
    let methods = Traits::all(profile);
    let described = profile.methods().iter().enumerate();
    described
        .map(|(index, method)| {
            let answer = methods.get(index).map_or(Tellable::TooMany, |traits| {
                let alike = methods.iter().enumerate().find(|(other, theirs)| {
                    *other != index
                        && (theirs.request, theirs.response) == (traits.request, traits.response)
                        && theirs.client_streaming == traits.client_streaming
                        && theirs.server_streaming == traits.server_streaming
                });
                let alike = alike.and_then(|(other, _)| profile.methods().get(other));
                match (alike, missing(profile, &methods, traits)) {
                    (Some(other), _) => Tellable::LikeAnother(other.path.clone()),
                    (None, Some(what)) => Tellable::Lacks(what),
                    (None, None) => Tellable::Yes,
                }
            });
            (method.path.clone(), answer)
        })
        .collect()
}

/// What the rule for a method needs and its messages lack.
fn missing(profile: &Profile, methods: &[Traits], traits: &Traits) -> Option<&'static str> {
    let has = |origin, role| number(profile, traits.message(origin), role).is_some();
    let (asks, answers) = (
        |role| has(Origin::Client, role),
        |role| has(Origin::Server, role),
    );
    let about = |role| traits.primary.is_some_and(|(_, primary)| primary == role);
    let needs = match traits.role {
        MethodRole::Synthesize => vec![
            (traits.server_streaming, "a stream of responses"),
            (answers(FieldRole::Audio), "audio in its responses"),
            (
                most_points(profile, traits) >= stream::ENOUGH,
                "a sample rate, a sequence number or a session in its responses",
            ),
        ],
        MethodRole::StartSession => vec![
            (about(FieldRole::SessionId), "a session in its request"),
            (asks(FieldRole::ModelId), "a model in its request"),
        ],
        MethodRole::EndSession => {
            vec![(about(FieldRole::SessionId), "a session in its request")]
        }
        MethodRole::Control => vec![
            (about(FieldRole::SessionId), "a session in its request"),
            (asks(FieldRole::Command), "a command in its request"),
            (
                answers(FieldRole::TimestampMs),
                "a timestamp in its response",
            ),
        ],
        MethodRole::LoadModel => vec![
            (about(FieldRole::ModelId), "a model in its request"),
            (
                answers(FieldRole::LoadDurationMs),
                "a load duration in its response",
            ),
        ],
        MethodRole::UnloadModel => vec![
            (about(FieldRole::ModelId), "a model in its request"),
            (answers(FieldRole::Success), "success in its response"),
            (
                methods.iter().any(|other| lists(profile, other.response)),
                "a method that lists loaded models",
            ),
        ],
        MethodRole::ListModels | MethodRole::GetCapabilities => vec![(
            entries(profile, traits.response).any(|fields| fields >= INNER_FIELDS as usize),
            "entries of two fields in its response",
        )],
    };
    needs
        .into_iter()
        .find_map(|(is, what)| (!is).then_some(what))
}

/// Most points that its responses can have (see [`stream`]).
fn most_points(profile: &Profile, traits: &Traits) -> u32 {
    let has = |role| number(profile, traits.response, role).is_some();
    let rate = has(FieldRole::SampleRate);
    let facts = [
        (rate, 2),
        (has(FieldRole::Sequence), 2),
        (rate && has(FieldRole::FrameDurationMs), 3),
        (has(FieldRole::SessionId), 2),
    ];
    facts
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, points)| points)
        .sum()
}

/// How many fields each embedded message of a message has.
fn entries(profile: &Profile, message: MessageIndex) -> impl Iterator<Item = usize> {
    let fields = profile.message(message).map(|it| it.fields.as_slice());
    let fields = fields.unwrap_or_default().iter();
    fields.filter_map(|field| match field.kind {
        FieldKind::Message(inner) => profile.message(inner).map(|inner| inner.fields.len()),
        _ => None,
    })
}

/// Whether a message says which models are loaded.
fn lists(profile: &Profile, message: MessageIndex) -> bool {
    let fields = profile.message(message).map(|it| it.fields.as_slice());
    fields
        .unwrap_or_default()
        .iter()
        .any(|field| match field.kind {
            FieldKind::Message(inner) => number(profile, inner, FieldRole::Loaded).is_some(),
            _ => field.role == FieldRole::ResidentModel,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(profile: &Profile, method: &str) -> Tellable {
        let path = format!("/tts.TTSService/{method}");
        let all = tellable(profile);
        let found = all.into_iter().find(|(known, _)| *known == path);
        found.expect("a method of the profile").1
    }

    #[test]
    fn every_method_of_the_built_in_profile_can_be_told() {
        let all = tellable(&Profile::builtin());
        assert_eq!(all.len(), 8);
        assert!(
            all.iter().all(|(_, told)| *told == Tellable::Yes),
            "{all:?}"
        );
    }

    #[test]
    fn method_whose_messages_lack_what_tells_says_so() {
        let text = Profile::BUILTIN.replace(", role = \"timestamp_ms\"", "");
        let profile = Profile::from_toml(&text).unwrap();
        let lacks = Tellable::Lacks("a timestamp in its response");
        assert_eq!(answer(&profile, "Control"), lacks);
        assert_eq!(answer(&profile, "EndSession"), Tellable::Yes);
    }

    #[test]
    fn method_with_another_ones_messages_names_it() {
        let twin = "[[service.method]]\nname = \"Stop\"\nrole = \"unload_model\"\n\
                    request = \"EndSessionRequest\"\nresponse = \"EndSessionResponse\"\n\n[[message]]";
        let text = Profile::BUILTIN.replacen("[[message]]", twin, 1);
        let profile = Profile::from_toml(&text).unwrap();
        let other = "/tts.TTSService/Stop".to_owned();
        assert_eq!(answer(&profile, "EndSession"), Tellable::LikeAnother(other));
    }
}

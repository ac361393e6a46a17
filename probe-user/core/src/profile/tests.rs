//! The shipped profile, and what is said about bad ones.

use super::*;

const SMALL: &str = r#"
name = "small"
[[service]]
name = "a.B"
[[service.method]]
name = "C"
role = "control"
request = "Request"
response = "Response"
[[message]]
name = "Request"
fields = [
    { number = 1, name = "id", type = "string", role = "session_id" },
    { number = 2, name = "what", type = "What", role = "command" },
]
[[message]]
name = "Response"
fields = []
[[enum]]
name = "What"
values = { GO = 0 }
"#;

fn error_of(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    Profile::from_toml(&SMALL.replacen(from, to, 1))
        .expect_err("the change makes the profile bad")
        .to_string()
}

#[test]
fn builtin_profile_has_every_method_with_its_messages() {
    let profile = Profile::builtin();
    assert_eq!(profile.name(), "tts");
    let roles: Vec<_> = profile.methods().iter().map(|method| method.role).collect();
    assert_eq!(roles, MethodRole::ALL);
    let synthesize = profile.method("/tts.TTSService/Synthesize").unwrap();
    assert!(synthesize.client_streaming && synthesize.server_streaming);
    let frame = profile.message(synthesize.response).unwrap();
    assert_eq!(frame.name, "AudioFrame");
    let audio = frame.field(2).unwrap();
    assert_eq!(
        (audio.kind, audio.role),
        (FieldKind::Bytes, FieldRole::Audio)
    );
    assert_eq!(frame.field(7), None);
    assert_eq!(profile.method("/tts.TTSService/Sing"), None);
}

#[test]
fn builtin_profile_follows_roles_into_embedded_messages() {
    let profile = Profile::builtin();
    let list = profile.method("/tts.TTSService/ListModels").unwrap();
    assert!(profile.message(list.response).unwrap().has_roles);
    assert!(!profile.message(list.request).unwrap().has_roles);
}

#[test]
fn builtin_profile_names_the_commands() {
    let profile = Profile::builtin();
    let commands: Vec<_> = profile.commands().collect();
    assert_eq!(
        commands,
        [(0, "PAUSE"), (1, "RESUME"), (2, "STOP"), (3, "RELOAD")]
    );
    assert_eq!(profile.command_name(2), Some("STOP"));
    assert_eq!(profile.command_name(4), None);
}

#[test]
fn small_profile_is_valid() {
    let profile = Profile::from_toml(SMALL).unwrap();
    assert_eq!(profile.method("/a.B/C").unwrap().role, MethodRole::Control);
    assert_eq!(profile.command_name(0), Some("GO"));
}

#[test]
fn unknown_role_lists_the_valid_ones() {
    let error = error_of("\"session_id\"", "\"session\"");
    assert!(error.contains("message.Request.fields.id.role"), "{error}");
    assert!(error.contains("session_id, model_id, text"), "{error}");
    let error = error_of("\"control\"", "\"steer\"");
    assert!(error.contains("service.a.B.method.C.role"), "{error}");
    assert!(error.contains("start_session, end_session"), "{error}");
}

#[test]
fn dangling_names_are_told_with_the_remedy() {
    let error = error_of("request = \"Request\"", "request = \"Reqest\"");
    assert!(
        error.contains("add [[message]] with name = \"Reqest\""),
        "{error}"
    );
    let error = error_of("\"What\", role", "\"Wat\", role");
    assert!(
        error.contains("message.Request.fields.what.type"),
        "{error}"
    );
}

#[test]
fn duplicates_and_bad_numbers_are_refused() {
    assert!(error_of("number = 2", "number = 1").contains("field number 1 occurs twice"));
    assert!(error_of("number = 2", "number = 0").contains("use 1 to 536870911"));
    assert!(error_of("name = \"Response\"", "name = \"Request\"").contains("message.Request"));
    assert!(error_of("GO = 0", "GO = 0, COME = 0").contains("value 0 occurs twice"));
}

#[test]
fn role_on_a_type_that_cannot_have_it_is_refused() {
    let error = error_of("type = \"string\"", "type = \"bytes\"");
    assert!(
        error.contains("needs a field of type string, this one is bytes"),
        "{error}"
    );
}

#[test]
fn unknown_key_is_named_with_its_line() {
    let error = error_of("name = \"C\"", "nam = \"C\"");
    assert!(error.contains("nam"), "{error}");
    assert!(error.contains("line 6"), "{error}");
}

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
fn content_of_a_number_that_is_a_message_elsewhere_is_read() {
    assert_eq!(Profile::builtin().unread_fields(), 1 << 2);
    let profile = |number| {
        let text = SMALL.replacen(
            "[[message]]\nname = \"Response\"\nfields = []",
            "[[message]]\nname = \"Response\"\nfields = [{ number = 3, name = \"in\", type = \"Request\" }]",
            1,
        );
        let audio = format!(
            "{{ number = {number}, name = \"a\", type = \"bytes\", role = \"audio\" }},\n]"
        );
        Profile::from_toml(&text.replacen("\n]", &format!("\n    {audio}"), 1)).unwrap()
    };
    assert_eq!(profile(3).unread_fields(), 0);
    assert_eq!(profile(4).unread_fields(), 1 << 4);
    assert_eq!(profile(16).unread_fields(), 0);
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

const SOCKET: &str = r#"
[websocket]
type = "op"
members = { id = "session_id", n = "sequence" }
client = { say = "text", steer = "control" }
server = { sound = "audio" }
commands = { halt = "STOP" }
"#;

fn socket_error_of(from: &str, to: &str) -> String {
    assert!(SOCKET.contains(from), "{from}");
    let text = format!("{SMALL}{}", SOCKET.replacen(from, to, 1));
    let error = Profile::from_toml(&text).expect_err("the change makes the profile bad");
    error.to_string()
}

#[test]
fn builtin_profile_names_what_is_said_over_websocket() {
    let profile = Profile::builtin();
    let socket = profile.websocket();
    for (kind, role) in ["session_start", "audio", "session_end", "error"]
        .into_iter()
        .zip(MessageRole::SERVER)
    {
        assert_eq!(socket.server_message(kind), Some(role));
    }
    assert_eq!(socket.client_message("text"), Some(MessageRole::Text));
    assert_eq!(socket.client_message("audio"), None);
    assert_eq!(socket.member(b"type"), Some(MemberRole::Type));
    assert_eq!(socket.member(b"is_final"), Some(MemberRole::Final));
    assert_eq!(socket.member(b"pcm"), None);
    assert_eq!(socket.member(b"text"), None);
    assert!(!socket.binary_is_audio());
}

#[test]
fn websocket_section_may_be_absent_or_another_systems() {
    let profile = Profile::from_toml(SMALL).unwrap();
    assert_eq!(profile.websocket(), &WebSocketProfile::default());
    let profile = Profile::from_toml(&format!("{SMALL}{SOCKET}")).unwrap();
    let socket = profile.websocket();
    assert_eq!(socket.member(b"op"), Some(MemberRole::Type));
    assert_eq!(socket.client_message("steer"), Some(MessageRole::Control));
    assert_eq!(
        (socket.command("halt"), socket.command("PAUSE")),
        ("STOP", "PAUSE")
    );
}

#[test]
fn bad_websocket_section_is_told_with_the_remedy() {
    let error = socket_error_of("say = \"text\"", "say = \"audio\"");
    assert!(
        error.contains("websocket.client.say: unknown role"),
        "{error}"
    );
    assert!(error.contains("session_start, text, control"), "{error}");
    let error = socket_error_of("n = \"sequence\"", "n = \"number\"");
    assert!(error.contains("websocket.members.n"), "{error}");
    assert!(error.contains("frame_duration_ms, code, reason"), "{error}");
    let error = socket_error_of("id = ", "op = ");
    assert!(error.contains("websocket.members.op: member op"), "{error}");
    let error = socket_error_of("\"STOP\"", "\"HALT\"");
    assert!(error.contains("PAUSE, RESUME, STOP, RELOAD"), "{error}");
    let error = socket_error_of("type = \"op\"", "type = \"\"");
    assert!(
        error.contains("websocket.type: use a name of 1 to 64"),
        "{error}"
    );
    let error = socket_error_of("type = \"op\"", "type = \"op\"\nbinary = \"pcm\"");
    assert!(
        error.contains("websocket.binary") && error.contains("audio, other"),
        "{error}"
    );
    let error = socket_error_of("commands", "comands");
    assert!(error.contains("comands"), "{error}");
}

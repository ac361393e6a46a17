//! What calls mean, one method after the other.

mod late_naming;

use super::*;
use crate::flow::{self, CallEnd, CallId, Message, Method, Origin, Value};
use crate::profile::{FieldRole, MethodRole};
use crate::record::{ConnectionId, KtimeNs, Process, Role, Side, Tgid};

fn worker() -> Process {
    Process {
        tgid: Tgid(7),
        at: KtimeNs(0),
        role: Role::Worker,
        name: "tts@0".into(),
        adapter: "test".into(),
    }
}

fn call(stream: u32) -> CallId {
    CallId {
        connection: ConnectionId(1),
        stream,
    }
}

fn intact(fields: Vec<(FieldRole, Value)>) -> Message {
    Message {
        length: 10,
        intact: true,
        fields,
    }
}

fn damaged(fields: Vec<(FieldRole, Value)>) -> Message {
    Message {
        intact: false,
        ..intact(fields)
    }
}

fn text(role: FieldRole, value: &str) -> (FieldRole, Value) {
    (role, Value::Text(value.into()))
}

/// Runs one unary call: request at 10, response at 30, end at 31.
fn unary(method: MethodRole, request: &Message, response: &Message) -> Vec<What> {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let call = call(1);
    for event in [
        flow::Event::CallStarted {
            call,
            at: KtimeNs(5),
            method: Method::Known(method),
        },
        flow::Event::Message {
            call,
            at: KtimeNs(10),
            origin: Origin::Client,
            message: request,
        },
        flow::Event::Message {
            call,
            at: KtimeNs(30),
            origin: Origin::Server,
            message: response,
        },
        flow::Event::CallEnded {
            call,
            at: KtimeNs(31),
            end: CallEnd::Status(Some(0)),
        },
    ] {
        interpreter.handle(&worker(), Side::Server, &event, &mut out);
    }
    assert_eq!(interpreter.open_calls(), 0);
    out.into_iter().map(|event| event.what).collect()
}

#[test]
fn control_without_command_field_is_pause() {
    let request = intact(vec![text(FieldRole::SessionId, "s")]);
    let answer = intact(vec![(FieldRole::Success, Value::Integer(1))]);
    let session = Id::new("s");
    assert_eq!(
        unary(MethodRole::Control, &request, &answer),
        [
            What::ControlReceived {
                session: session.clone(),
                command: Command::Pause
            },
            What::ControlAnswered {
                session,
                command: Command::Pause,
                received: Some(KtimeNs(10)),
                success: Some(true)
            },
        ]
    );
}

#[test]
fn control_in_a_damaged_message_without_command_is_unknown() {
    let request = damaged(vec![text(FieldRole::SessionId, "s")]);
    let out = unary(MethodRole::Control, &request, &intact(vec![]));
    assert!(matches!(
        out[0],
        What::ControlReceived {
            command: Command::Unknown,
            ..
        }
    ));
    assert!(matches!(
        out[1],
        What::ControlAnswered {
            success: Some(false),
            ..
        }
    ));
}

#[test]
fn control_command_beyond_the_profile_is_other() {
    let request = intact(vec![(FieldRole::Command, Value::Integer(99))]);
    let out = unary(MethodRole::Control, &request, &intact(vec![]));
    assert_eq!(
        out[0],
        What::ControlReceived {
            session: None,
            command: Command::Other
        }
    );
}

#[test]
fn session_starts_only_when_the_worker_says_so() {
    let request = intact(vec![
        text(FieldRole::SessionId, "s"),
        text(FieldRole::ModelId, "m"),
    ]);
    let yes = intact(vec![(FieldRole::Success, Value::Integer(1))]);
    let asked = || What::ModelRequested {
        model: Id::new("m"),
    };
    assert_eq!(
        unary(MethodRole::StartSession, &request, &yes),
        [
            asked(),
            What::SessionStarted {
                session: Id::new("s"),
                model: Id::new("m")
            },
            What::ModelRequestEnded
        ]
    );
    assert_eq!(
        unary(MethodRole::StartSession, &request, &intact(vec![])),
        [asked(), What::ModelRequestEnded]
    );
    assert_eq!(
        unary(MethodRole::StartSession, &request, &damaged(vec![])),
        [asked(), What::SessionMaybeStarted, What::ModelRequestEnded]
    );
}

#[test]
fn list_of_models_keeps_only_loaded_ones() {
    let entry = |name: &str, loaded: bool| {
        let mut fields = vec![
            (FieldRole::None, Value::Group),
            text(FieldRole::ModelId, name),
        ];
        if loaded {
            fields.push((FieldRole::Loaded, Value::Integer(1)));
        }
        fields.push((FieldRole::None, Value::GroupEnd));
        fields
    };
    let answer = intact([entry("a", true), entry("b", false), entry("c", true)].concat());
    assert_eq!(
        unary(MethodRole::ListModels, &intact(vec![]), &answer),
        [What::ModelsListed {
            resident: [Id::new("a"), Id::new("c")].into_iter().flatten().collect()
        }]
    );
    let holey = Message {
        intact: false,
        ..answer
    };
    assert_eq!(
        unary(MethodRole::ListModels, &intact(vec![]), &holey),
        [What::ModelsUnreadable]
    );
}

#[test]
fn load_duration_absent_zero_and_unreadable_are_told_apart() {
    let ok = (FieldRole::Success, Value::Integer(1));
    let load = |message: &Message| match unary(MethodRole::LoadModel, &intact(vec![]), message)
        .as_slice()
    {
        [
            What::ModelRequested { model: None },
            What::ModelLoaded { duration, .. },
            What::ModelRequestEnded,
        ] => *duration,
        other => panic!("{other:?}"),
    };
    let said = (FieldRole::LoadDurationMs, Value::Integer(1500));
    let negative = (FieldRole::LoadDurationMs, Value::Integer(-1));
    assert_eq!(
        load(&intact(vec![ok.clone(), said])),
        LoadDuration::Said(1500)
    );
    assert_eq!(load(&intact(vec![ok.clone()])), LoadDuration::Unsaid);
    assert_eq!(
        load(&intact(vec![ok.clone(), negative])),
        LoadDuration::Unsaid
    );
    assert_eq!(load(&damaged(vec![ok])), LoadDuration::Unknown);
}

#[test]
fn stream_names_its_session_once_before_its_first_text() {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let message = intact(vec![text(FieldRole::SessionId, "s")]);
    let frame = damaged(vec![
        text(FieldRole::SessionId, "s"),
        (FieldRole::Audio, Value::Length(1920)),
    ]);
    for event in [
        flow::Event::CallStarted {
            call: call(1),
            at: KtimeNs(1),
            method: Method::Known(MethodRole::Synthesize),
        },
        flow::Event::Message {
            call: call(1),
            at: KtimeNs(2),
            origin: Origin::Client,
            message: &message,
        },
        flow::Event::Message {
            call: call(1),
            at: KtimeNs(3),
            origin: Origin::Server,
            message: &frame,
        },
        flow::Event::MessagesLost {
            call: call(1),
            at: KtimeNs(4),
            origin: Origin::Server,
        },
        flow::Event::CallEnded {
            call: call(1),
            at: KtimeNs(5),
            end: CallEnd::ConnectionClosed,
        },
    ] {
        interpreter.handle(&worker(), Side::Server, &event, &mut out);
    }
    let whats: Vec<What> = out.into_iter().map(|e| e.what).collect();
    assert_eq!(
        whats,
        [
            What::StreamOpened,
            What::StreamSession(Id::new("s").unwrap()),
            What::Text {
                is_final: Some(false),
                length: Some(0)
            },
            What::Frame(AudioFrame {
                audio_bytes: Some(1920),
                sample_rate: None,
                duration_ms: None,
                sequence: None,
                is_final: None
            }),
            What::FramesLost,
            What::StreamEnded(CallEnd::ConnectionClosed),
        ]
    );
}

#[test]
fn calls_of_unreadable_or_foreign_methods_give_no_events_and_are_counted() {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let message = intact(vec![text(FieldRole::SessionId, "s")]);
    for (stream, method) in [(1, Method::Unknown), (3, Method::Other)] {
        for event in [
            flow::Event::CallStarted {
                call: call(stream),
                at: KtimeNs(1),
                method,
            },
            flow::Event::Message {
                call: call(stream),
                at: KtimeNs(2),
                origin: Origin::Client,
                message: &message,
            },
            flow::Event::CallEnded {
                call: call(stream),
                at: KtimeNs(3),
                end: CallEnd::Status(Some(0)),
            },
        ] {
            interpreter.handle(&worker(), Side::Server, &event, &mut out);
        }
    }
    assert_eq!(out, []);
    assert_eq!(
        interpreter.counts(),
        Counts {
            known: 0,
            other: 1,
            unknown: 1,
            refused: 0
        }
    );
}

#[test]
fn calls_beyond_the_bound_are_refused_and_counted() {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    for stream in 0..=MAX_CALLS as u32 {
        let event = flow::Event::CallStarted {
            call: call(stream),
            at: KtimeNs(1),
            method: Method::Known(MethodRole::Synthesize),
        };
        interpreter.handle(&worker(), Side::Server, &event, &mut out);
    }
    assert_eq!(interpreter.open_calls(), MAX_CALLS);
    assert_eq!(interpreter.counts().refused, 1);
    assert_eq!(out.len(), MAX_CALLS);
}

#[test]
fn control_refused_by_status_is_answered_without_success() {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let request = intact(vec![(FieldRole::Command, Value::Integer(2))]);
    for event in [
        flow::Event::CallStarted {
            call: call(1),
            at: KtimeNs(1),
            method: Method::Known(MethodRole::Control),
        },
        flow::Event::Message {
            call: call(1),
            at: KtimeNs(2),
            origin: Origin::Client,
            message: &request,
        },
        flow::Event::CallEnded {
            call: call(1),
            at: KtimeNs(9),
            end: CallEnd::Status(Some(5)),
        },
    ] {
        interpreter.handle(&worker(), Side::Client, &event, &mut out);
    }
    let answer = What::ControlAnswered {
        session: None,
        command: Command::Stop,
        received: Some(KtimeNs(2)),
        success: Some(false),
    };
    let failed = What::CallFailed {
        method: MethodRole::Control,
        session: None,
        model: None,
        failure: Failure::Ended(CallEnd::Status(Some(5))),
    };
    let last: Vec<_> = out.iter().map(|e| (&e.what, e.side, e.at)).collect();
    assert_eq!(
        last[last.len() - 2..],
        [
            (&answer, Side::Client, KtimeNs(9)),
            (&failed, Side::Client, KtimeNs(9))
        ]
    );
}

/// Text that does not say that it is the last.
const TEXT: What = What::Text {
    is_final: Some(false),
    length: Some(0),
};

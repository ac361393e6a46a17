//! Calls named while they are open, and calls at the client's end.

use super::*;

/// What a stream says that is named while it is open; the calls counted.
fn named_late(then: flow::Event<'_>) -> (Vec<What>, Counts) {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let (call, at) = (call(1), KtimeNs(5));
    let chunk = intact(vec![text(FieldRole::SessionId, "s")]);
    let said = |origin, message| flow::Event::Message {
        call,
        at,
        origin,
        message,
    };
    for event in [
        flow::Event::CallStarted {
            call,
            at,
            method: Method::Unknown,
        },
        said(Origin::Client, &chunk),
        flow::Event::MethodInferred {
            call,
            at,
            method: MethodRole::Synthesize,
        },
        said(Origin::Client, &chunk),
        then,
        said(Origin::Client, &chunk),
    ] {
        interpreter.handle(&worker(), Side::Server, &event, &mut out);
    }
    let counts = interpreter.counts();
    (out.into_iter().map(|event| event.what).collect(), counts)
}

#[test]
fn stream_named_while_open_counts_from_then_on_and_as_one_call() {
    let lost = flow::Event::MessagesLost {
        call: call(1),
        at: KtimeNs(6),
        origin: Origin::Server,
    };
    let session = Id::new("s").unwrap();
    let (what, counts) = named_late(lost);
    assert_eq!(
        what,
        [
            What::StreamOpened,
            What::StreamSession(session),
            TEXT,
            What::FramesLost,
            TEXT,
        ]
    );
    assert_eq!((counts.known, counts.unknown), (0, 1));
}

#[test]
fn stream_whose_method_was_wrong_ends_as_unknown() {
    let wrong = flow::Event::MethodContradicted {
        call: call(1),
        at: KtimeNs(6),
    };
    let (what, _) = named_late(wrong);
    assert_eq!(what.last(), Some(&What::StreamEnded(CallEnd::Unknown)));
    assert_eq!(what.len(), 4);
}

#[test]
fn session_calls_at_the_clients_end_tell_what_was_asked_and_refused() {
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    let mut out = Vec::new();
    let request = intact(vec![
        text(FieldRole::SessionId, "s"),
        text(FieldRole::ModelId, "m"),
    ]);
    let refusal = intact(vec![]);
    let events = [
        flow::Event::CallStarted {
            call: call(1),
            at: KtimeNs(1),
            method: Method::Known(MethodRole::StartSession),
        },
        flow::Event::Message {
            call: call(1),
            at: KtimeNs(2),
            origin: Origin::Client,
            message: &request,
        },
        flow::Event::Message {
            call: call(1),
            at: KtimeNs(3),
            origin: Origin::Server,
            message: &refusal,
        },
    ];
    for event in &events {
        interpreter.handle(&worker(), Side::Client, event, &mut out);
    }
    let (session, model) = (Id::new("s"), Id::new("m"));
    let whats: Vec<What> = out.into_iter().map(|e| e.what).collect();
    assert_eq!(
        whats,
        [
            What::SessionAsked {
                session: session.clone(),
                model: model.clone()
            },
            What::CallFailed {
                method: MethodRole::StartSession,
                session,
                model,
                failure: Failure::Refused
            },
        ]
    );
    // At the worker's end the same calls say only that a model is needed.
    let mut out = Vec::new();
    let mut interpreter = Interpreter::new(&crate::profile::Profile::builtin());
    for event in &events {
        interpreter.handle(&worker(), Side::Server, event, &mut out);
    }
    let of_models =
        |what: &What| matches!(what, What::ModelRequested { .. } | What::ModelRequestEnded);
    let others: Vec<_> = out.iter().filter(|it| !of_models(&it.what)).collect();
    assert!(others.is_empty(), "{others:?}");
}

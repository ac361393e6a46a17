//! Whatever is on the wire, in whatever order and at whatever times: no panic, and when all is over
//! nothing is left.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::{FileChange, FileEvent, FileId};

const METHODS: [MethodRole; 8] = [
    MethodRole::StartSession,
    MethodRole::EndSession,
    MethodRole::Synthesize,
    MethodRole::Control,
    MethodRole::ListModels,
    MethodRole::LoadModel,
    MethodRole::UnloadModel,
    MethodRole::GetCapabilities,
];

const FIELDS: [FieldRole; 15] = [
    FieldRole::SessionId,
    FieldRole::ModelId,
    FieldRole::Text,
    FieldRole::Audio,
    FieldRole::SampleRate,
    FieldRole::FrameDurationMs,
    FieldRole::Sequence,
    FieldRole::Final,
    FieldRole::Success,
    FieldRole::Command,
    FieldRole::LoadDurationMs,
    FieldRole::Loaded,
    FieldRole::ResidentModel,
    FieldRole::MaxSessions,
    FieldRole::None,
];

#[derive(Clone, Debug)]
enum Act {
    Open(MethodRole),
    Say(Origin, Message),
    Lose(Origin),
    End(CallEnd),
    Close,
    Tick,
    File(FileChange),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop_oneof![-2..60_i64, any::<i64>(), Just(i64::MAX), Just(i64::MIN)]
            .prop_map(Value::Integer),
        "[ab]?".prop_map(Value::Text),
        any::<u32>().prop_map(Value::Length),
        Just(Value::Group),
        Just(Value::GroupEnd),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let field = (prop::sample::select(FIELDS.to_vec()), value());
    prop_oneof![
        (any::<bool>(), vec(field, 0..8)).prop_map(|(intact, fields)| Message {
            length: 0,
            intact,
            fields,
        }),
        (0..40_i64).prop_map(frame),
        ("[ab]", 0..4_i64).prop_map(|(session, command)| message(vec![
            text(FieldRole::SessionId, &session),
            text(FieldRole::ModelId, "m"),
            number(FieldRole::Command, command),
            number(FieldRole::Success, 1),
        ])),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Client), Just(Origin::Server)]
}

fn file() -> impl Strategy<Value = FileChange> {
    prop_oneof![
        ("[ab]?", 0..4_u32).prop_map(|(model, path)| FileChange::Opened { model, path }),
        any::<u64>().prop_map(|bytes| FileChange::Read { bytes }),
        any::<u64>().prop_map(|bytes| FileChange::Mapped { bytes }),
        Just(FileChange::Unmapped),
        Just(FileChange::Closed),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => prop::sample::select(METHODS.to_vec()).prop_map(Act::Open),
        8 => (origin(), any_message()).prop_map(|(origin, message)| Act::Say(origin, message)),
        1 => origin().prop_map(Act::Lose),
        1 => prop_oneof![
            Just(OK),
            Just(CANCELLED),
            Just(CallEnd::Status(None)),
            Just(CallEnd::Status(Some(5))),
            Just(CallEnd::Refused),
            Just(CallEnd::ConnectionClosed),
            Just(CallEnd::Unknown)
        ]
        .prop_map(Act::End),
        1 => Just(Act::Close),
        1 => Just(Act::Tick),
        3 => file().prop_map(Act::File),
    ]
}

proptest! {
    #[test]
    fn anything_in_any_order_leaves_nothing_behind(
        acts in vec((0..6_u32, prop_oneof![0..2000_u64, any::<u64>()], act()), 0..200)
    ) {
        let mut world = World::new();
        for (n, at, act) in &acts {
            let (call, at) = (stream(*n), KtimeNs(*at));
            match act {
                Act::Open(role) => world.feed(&flow::Event::CallStarted {
                    call,
                    at,
                    method: Method::Known(*role),
                }),
                Act::Say(origin, message) => world.feed(&flow::Event::Message {
                    call,
                    at,
                    origin: *origin,
                    message,
                }),
                Act::Lose(origin) => world.feed(&flow::Event::MessagesLost {
                    call,
                    at,
                    origin: *origin,
                }),
                Act::End(end) => world.feed(&flow::Event::CallEnded { call, at, end: *end }),
                Act::Close => world.model.handle_connection_closed(call.connection, at),
                Act::Tick => world.model.handle_tick(at),
                Act::File(change) => world.model.handle_file(&FileEvent {
                    file: FileId(u64::from(*n)),
                    tgid: Tgid(7),
                    at,
                    change: change.clone(),
                }),
            }
            prop_assert!(world.model.streams().count() <= 6);
        }
        for n in 0..6 {
            world.end(stream(n), 1e6, CallEnd::Unknown);
        }
        world.model.handle_connection_closed(ConnectionId(1), ms(1e6));
        let worker = world.model.workers().next().unwrap();
        prop_assert_eq!((worker.sessions, worker.streams, worker.queue_depth), (0, 0, 0));
        world.model.handle_tick(KtimeNs(u64::MAX));
        prop_assert_eq!(
            world.gauge("voxprobe_state_tracked", &[("kind", "session")]),
            Some(0.0)
        );
        world.model.handle_process_ended(Tgid(7), KtimeNs(u64::MAX));
        prop_assert_eq!(world.families_with("worker", "w"), Vec::<String>::new());
        prop_assert!(world.model.files.is_empty());
    }
}

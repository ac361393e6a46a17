use super::*;

fn processing(world: &World, kind: &str) -> (u64, f64) {
    world.histogram(
        "orchestrator_message_processing_ms",
        &[("message_type", kind)],
    )
}

#[test]
fn messages_count_by_direction_and_type() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.text(1, 1.0, true);
    world.text(1, 2.0, true);
    world.command(1, 3.0, Command::Pause);
    world.audio(1, 4.0, 1);
    world.error(1, 5.0, "INTERNAL_ERROR");
    let kind = MessageKind::Unknown;
    world.message(1, 6.0, Origin::Client, kind, ClientFields::default());
    let received = |kind| {
        world.counter(
            "orchestrator_websocket_messages_received_total",
            &[("message_type", kind)],
        )
    };
    let sent = |kind| {
        world.counter(
            "orchestrator_websocket_messages_sent_total",
            &[("message_type", kind)],
        )
    };
    assert_eq!(
        ["SessionStart", "TextChunk", "Control", "unknown"].map(received),
        [1.0, 2.0, 1.0, 1.0]
    );
    assert_eq!(
        ["SessionStarted", "AudioFrame", "Error", "SessionEnded"].map(sent),
        [1.0, 1.0, 1.0, 0.0]
    );
}

#[test]
fn processing_ends_with_the_first_call_or_reply() {
    let mut world = World::new();
    world.connect(1, 10.0, "ws-1");
    assert_eq!(processing(&world, "SessionStart"), (1, 0.5));
    world.ask(11.0, "ws-1", "m");
    world.text(1, 20.0, true);
    world.speak(1, 22.0, "ws-1");
    world.relay(1, 1, 60.0, 1);
    assert_eq!(processing(&world, "TextChunk"), (1, 2.0));
    world.command(1, 70.0, Command::Stop);
    // Audio goes on meanwhile: no reply.
    world.audio(1, 71.0, 2);
    world.control((74.0, 75.0), "ws-1", Command::Stop);
    assert_eq!(processing(&world, "Control"), (1, 4.0));
    world.text(1, 80.0, true);
    world.error(1, 83.0, "SYNTHESIS_FAILED");
    assert_eq!(processing(&world, "TextChunk"), (2, 5.0));
}

#[test]
fn message_that_causes_nothing_before_the_next_has_no_processing_time() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, false);
    world.text(1, 330.0, true);
    world.speak(1, 333.0, "ws-1");
    assert_eq!(processing(&world, "TextChunk"), (1, 3.0));
}

#[test]
fn message_that_the_next_one_overtook_causes_first_what_has_no_time() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, false);
    world.text(1, 60.0, true);
    world.chunk(1, 90.0, "ws-1", false);
    assert_eq!(processing(&world, "TextChunk"), (0, 0.0));
    world.chunk(1, 95.0, "ws-1", true);
    assert_eq!(processing(&world, "TextChunk"), (1, 35.0));
}

#[test]
fn call_that_was_opened_before_the_next_message_came_is_the_earlier_ones() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, false);
    world.call(call(1), 24.0, What::StreamOpened);
    world.call(call(1), 24.0, What::StreamSession(id("ws-1").unwrap()));
    world.text(1, 25.0, true);
    world.chunk(1, 26.0, "ws-1", false);
    assert_eq!(processing(&world, "TextChunk"), (1, 4.0));
    world.chunk(1, 30.0, "ws-1", true);
    assert_eq!(processing(&world, "TextChunk"), (2, 9.0));
}

#[test]
fn call_for_one_of_several_sessions_gives_no_processing_time() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.connect(2, 0.1, "ws-2");
    world.text(1, 1.0, true);
    world.text(2, 1.1, true);
    world.ask(2.0, "grpc-a", "m");
    assert_eq!(processing(&world, "TextChunk"), (0, 0.0));
    assert_eq!(world.skipped("message_processing", "ambiguous"), 2.0);
}

#[test]
fn events_of_other_processes_and_sides_do_not_count() {
    let mut world = World::new();
    let mut event = ClientEvent {
        process: ORCHESTRATOR,
        side: Side::Client,
        connection: ws(1),
        at: ms(0.0),
        what: ClientWhat::Upgraded {
            requested: Some(ms(0.0)),
        },
    };
    world.model.handle_client(&event);
    event.side = Side::Server;
    event.process = Tgid(99);
    world.model.handle_client(&event);
    assert_eq!(world.sum("orchestrator_websocket_connections_active"), 0.0);
    assert!(world.model.sessions.is_empty());
}

#[test]
fn reset_of_the_call_is_what_a_control_message_causes() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, true);
    world.speak(1, 22.0, "ws-1");
    world.relay(1, 1, 60.0, 1);
    world.command(1, 70.0, Command::Stop);
    world.done(1, 73.0, CANCELLED);
    assert_eq!(processing(&world, "Control"), (1, 3.0));
}

#[test]
fn call_is_not_what_a_message_of_unknown_kind_causes() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, true);
    let microphone = MessageKind::Other;
    world.message(1, 21.0, Origin::Client, microphone, ClientFields::default());
    world.speak(1, 22.0, "ws-1");
    assert_eq!(processing(&world, "other"), (0, 0.0));
    assert_eq!(processing(&world, "TextChunk"), (0, 0.0));
    world.error(1, 23.0, "INVALID_MESSAGE");
    assert_eq!(processing(&world, "other"), (1, 2.0));
}

#[test]
fn messages_that_came_together_each_have_what_they_caused() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    let malformed = MessageKind::Other;
    world.message(1, 20.0, Origin::Client, malformed, ClientFields::default());
    world.text(1, 20.0, true);
    world.error(1, 21.0, "INVALID_MESSAGE");
    world.speak(1, 23.0, "ws-1");
    assert_eq!(processing(&world, "other"), (1, 1.0));
    assert_eq!(processing(&world, "TextChunk"), (1, 3.0));
}

#[test]
fn session_that_the_upgrade_starts_is_not_what_a_text_causes() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.text(1, 1.0, true);
    world.ask(2.0, "ws-1", "m");
    // Either may have been the cause.
    assert_eq!(processing(&world, "TextChunk"), (0, 0.0));
    assert_eq!(world.skipped("message_processing", "ambiguous"), 1.0);
    world.connect(2, 10.0, "ws-2");
    world.ask(11.0, "ws-2", "m");
    // This orchestrator does not wait for texts.
    world.connect(3, 20.0, "ws-3");
    world.text(3, 21.0, true);
    world.ask(22.0, "ws-3", "m");
    world.speak(1, 24.0, "ws-3");
    assert_eq!(processing(&world, "TextChunk"), (1, 3.0));
    assert_eq!(world.skipped("message_processing", "ambiguous"), 1.0);
}

#[test]
fn session_that_waits_for_a_text_is_what_the_text_causes() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.text(1, 1500.0, true);
    world.ask(1502.0, "ws-1", "m");
    assert_eq!(processing(&world, "TextChunk"), (1, 2.0));
    world.connect(2, 2000.0, "ws-2");
    world.text(2, 2001.0, true);
    world.ask(2004.0, "ws-2", "m");
    assert_eq!(processing(&world, "TextChunk"), (2, 5.0));
}

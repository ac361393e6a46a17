use super::*;

#[test]
fn interleaved_sessions_are_told_apart_by_the_ids_their_clients_were_told() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.connect(2, 1.0, "ws-2");
    world.ask(2.0, "ws-2", "two");
    world.ask(3.0, "ws-1", "one");
    world.text(1, 10.0, true);
    world.text(2, 11.0, true);
    world.speak(1, 12.0, "ws-2");
    world.speak(3, 13.0, "ws-1");
    for i in 0..5_i64 {
        let at = 100.0 + 20.0 * i as f64;
        world.relay(1, 2, at, i + 1);
        world.relay(3, 1, at + 5.0, i + 1);
    }
    assert_eq!(world.fal("one"), (1, 95.5));
    assert_eq!(world.fal("two"), (1, 89.5));
    assert_eq!(world.started("one"), 1.0);
    assert_eq!(world.started("two"), 1.0);
}

#[test]
fn only_session_that_can_have_asked_is_bound_without_an_equal_id() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(2.0, "grpc-a", "one");
    world.connect(2, 10.0, "ws-2");
    world.ask(12.0, "grpc-b", "two");
    assert_eq!(world.started("one"), 1.0);
    assert_eq!(world.started("two"), 1.0);
}

#[test]
fn session_asked_for_with_no_client_that_can_be_its_cause_is_nobodys() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    // A warm-up, long after the client connected.
    world.ask(6000.0, "warm-up", "m");
    assert_eq!(world.active("unknown"), Some(1.0));
    assert_eq!(world.active("m"), None);
}

#[test]
fn client_told_its_id_after_the_worker_was_asked_is_bound() {
    let mut world = World::new();
    world.upgrade(1, 0.0);
    world.upgrade(2, 0.1);
    world.ask(1.0, "ws-1", "one");
    world.ask(1.1, "ws-2", "two");
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 0.0);
    world.told(2, 2.0, "ws-2");
    world.told(1, 2.1, "ws-1");
    assert_eq!(world.started("one"), 1.0);
    assert_eq!(world.started("two"), 1.0);
}

/// Two clients who connect at once, in an orchestrator that gives workers other ids.
fn ambiguous() -> World {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.connect(2, 0.1, "ws-2");
    world.ask(1.0, "grpc-a", "a");
    world.ask(1.1, "grpc-b", "b");
    assert_eq!(world.active("unknown"), Some(2.0));
    world
}

#[test]
fn sessions_that_cannot_be_told_apart_stay_unknown() {
    let mut world = ambiguous();
    world.end(1, 50.0, ConnectionEnd::PeerClosed);
    world.end(2, 51.0, ConnectionEnd::PeerClosed);
    assert_eq!(world.started("unknown"), 2.0);
    assert_eq!(world.ended("unknown", "client_disconnect"), 2.0);
    assert_eq!(world.skipped("session_model", "ambiguous"), 2.0);
    assert_eq!(world.started("a") + world.started("b"), 0.0);
}

#[test]
fn text_that_only_one_of_them_sent_tells_ambiguous_sessions_apart() {
    let mut world = ambiguous();
    world.text(2, 10.0, true);
    world.speak(1, 11.0, "grpc-a");
    assert_eq!(world.started("a"), 1.0);
    assert_eq!(world.started("b"), 1.0, "the other one is what is left");
    // Client 2 has model a.
    world.relay(1, 2, 60.0, 1);
    assert_eq!(world.fal("a"), (1, 50.5));
}

#[test]
fn audio_tells_ambiguous_sessions_apart() {
    let mut world = ambiguous();
    world.text(1, 10.0, true);
    world.text(2, 10.1, true);
    world.speak(1, 11.0, "grpc-a");
    world.speak(3, 11.1, "grpc-b");
    assert_eq!(world.active("unknown"), Some(2.0));
    // Stream 1 is ahead, and client 2 hears it.
    for i in 0..4_i64 {
        let at = 100.0 + 20.0 * i as f64;
        world.relay(1, 2, at, i + 1);
        world.relay(3, 1, at + 5.0, i + 1);
    }
    assert_eq!(world.active("unknown"), Some(0.0));
    world.end(1, 300.0, ConnectionEnd::PeerClosed);
    assert_eq!(world.ended("b", "client_disconnect"), 1.0);
    assert_eq!(world.active("a"), Some(1.0));
    assert_eq!(world.fal("a"), (1, 90.4));
    assert_eq!(world.fal("b"), (1, 95.5));
}

#[test]
fn session_id_shared_by_all_streams_binds_by_text_and_not_by_name() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "default", "m");
    world.connect(2, 10.0, "ws-2");
    world.ask(11.0, "default", "n");
    assert_eq!(world.started("m"), 1.0);
    assert_eq!(world.started("n"), 1.0);
    world.text(2, 20.0, true);
    world.speak(1, 21.0, "default");
    world.text(1, 30.0, true);
    world.speak(3, 31.0, "default");
    // Each frame goes to the right client, and one of client 1's is dropped.
    for i in 1..=10 {
        let at = 100.0 + 20.0 * i as f64;
        world.relay(1, 2, at, i);
        if i == 5 {
            world.frame(3, at + 1.0, i);
        } else {
            world.relay(3, 1, at + 1.0, i);
        }
    }
    world.done(1, 400.0, OK);
    world.done(3, 400.0, OK);
    world.tick(3000.0);
    assert_eq!(world.drops("unknown", "backpressure"), 1.0);
    assert_eq!(world.skipped("forwarding_drops", "ambiguous"), 0.0);
}

#[test]
fn messages_lost_leave_the_binding_and_void_the_latency() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 10.0, true);
    world.speak(1, 11.0, "ws-1");
    let origin = Origin::Server;
    world.client(1, 50.0, ClientWhat::MessagesLost { origin });
    world.relay(1, 1, 60.0, 3);
    assert_eq!(world.fal("m"), (0, 0.0));
    assert_eq!(world.skipped("first_audio_latency", "lost"), 1.0);
    assert_eq!(world.skipped("websocket_message", "lost"), 1.0);
    world.done(1, 70.0, OK);
    world.tick(3000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.skipped("forwarding_drops", "lost"), 1.0);
}

#[test]
fn text_after_lost_text_does_not_start_a_measured_utterance() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    let origin = Origin::Client;
    world.client(1, 5.0, ClientWhat::MessagesLost { origin });
    world.text(1, 10.0, true);
    world.speak(1, 11.0, "ws-1");
    world.relay(1, 1, 60.0, 1);
    assert_eq!(world.fal("m"), (0, 0.0));
    assert_eq!(world.skipped("first_audio_latency", "lost"), 1.0);
}

#[test]
fn worker_sessions_whose_client_left_are_not_taken_for_anothers() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "grpc-a", "m");
    world.text(1, 2.0, true);
    world.end(1, 3.0, ConnectionEnd::PeerClosed);
    world.connect(2, 4.0, "ws-2");
    world.text(2, 5.0, true);
    // The orchestrator has not noticed yet that client 1 is gone.
    world.speak(1, 6.0, "grpc-a");
    assert_eq!(world.active("unknown"), Some(1.0));
    assert_eq!(world.active("m"), Some(0.0));
}

#[test]
fn stream_older_than_the_probe_is_bound_by_its_audio() {
    let mut world = World::new();
    world.client(1, 0.0, ClientWhat::Upgraded { requested: None });
    world.client(2, 0.0, ClientWhat::Upgraded { requested: None });
    world.call(call(1), 1.0, What::StreamOpened);
    world.call(call(1), 1.0, What::StreamSession(id("s").unwrap()));
    for i in 10..15 {
        world.relay(1, 2, 20.0 * i as f64, i);
    }
    world.frame(1, 300.0, 15);
    world.done(1, 301.0, OK);
    world.tick(5000.0);
    assert_eq!(world.drops("unknown", "backpressure"), 1.0);
}

#[test]
fn client_that_never_says_which_text_is_the_last_has_an_utterance_per_answer() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    for round in 0..3_u32 {
        let at = 1000.0 * f64::from(round + 1);
        let kind = MessageKind::TextChunk;
        world.message(1, at, Origin::Client, kind, ClientFields::default());
        world.speak(2 * round + 1, at + 1.0, "ws-1");
        world.relay(2 * round + 1, 1, at + 49.5, 1);
        world.done(2 * round + 1, at + 60.0, OK);
    }
    assert_eq!(world.fal("m"), (3, 150.0));
}

#[test]
fn clients_who_all_asked_for_the_name_they_share_need_not_be_told_apart() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.connect(2, 0.1, "ws-2");
    world.ask(1.0, "default", "m");
    assert_eq!(world.started("m"), 0.0);
    world.ask(1.1, "default", "m");
    assert_eq!(world.started("m"), 2.0);
    // Another one, and who asked for it is plain.
    world.connect(3, 10.0, "ws-3");
    world.ask(11.0, "default", "m");
    assert_eq!(world.started("m"), 3.0);
}

#[test]
fn client_who_is_bound_settles_a_name_that_only_one_asked_for() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.connect(2, 0.1, "ws-2");
    world.ask(1.0, "grpc-a", "m");
    world.text(2, 2.0, true);
    world.speak(1, 3.0, "grpc-a");
    assert_eq!(world.started("m"), 1.0, "the other one asked for nothing");
    world.tick(60_000.0);
    assert_eq!(world.started("m"), 1.0);
    assert_eq!(world.started("unknown"), 1.0);
}

#[test]
fn end_of_a_shared_worker_session_ends_no_other_client() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "default", "m");
    world.connect(2, 10.0, "ws-2");
    world.ask(11.0, "default", "m");
    world.end(1, 20.0, ConnectionEnd::PeerClosed);
    world.ask_end(21.0, "default");
    assert_eq!(world.active("m"), Some(1.0));
    assert_eq!(world.sum("orchestrator_sessions_ended_total"), 1.0);
    world.ask_end(30.0, "default");
    assert_eq!(world.ended("m", "normal"), 1.0);
}

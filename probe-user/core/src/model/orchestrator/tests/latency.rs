use super::*;

/// One client whose session has model `m`.
fn world() -> World {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world
}

#[test]
fn first_audio_latency_counts_from_the_message_that_starts_the_utterance() {
    let mut world = world();
    world.text(1, 100.0, false);
    world.chunk(1, 101.0, "ws-1", false);
    world.text(1, 150.0, false);
    world.chunk(1, 151.0, "ws-1", false);
    world.text(1, 180.0, true);
    world.chunk(1, 181.0, "ws-1", true);
    for i in 1..=3 {
        world.relay(1, 1, 199.5 + 20.0 * i as f64, i);
    }
    assert_eq!(world.fal("m"), (1, 120.0));
    assert_eq!(world.e2e("websocket"), (1, 40.0), "from the last text");
}

#[test]
fn text_that_goes_on_after_the_first_audio_does_not_restart_the_utterance() {
    let mut world = world();
    world.text(1, 100.0, false);
    world.chunk(1, 101.0, "ws-1", false);
    world.relay(1, 1, 149.5, 1);
    world.text(1, 160.0, true);
    world.chunk(1, 161.0, "ws-1", true);
    world.relay(1, 1, 170.0, 2);
    assert_eq!(world.fal("m"), (1, 50.0));
}

#[test]
fn each_utterance_has_its_latency_also_when_they_overlap() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.relay(1, 1, 149.5, 1);
    // Asked for while the first is being spoken, and spoken after it.
    world.text(1, 155.0, true);
    world.speak(3, 156.0, "ws-1");
    world.frame(3, 160.0, 1);
    world.relay(1, 1, 169.5, 2);
    world.relay(1, 1, 189.5, 3);
    world.done(1, 190.0, OK);
    world.audio(1, 205.0, 1);
    assert_eq!(world.fal("m"), (2, 100.0));
    assert_eq!(world.skipped("first_audio_latency", "ambiguous"), 0.0);
}

#[test]
fn utterances_follow_each_other_on_one_long_stream() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.chunk(1, 101.0, "ws-1", true);
    world.relay(1, 1, 149.5, 1);
    world.call(call(1), 160.0, What::Frame(last_frame(2)));
    world.audio(1, 160.5, 2);
    world.text(1, 200.0, true);
    world.chunk(1, 201.0, "ws-1", true);
    world.relay(1, 1, 229.5, 3);
    assert_eq!(world.fal("m"), (2, 80.0));
}

#[test]
fn audio_that_may_be_of_either_utterance_gives_no_latency() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.chunk(1, 101.0, "ws-1", true);
    world.relay(1, 1, 149.5, 1);
    // The same stream goes on, and its numbers too: where the second starts cannot be told.
    world.text(1, 160.0, true);
    world.chunk(1, 161.0, "ws-1", true);
    world.relay(1, 1, 170.0, 2);
    world.relay(1, 1, 190.0, 3);
    world.tick(3000.0);
    assert_eq!(world.fal("m"), (1, 50.0));
    assert_eq!(world.skipped("first_audio_latency", "ambiguous"), 1.0);
}

#[test]
fn latency_observed_before_the_model_is_known_counts_for_the_model() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.text(1, 10.0, true);
    world.audio(1, 60.0, 1);
    assert_eq!(world.fal("unknown"), (0, 0.0));
    world.ask(61.0, "ws-1", "m");
    assert_eq!(world.fal("m"), (1, 50.0));
}

#[test]
fn session_of_unknown_model_has_its_latency_as_unknown() {
    let mut world = World::new();
    world.client(1, 0.0, ClientWhat::Upgraded { requested: None });
    world.text(1, 10.0, true);
    world.audio(1, 60.0, 1);
    world.tick(31_000.0);
    assert_eq!(world.fal("unknown"), (1, 50.0));
}

#[test]
fn end_of_speech_is_the_users_last_input() {
    let mut world = world();
    world
        .model
        .handle_speech(ORCHESTRATOR, ms(80.0), Speech::Started);
    world
        .model
        .handle_speech(ORCHESTRATOR, ms(100.0), Speech::Ended);
    world.speak(1, 150.0, "ws-1");
    world.relay(1, 1, 219.5, 1);
    world.relay(1, 1, 239.5, 2);
    assert_eq!(world.e2e("websocket"), (1, 120.0));
    assert_eq!(world.fal("m"), (0, 0.0), "no text started it");
}

#[test]
fn end_of_speech_in_a_process_of_several_sessions_is_nobodys() {
    let mut world = world();
    world.connect(2, 10.0, "ws-2");
    world
        .model
        .handle_speech(ORCHESTRATOR, ms(100.0), Speech::Ended);
    world.speak(1, 150.0, "ws-1");
    world.relay(1, 1, 219.5, 1);
    assert_eq!(world.e2e("websocket"), (0, 0.0));
    assert_eq!(world.skipped("e2e_latency", "ambiguous"), 1.0);
}

#[test]
fn end_marker_without_audio_ends_the_utterance_and_is_no_drop() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.relay(1, 1, 149.5, 1);
    world.call(call(1), 160.0, What::Frame(end_marker()));
    world.done(1, 161.0, OK);
    world.text(1, 170.0, true);
    world.speak(3, 171.0, "ws-1");
    world.relay(3, 1, 219.5, 1);
    world.done(3, 230.0, OK);
    world.tick(5000.0);
    assert_eq!(world.fal("m"), (2, 100.0));
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
}

#[test]
fn text_that_goes_on_while_the_one_before_is_interrupted_stays_one_utterance() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.relay(1, 1, 149.5, 1);
    world.text(1, 200.0, false);
    world.control((201.0, 202.0), "ws-1", Command::Pause);
    world.control((202.5, 203.0), "ws-1", Command::Stop);
    world.done(1, 204.0, OK);
    world.chunk(3, 205.0, "ws-1", false);
    world.text(1, 260.0, true);
    world.chunk(3, 261.0, "ws-1", true);
    world.relay(3, 1, 299.5, 1);
    assert_eq!(world.fal("m"), (2, 150.0));
    assert_eq!(world.e2e("websocket"), (2, 90.0));
}

#[test]
fn text_that_is_refused_begins_no_utterance() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 20.0, false);
    world.error(1, 21.0, "SYNTHESIS_FAILED");
    world.text(1, 80.0, true);
    world.speak(1, 81.0, "ws-1");
    world.relay(1, 1, 110.0, 1);
    let (count, sum) = world.histogram("orchestrator_latency_fal_ms", &[("model_id", "m")]);
    assert_eq!(count, 1);
    assert!((30.0..35.0).contains(&sum), "{sum}");
}

#[test]
fn text_that_comes_just_before_the_error_about_another_message_is_spoken() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    let malformed = MessageKind::Other;
    world.message(1, 19.9, Origin::Client, malformed, ClientFields::default());
    world.text(1, 20.0, true);
    world.error(1, 20.2, "INVALID_MESSAGE");
    world.speak(1, 21.0, "ws-1");
    world.relay(1, 1, 50.0, 1);
    let (count, sum) = world.histogram("orchestrator_latency_fal_ms", &[("model_id", "m")]);
    assert_eq!(count, 1);
    assert!((30.0..35.0).contains(&sum), "{sum}");
}

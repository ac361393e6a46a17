use super::*;

fn speaking(mut world: World) -> World {
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 10.0, true);
    world.speak(1, 11.0, "ws-1");
    world
}

#[test]
fn frame_that_is_not_sent_on_counts_at_its_worker() {
    let mut world = speaking(World::with_worker());
    for i in 1..=10 {
        let at = 20.0 * i as f64;
        if i % 5 == 0 {
            world.frame(1, at, i);
        } else {
            world.relay(1, 1, at, i);
        }
    }
    world.done(1, 300.0, OK);
    assert_eq!(world.drops("tts@0", "backpressure"), 0.0, "not settled");
    world.tick(2400.0);
    assert_eq!(world.drops("tts@0", "backpressure"), 2.0);
}

#[test]
fn frames_received_while_held_are_dropped_for_the_pause() {
    let mut world = speaking(World::new());
    for i in 1..=3 {
        world.relay(1, 1, 20.0 * i as f64, i);
    }
    world.frame(1, 80.0, 4);
    world.command(1, 81.0, Command::Stop);
    world.control((82.0, 85.0), "ws-1", Command::Stop);
    world.frame(1, 90.0, 5);
    world.done(1, 100.0, OK);
    world.tick(5000.0);
    assert_eq!(world.drops("unknown", "pause"), 2.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 2.0);
}

#[test]
fn frames_of_a_reset_or_failed_call_and_of_a_client_that_left_are_errors() {
    for end in [
        CANCELLED,
        CallEnd::Status(Some(13)),
        CallEnd::ConnectionClosed,
    ] {
        let mut world = speaking(World::new());
        world.relay(1, 1, 20.0, 1);
        world.frame(1, 40.0, 2);
        world.done(1, 50.0, end);
        world.tick(5000.0);
        assert_eq!(world.drops("unknown", "error"), 1.0, "{end:?}");
    }
    let mut world = speaking(World::new());
    world.relay(1, 1, 20.0, 1);
    world.frame(1, 40.0, 2);
    world.end(1, 45.0, ConnectionEnd::Reset);
    world.frame(1, 60.0, 3);
    world.done(1, 70.0, OK);
    world.tick(5000.0);
    assert_eq!(world.drops("unknown", "error"), 2.0);
}

#[test]
fn frames_that_wait_in_the_orchestrator_are_no_drops() {
    let mut world = speaking(World::new());
    for i in 1..=200 {
        world.frame(1, 20.0 + 0.4 * i as f64, i);
    }
    world.call(call(1), 101.0, What::Frame(end_marker()));
    world.done(1, 102.0, OK);
    for i in 1..=200 {
        let at = 110.0 + 20.0 * i as f64;
        world.tick(at);
        world.audio(1, at, i);
    }
    world.tick(9000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.sum("voxprobe_observations_skipped_total"), 0.0);
    assert!(world.model.streams.is_empty());
    assert_eq!(world.model.pending_frames, 0);
}

#[test]
fn orchestrator_that_numbers_on_its_own_is_counted() {
    let mut world = speaking(World::new());
    for i in 1..=10 {
        let at = 20.0 * i as f64;
        world.frame(1, at, i);
        if i != 4 {
            world.audio(1, at + 0.5, 1000 + i);
        }
    }
    world.done(1, 300.0, OK);
    world.tick(5000.0);
    assert_eq!(world.drops("unknown", "backpressure"), 1.0);
}

#[test]
fn audio_cut_otherwise_than_it_came_tells_nothing_of_drops() {
    let mut world = speaking(World::new());
    for i in 1..=4 {
        world.frame(1, 20.0 * i as f64, i);
    }
    let fields = ClientFields {
        duration_ms: Some(40),
        ..ClientFields::default()
    };
    for at in [90.0, 130.0] {
        world.message(
            1,
            at,
            Origin::Server,
            MessageKind::AudioFrame,
            fields.clone(),
        );
    }
    world.done(1, 150.0, OK);
    world.tick(5000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.skipped("forwarding_drops", "ambiguous"), 1.0);
}

#[test]
fn frames_lost_on_the_way_to_the_orchestrator_leave_drops_unknown() {
    let mut world = speaking(World::new());
    world.relay(1, 1, 20.0, 1);
    world.call(call(1), 30.0, What::FramesLost);
    world.frame(1, 40.0, 3);
    world.done(1, 50.0, OK);
    world.tick(5000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.skipped("forwarding_drops", "lost"), 1.0);
}

#[test]
fn audio_that_cannot_be_read_or_is_not_in_the_profile_is_not_taken_for_dropped() {
    for kind in [MessageKind::Unknown, MessageKind::Other] {
        let mut world = speaking(World::new());
        for i in 1..=3 {
            world.frame(1, 20.0 * i as f64, i);
            let at = 20.0 * i as f64 + 0.5;
            world.message(1, at, Origin::Server, kind, ClientFields::default());
        }
        world.done(1, 100.0, OK);
        world.tick(5000.0);
        assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
        assert_eq!(world.skipped("forwarding_drops", "unreadable"), 1.0);
    }
}

use super::*;

/// One client of model `m` with a worker beside, being spoken to on stream 1.
fn speaking(mut world: World) -> World {
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 10.0, true);
    world.speak(1, 11.0, "ws-1");
    for i in 1..=3 {
        world.relay(1, 1, 20.0 + 20.0 * i as f64, i);
    }
    world
}

fn hear(world: &mut World, at: f64) {
    let speech = Speech::Started;
    world.model.handle_speech(ORCHESTRATOR, ms(at), speech);
}

#[test]
fn control_of_the_client_counts_to_the_last_audio_or_the_answer() {
    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Stop);
    world.control((101.0, 112.0), "ws-1", Command::Stop);
    world.frame(1, 110.0, 4);
    world.done(1, 115.0, OK);
    assert_eq!(world.barge_in("control"), (1, 12.0), "the answer was later");

    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Stop);
    world.control((101.0, 102.0), "ws-1", Command::Stop);
    world.frame(1, 125.0, 4);
    world.done(1, 140.0, OK);
    assert_eq!(world.barge_in("control"), (1, 25.0), "the audio was later");
    let labels = [("model_id", "m"), ("trigger", "control")];
    assert_eq!(
        world
            .histogram("orchestrator_latency_barge_in_ms", &labels)
            .0,
        1
    );
}

#[test]
fn pause_and_then_stop_are_one_interruption() {
    let mut world = speaking(World::new());
    world.control((100.0, 105.0), "ws-1", Command::Pause);
    world.control((106.0, 108.0), "ws-1", Command::Stop);
    world.done(1, 109.0, OK);
    assert_eq!(world.barge_in("grpc"), (1, 8.0));
    world.control((110.0, 111.0), "ws-1", Command::Stop);
    world.tick(5000.0);
    assert_eq!(world.barge_in("grpc"), (1, 8.0));
}

#[test]
fn pause_alone_counts_when_silence_has_settled() {
    let mut world = speaking(World::new());
    world.control((100.0, 105.0), "ws-1", Command::Pause);
    world.frame(1, 120.0, 4);
    world.tick(1000.0);
    assert_eq!(world.barge_in("grpc"), (0, 0.0));
    world.tick(2121.0);
    assert_eq!(world.barge_in("grpc"), (1, 20.0));
}

#[test]
fn resume_ends_the_interruption_and_another_may_follow() {
    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Pause);
    world.control((101.0, 110.0), "ws-1", Command::Pause);
    world.command(1, 300.0, Command::Resume);
    assert_eq!(world.barge_in("control"), (1, 10.0));
    world.relay(1, 1, 310.0, 4);
    world.command(1, 400.0, Command::Pause);
    world.control((401.0, 430.0), "ws-1", Command::Pause);
    world.done(1, 440.0, OK);
    assert_eq!(world.barge_in("control"), (2, 40.0));
}

#[test]
fn speech_counts_before_control_when_the_worker_is_told() {
    let mut world = speaking(World::new());
    hear(&mut world, 90.0);
    world.command(1, 100.0, Command::Stop);
    world.control((101.0, 112.0), "ws-1", Command::Stop);
    world.done(1, 115.0, OK);
    assert_eq!(world.barge_in("vad"), (1, 22.0));
    assert_eq!(world.barge_in("control"), (0, 0.0));
}

#[test]
fn speech_that_interrupts_nothing_is_no_barge_in() {
    let mut world = speaking(World::new());
    hear(&mut world, 90.0);
    world.tick(3000.0);
    // Later, and for another reason.
    world.relay(1, 1, 3100.0, 4);
    world.control((3200.0, 3205.0), "ws-1", Command::Stop);
    world.done(1, 3206.0, OK);
    assert_eq!(world.barge_in("vad"), (0, 0.0));
    assert_eq!(world.barge_in("grpc"), (1, 5.0));
}

#[test]
fn speech_while_two_are_spoken_to_is_neithers() {
    let mut world = speaking(World::new());
    world.connect(2, 70.0, "ws-2");
    world.ask(71.0, "ws-2", "m");
    world.text(2, 72.0, true);
    world.speak(3, 73.0, "ws-2");
    world.relay(3, 2, 80.0, 1);
    hear(&mut world, 90.0);
    world.control((100.0, 105.0), "ws-1", Command::Stop);
    world.done(1, 106.0, OK);
    assert_eq!(world.sum_of_barge_ins(), 0);
    assert_eq!(world.skipped("barge_in_latency", "ambiguous"), 1.0);
}

#[test]
fn reset_stream_ends_with_the_last_audio_that_leaves_the_worker() {
    let mut world = speaking(World::with_worker());
    hear(&mut world, 90.0);
    world.done(1, 100.0, CANCELLED);
    assert_eq!(world.barge_in("vad"), (0, 0.0), "the worker may go on");
    world.at_worker(1, 103.0, What::Frame(frame(4)));
    world.at_worker(1, 104.0, What::StreamEnded(CANCELLED));
    assert_eq!(world.barge_in("vad"), (1, 13.0));
}

#[test]
fn reset_alone_is_a_trigger_where_the_worker_is_watched() {
    let mut world = speaking(World::with_worker());
    world.done(1, 100.0, CANCELLED);
    world.at_worker(1, 107.0, What::Frame(frame(4)));
    world.at_worker(1, 108.0, What::StreamEnded(CANCELLED));
    assert_eq!(world.barge_in("grpc"), (1, 7.0));
}

#[test]
fn reset_towards_an_unwatched_worker_ends_with_the_reset_or_is_unknown() {
    let mut world = speaking(World::new());
    hear(&mut world, 90.0);
    world.done(1, 100.0, CANCELLED);
    assert_eq!(world.barge_in("vad"), (1, 10.0));

    let mut world = speaking(World::new());
    world.done(1, 100.0, CANCELLED);
    assert_eq!(world.barge_in("grpc"), (0, 0.0));
    assert_eq!(world.skipped("barge_in_latency", "cut_off"), 1.0);
}

#[test]
fn reset_after_the_final_frame_or_the_sessions_end_interrupts_nothing() {
    let mut world = speaking(World::new());
    world.call(call(1), 90.0, What::Frame(last_frame(4)));
    world.done(1, 100.0, CANCELLED);
    let mut gone = speaking(World::new());
    gone.close(1, 95.0, Origin::Client, Some(1001));
    gone.done(1, 100.0, CANCELLED);
    for world in [world, gone] {
        assert_eq!(world.sum_of_barge_ins(), 0);
        assert_eq!(world.skipped("barge_in_latency", "cut_off"), 0.0);
    }
}

#[test]
fn frames_lost_during_an_interruption_leave_it_unknown() {
    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Stop);
    world.control((101.0, 112.0), "ws-1", Command::Stop);
    world.call(call(1), 113.0, What::FramesLost);
    world.done(1, 115.0, OK);
    assert_eq!(world.sum_of_barge_ins(), 0);
    assert_eq!(world.skipped("barge_in_latency", "lost"), 1.0);
}

#[test]
fn control_while_nothing_is_spoken_is_no_barge_in() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.command(1, 10.0, Command::Stop);
    world.control((11.0, 12.0), "ws-1", Command::Stop);
    world.tick(5000.0);
    assert_eq!(world.sum_of_barge_ins(), 0);
}

#[test]
fn interruption_cut_short_by_the_client_is_not_measured() {
    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Stop);
    world.end(1, 101.0, ConnectionEnd::PeerClosed);
    assert_eq!(world.sum_of_barge_ins(), 0);
    assert_eq!(world.skipped("barge_in_latency", "cut_off"), 1.0);
}

impl World {
    fn sum_of_barge_ins(&self) -> u64 {
        ["vad", "control", "grpc"]
            .map(|trigger| self.barge_in(trigger).0)
            .iter()
            .sum()
    }
}

#[test]
fn new_utterance_that_interrupts_the_one_before_can_be_interrupted_itself() {
    let mut world = speaking(World::with_worker());
    // The orchestrator drops the call and opens the next one before the worker has noticed.
    world.text(1, 100.0, true);
    world.done(1, 101.0, CANCELLED);
    world.speak(3, 101.2, "ws-1");
    world.at_worker(1, 104.0, What::Frame(frame(4)));
    world.at_worker(1, 104.5, What::StreamEnded(CANCELLED));
    assert_eq!(world.barge_in("grpc"), (1, 3.0));
    world.relay(3, 1, 150.0, 1);
    world.command(1, 200.0, Command::Stop);
    world.control((201.0, 205.0), "ws-1", Command::Stop);
    world.done(3, 206.0, OK);
    assert_eq!(world.barge_in("grpc").0, 1);
    assert_eq!(world.barge_in("control"), (1, 5.0));
}

#[test]
fn next_utterances_audio_ends_an_interruption() {
    let mut world = speaking(World::new());
    world.command(1, 100.0, Command::Stop);
    world.frame(1, 120.0, 4);
    world.text(1, 130.0, true);
    world.speak(3, 131.0, "ws-1");
    assert_eq!(world.barge_in("control"), (0, 0.0));
    world.frame(3, 150.0, 1);
    assert_eq!(world.barge_in("control"), (1, 20.0));
}

#[test]
fn reset_that_no_audio_follows_takes_no_time() {
    let mut world = speaking(World::with_worker());
    world.command(1, 100.0, Command::Stop);
    world.done(1, 100.5, CANCELLED);
    world.at_worker(1, 101.0, What::StreamEnded(CANCELLED));
    assert_eq!(world.barge_in("control"), (1, 0.0));
}

use super::*;

#[test]
fn interval_across_lost_frames_is_not_observed() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 20);
    world.lose(stream(1), Origin::Server, 490.0);
    world.frames(stream(1), 900.0, 41, 5);
    world.end(stream(1), 1000.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((19 + 4, 0.0))
    );
    assert_eq!(world.skipped("frame_jitter", "lost"), Some(1.0));
    // Position in the audio unknown: no deadline, no underrun, no ratio; no drop either.
    assert_eq!(
        world.count_and_sum("worker_audio_frame_lateness_ms", &[("worker", "w")]),
        Some((20, 0.0))
    );
    assert_eq!(world.skipped("frame_lateness", "lost"), Some(5.0));
    for absent in [
        "worker_audio_underruns_total",
        "worker_inference_rtf",
        "worker_audio_frame_drops_total",
    ] {
        assert_eq!(world.series(absent), 0, "{absent}");
    }
}

#[test]
fn lost_first_text_leaves_latency_and_duration_unknown() {
    let mut world = World::new();
    world.open(stream(1), MethodRole::Synthesize, 0.0);
    world.lose(stream(1), Origin::Client, 1.0);
    let late = message(vec![text(FieldRole::SessionId, "s")]);
    world.say(stream(1), Origin::Client, 80.0, &late);
    world.frames(stream(1), 100.0, 1, 3);
    world.end(stream(1), 200.0, OK);
    assert_eq!(world.series("worker_inference_latency_ms"), 0);
    assert_eq!(world.series("worker_synthesis_duration_ms"), 0);
    assert_eq!(world.skipped("inference_latency", "lost"), Some(1.0));
    assert_eq!(world.skipped("synthesis_duration", "lost"), Some(1.0));
    assert_eq!(
        world.counter("worker_synthesis_requests_total", &[("worker", "w")]),
        Some(1.0)
    );
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(0.0)
    );
}

#[test]
fn lost_first_frames_leave_the_queue_and_no_latency() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.lose(stream(1), Origin::Server, 50.0);
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(0.0)
    );
    world.frames(stream(1), 100.0, 7, 3);
    world.end(stream(1), 200.0, OK);
    assert_eq!(world.series("worker_inference_latency_ms"), 0);
    assert_eq!(world.series("worker_audio_frame_lateness_ms"), 0);
    assert_eq!(
        world.count_and_sum("worker_synthesis_duration_ms", &[("worker", "w")]),
        Some((1, 200.0))
    );
}

#[test]
fn frame_with_unreadable_audio_is_neither_counted_nor_timed() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 2);
    let damaged = Message {
        intact: false,
        ..message(vec![number(FieldRole::FrameDurationMs, 20)])
    };
    world.say(stream(1), Origin::Server, 140.0, &damaged);
    world.frames(stream(1), 160.0, 4, 2);
    world.end(stream(1), 200.0, OK);
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &[("session_id", "s")]),
        Some(4.0)
    );
    assert_eq!(world.skipped("frames", "unreadable"), Some(1.0));
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((2, 0.0))
    );
    assert_eq!(world.series("worker_audio_frame_drops_total"), 0);
}

#[test]
fn effect_of_a_stop_is_unknown_when_frames_after_it_were_lost() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 3);
    world.control("s", STOP, (150.0, 151.0), 1);
    world.lose(stream(1), Origin::Server, 160.0);
    world.end(stream(1), 200.0, OK);
    assert_eq!(world.series("worker_control_effect_ms"), 0);
    assert_eq!(world.skipped("control_effect", "lost"), Some(1.0));
}

#[test]
fn stream_cut_off_with_its_connection_has_no_duration() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 3);
    world.end(stream(1), 150.0, CallEnd::ConnectionClosed);
    assert_eq!(world.series("worker_synthesis_duration_ms"), 0);
    assert_eq!(world.skipped("synthesis_duration", "cut_off"), Some(1.0));
}

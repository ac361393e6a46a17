use super::*;

fn paced_stream(world: &mut World) {
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 20);
}

#[test]
fn pause_in_the_middle_is_no_jitter_no_lateness_and_no_inference() {
    let mut world = World::new();
    paced_stream(&mut world); // last frame at 480 ms
    world.control("s", PAUSE, (485.0, 487.0), 1);
    world.frame(stream(1), 500.0, 21); // was on its way
    world.control("s", RESUME, (1485.0, 1486.0), 1);
    world.frames(stream(1), 1500.0, 22, 10);
    world.end(stream(1), 1700.0, OK);

    // 20 frames before: 19 intervals. The two intervals that touch the pause do not count.
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((19 + 9, 0.0))
    );
    assert_eq!(world.skipped("frame_jitter", "paused"), Some(2.0));
    assert_eq!(
        world.count_and_sum("worker_audio_frame_lateness_ms", &[("worker", "w")]),
        Some((31, 0.0))
    );
    assert_eq!(world.series("worker_audio_underruns_total"), 0);
    for (command, latency, effect) in [("PAUSE", 2.0, 15.0), ("RESUME", 1.0, 15.0)] {
        let labels = [("worker", "w"), ("command", command)];
        assert_eq!(
            world.counter("worker_control_commands_total", &labels),
            Some(1.0)
        );
        assert_eq!(
            world.count_and_sum("worker_control_latency_ms", &labels),
            Some((1, latency))
        );
        assert_eq!(
            world.count_and_sum("worker_control_effect_ms", &labels),
            Some((1, effect))
        );
    }
}

#[test]
fn burst_real_time_factor_leaves_the_pause_out() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    for i in 0..20 {
        world.frame(stream(1), 100.0 + f64::from(i), i64::from(i) + 1);
    }
    world.control("s", PAUSE, (120.0, 120.0), 1);
    world.control("s", RESUME, (1120.0, 1120.0), 1);
    for i in 0..20 {
        world.frame(stream(1), 1121.0 + f64::from(i), i64::from(i) + 21);
    }
    world.end(stream(1), 1200.0, OK);
    // 1140 ms from text to last frame, 1000 of them paused; 800 ms of audio.
    assert_eq!(
        world.count_and_sum("worker_inference_rtf", &[("mode", "burst")]),
        Some((1, 0.175))
    );
}

#[test]
fn stop_takes_effect_with_the_last_frame_of_the_stream() {
    let mut world = World::new();
    paced_stream(&mut world); // last frame at 480 ms
    world.control("s", STOP, (490.0, 491.0), 1);
    world.frame(stream(1), 500.0, 21);
    world.frame(stream(1), 520.0, 22);
    assert_eq!(world.series("worker_control_effect_ms"), 0);
    world.end(stream(1), 530.0, OK);
    assert_eq!(
        world.histogram("worker_control_effect_ms", &[("command", "STOP")]),
        Some(Observed {
            count: 1,
            sum: 30.0,
            buckets: vec![0, 0, 0, 1, 1, 1, 1, 1]
        })
    );
    assert_eq!(world.skipped("frame_lateness", "paused"), Some(2.0));
}

#[test]
fn barge_in_by_pause_then_stop_tells_both_effects() {
    let mut world = World::new();
    paced_stream(&mut world);
    world.control("s", PAUSE, (481.0, 482.0), 1);
    world.frame(stream(1), 500.0, 21);
    world.control("s", STOP, (510.0, 511.0), 1);
    world.end(stream(1), 512.0, CANCELLED);
    assert_eq!(
        world.count_and_sum("worker_control_effect_ms", &[("command", "PAUSE")]),
        Some((1, 19.0))
    );
    assert_eq!(
        world.count_and_sum("worker_control_effect_ms", &[("command", "STOP")]),
        Some((1, 0.0))
    );
}

#[test]
fn frames_missing_across_a_pause_are_dropped_by_it() {
    let mut world = World::new();
    paced_stream(&mut world);
    world.control("s", PAUSE, (485.0, 486.0), 1);
    world.control("s", RESUME, (600.0, 601.0), 1);
    world.frame(stream(1), 610.0, 26);
    assert_eq!(
        world.counter("worker_audio_frame_drops_total", &[("reason", "pause")]),
        Some(5.0)
    );
}

#[test]
fn refused_pause_changes_nothing() {
    let mut world = World::new();
    paced_stream(&mut world);
    world.control("s", PAUSE, (485.0, 486.0), 0);
    world.frames(stream(1), 500.0, 21, 5);
    world.end(stream(1), 600.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((24, 0.0))
    );
    assert_eq!(world.series("worker_control_effect_ms"), 0);
    assert_eq!(
        world.count_and_sum("worker_control_latency_ms", &[("command", "PAUSE")]),
        Some((1, 1.0))
    );
}

#[test]
fn command_for_a_shared_session_takes_effect_with_the_last_of_its_streams() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    for call in [stream(1), stream(3)] {
        world.speak(call, "s", 0.0);
        world.frames(call, 100.0, 1, 5);
    }
    world.speak(stream(5), "other session", 0.0);
    world.frames(stream(5), 100.0, 1, 5);
    world.control("s", STOP, (190.0, 191.0), 1);
    world.frame(stream(1), 200.0, 6);
    world.end(stream(1), 201.0, OK);
    assert_eq!(world.series("worker_control_effect_ms"), 0);
    world.frame(stream(3), 230.0, 6);
    world.frame(stream(5), 260.0, 6);
    world.end(stream(3), 261.0, OK);
    assert_eq!(
        world.count_and_sum("worker_control_effect_ms", &[("command", "STOP")]),
        Some((1, 40.0))
    );
}

#[test]
fn unread_command_makes_the_interval_and_later_deadlines_unknown() {
    let mut world = World::new();
    paced_stream(&mut world);
    let call = CallId {
        stream: 99,
        ..stream(1)
    };
    world.open(call, MethodRole::Control, 481.0);
    world.lose(call, Origin::Client, 481.0);
    world.say(
        call,
        Origin::Server,
        482.0,
        &message(vec![number(FieldRole::Success, 1)]),
    );
    world.end(call, 482.0, OK);
    world.frames(stream(1), 900.0, 21, 2);
    assert_eq!(
        world.counter("worker_control_commands_total", &[("command", "unknown")]),
        Some(1.0)
    );
    assert_eq!(world.series("worker_control_latency_ms"), 0);
    assert_eq!(world.skipped("control_latency", "lost"), Some(1.0));
    assert_eq!(world.skipped("frame_jitter", "unreadable"), Some(1.0));
    assert_eq!(world.skipped("frame_lateness", "lost"), Some(2.0));
    assert_eq!(world.series("worker_audio_underruns_total"), 0);
}

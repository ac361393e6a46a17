use super::*;

const ACTIVE: &str = "worker_sessions_active";
const W: [(&str, &str); 2] = [("worker", "w"), ("adapter_type", "lab")];

#[test]
fn sessions_count_from_their_start_to_their_end() {
    let mut world = World::new();
    assert_eq!(world.gauge(ACTIVE, &W), Some(0.0));
    world.start_session("a", "m", 0.0);
    world.start_session("b", "m", 1.0);
    world.start_session("b", "m", 2.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(2.0));
    world.end_session("a", 3.0);
    world.end_session("a", 4.0);
    world.end_session("never started", 5.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
}

#[test]
fn refused_session_is_none() {
    let mut world = World::new();
    world.unary(
        MethodRole::StartSession,
        (0.0, 1.0),
        vec![text(FieldRole::SessionId, "a")],
        vec![],
    );
    assert_eq!(world.gauge(ACTIVE, &W), Some(0.0));
}

#[test]
fn stream_of_an_unknown_session_counts_until_it_ends_or_the_session_starts() {
    let mut world = World::new();
    world.speak(stream(1), "a", 0.0);
    world.speak(stream(3), "b", 0.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(2.0));
    world.start_session("b", "m", 1.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(2.0));
    world.end(stream(1), 2.0, OK);
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
    world.end(stream(3), 3.0, OK);
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
    world.end_session("b", 4.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(0.0));
}

#[test]
fn sessions_end_with_the_connection_that_started_them() {
    let mut world = World::new();
    let request = |id: &str| vec![text(FieldRole::SessionId, id)];
    let yes = vec![number(FieldRole::Success, 1)];
    for (connection, id) in [(5, "a"), (5, "b"), (6, "c")] {
        world.unary_on(
            connection,
            MethodRole::StartSession,
            (0.0, 0.0),
            request(id),
            yes.clone(),
        );
    }
    world
        .model
        .handle_connection_closed(ConnectionId(5), ms(10.0));
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
    assert_eq!(world.model.workers().next().unwrap().sessions, 1);
}

#[test]
fn shared_session_id_keeps_streams_apart() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    world.speak(stream(3), "s", 0.0);
    // Interleaved, 10 ms apart: each stream by itself is steady.
    for i in 0..20 {
        world.frame(stream(1), 100.0 + 20.0 * f64::from(i), i64::from(i) + 1);
        world.frame(stream(3), 110.0 + 20.0 * f64::from(i), i64::from(i) + 1);
    }
    world.end(stream(1), 600.0, OK);
    world.end(stream(3), 600.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((38, 0.0))
    );
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &[("session_id", "s")]),
        Some(40.0)
    );
    assert_eq!(
        world.counter("worker_synthesis_requests_total", &[("model_id", "m")]),
        Some(2.0)
    );
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
}

#[test]
fn two_processes_of_one_worker_add_up_and_leave_one_by_one() {
    let mut world = World::new();
    world.start_session("a", "m", 0.0);
    world.speak(stream(1), "a", 0.0);
    world.process = process(8, "w");
    world.model.handle_process(&world.process.clone());
    world.start_session("b", "m", 0.0);
    let second = CallId {
        connection: ConnectionId(2),
        stream: 1,
    };
    world.speak(second, "b", 0.0);
    assert_eq!(world.gauge(ACTIVE, &W), Some(2.0));
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(2.0)
    );
    assert_eq!(world.model.workers().next().unwrap().processes, 2);

    world.model.handle_process_ended(Tgid(8), ms(5.0));
    assert_eq!(world.gauge(ACTIVE, &W), Some(1.0));
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(1.0)
    );
    assert_eq!(world.model.streams().count(), 1);
}

#[test]
fn process_killed_mid_stream_takes_every_series_of_its_worker_along() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 10.0, 1, 20);
    world.control("s", PAUSE, (500.0, 501.0), 1);
    assert!(world.families_with("worker", "w").len() >= 8);
    world.model.handle_process_ended(Tgid(7), ms(510.0));
    assert_eq!(world.families_with("worker", "w"), Vec::<String>::new());
    assert_eq!(world.model.streams().count(), 0);
    assert_eq!(world.model.workers().count(), 0);
    // What the dead process' connection still says comes too late.
    world.end(stream(1), 511.0, CallEnd::ConnectionClosed);
    assert_eq!(world.families_with("worker", "w"), Vec::<String>::new());

    world.process = process(9, "w");
    world.model.handle_process(&world.process.clone());
    world.speak(stream(3), "s", 600.0);
    assert_eq!(
        world.counter("worker_synthesis_requests_total", &[("worker", "w")]),
        Some(1.0)
    );
}

#[test]
fn adapter_learned_late_replaces_the_series() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.process.adapter = "cosyvoice2".into();
    world.model.handle_process(&world.process.clone());
    assert_eq!(world.gauge(ACTIVE, &[("adapter_type", "lab")]), None);
    assert_eq!(
        world.gauge(ACTIVE, &[("adapter_type", "cosyvoice2")]),
        Some(1.0)
    );
}

#[test]
fn series_of_a_session_leave_after_it_lingered() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    world.frame(stream(1), 10.0, 1);
    world.end(stream(1), 20.0, OK);
    let frames =
        |world: &World| world.counter("worker_audio_frames_emitted_total", &[("session_id", "s")]);
    world.model.handle_tick(ms(100_000.0));
    assert_eq!(frames(&world), Some(1.0), "the session is open");
    world.end_session("s", 100_000.0);
    world.model.handle_tick(ms(129_999.0));
    assert_eq!(frames(&world), Some(1.0));
    world.model.handle_tick(ms(130_000.0));
    assert_eq!(frames(&world), None);
}

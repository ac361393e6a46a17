use super::*;
use crate::model::{MAX_SESSIONS_PER_WORKER, MAX_STREAMS};

#[test]
fn ten_thousand_sessions_keep_to_the_label_bound_and_leave_no_state() {
    let mut world = World::new();
    for n in 0..10_000_u32 {
        let session = format!("s{n}");
        world.start_session(&session, "m", 0.0);
        world.speak(stream(2 * n + 1), &session, 0.0);
        world.frame(stream(2 * n + 1), 1.0, 1);
    }
    assert_eq!(world.series("worker_audio_frames_emitted_total"), 1001);
    assert_eq!(
        world.counter(
            "worker_audio_frames_emitted_total",
            &[("worker", "w"), ("session_id", "other")]
        ),
        Some(9000.0)
    );
    assert_eq!(
        world.counter(
            "voxprobe_series_overflow_total",
            &[("metric", "worker_audio_frames_emitted_total")]
        ),
        Some(9000.0)
    );
    for n in 0..10_000_u32 {
        world.end(stream(2 * n + 1), 2.0, OK);
        world.end_session(&format!("s{n}"), 2.0);
    }
    world.model.handle_tick(ms(40_000.0));
    assert_eq!(world.series("worker_audio_frames_emitted_total"), 1);
    let worker = world.model.workers().next().unwrap();
    assert_eq!((worker.sessions, worker.streams), (0, 0));
    assert_eq!(
        world.gauge("voxprobe_state_tracked", &[("kind", "session")]),
        Some(0.0)
    );
}

#[test]
fn sessions_one_after_another_take_over_the_labels_of_those_that_ended() {
    let limits = Limits {
        sessions: 2,
        ..Limits::default()
    };
    let mut world = World::with(ModelSettings::default(), limits);
    for n in 0..5_u32 {
        let at = f64::from(n);
        world.speak(stream(2 * n + 1), &format!("s{n}"), at);
        world.frame(stream(2 * n + 1), at, 1);
        world.end(stream(2 * n + 1), at, OK);
    }
    assert_eq!(world.series("worker_audio_frames_emitted_total"), 2);
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &[("session_id", "s4")]),
        Some(1.0)
    );
    assert_eq!(
        world.counter(
            "voxprobe_series_overflow_total",
            &[("metric", "worker_audio_frames_emitted_total")]
        ),
        Some(0.0)
    );
}

#[test]
fn sessions_beyond_the_bound_are_refused_and_counted() {
    let mut world = World::new();
    for n in 0..=MAX_SESSIONS_PER_WORKER {
        world.start_session(&n.to_string(), "m", 0.0);
    }
    assert_eq!(
        world.gauge("worker_sessions_active", &[("worker", "w")]),
        Some(MAX_SESSIONS_PER_WORKER as f64)
    );
    assert_eq!(
        world.counter("voxprobe_state_refused_total", &[("kind", "session")]),
        Some(1.0)
    );
}

#[test]
fn streams_beyond_the_bound_are_not_tracked() {
    let mut world = World::new();
    for n in 0..MAX_STREAMS as u32 + 10 {
        world.open(stream(n), MethodRole::Synthesize, 0.0);
    }
    assert_eq!(world.model.streams().count(), MAX_STREAMS);
    assert_eq!(world.interpreter.counts().refused, 10);
}

#[test]
fn workers_beyond_the_bound_are_refused_and_counted() {
    let limits = Limits {
        workers: 2,
        ..Limits::default()
    };
    let mut world = World::with(ModelSettings::default(), limits);
    for n in 0..3_u32 {
        world
            .model
            .handle_process(&process(100 + n, &format!("x{n}")));
    }
    assert_eq!(world.model.workers().count(), 2);
    assert_eq!(
        world.counter("voxprobe_state_refused_total", &[("kind", "worker")]),
        Some(2.0)
    );
}

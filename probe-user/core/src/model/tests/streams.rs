use super::*;
use crate::model::{Pacing, StreamState};

#[test]
fn paced_utterance_gives_exact_metrics() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 100.0);
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(1.0)
    );
    world.frames(stream(1), 250.0, 1, 49);
    // Frame 50 comes 4 ms late in its rhythm, which the prebuffer covers.
    world.frame(stream(1), 250.0 + 20.0 * 49.0 + 4.0, 50);
    world.final_marker(stream(1), 1300.0);
    world.end(stream(1), 1301.0, OK);

    let labels = [("worker", "w"), ("model_id", "m")];
    assert_eq!(
        world.counter("worker_synthesis_requests_total", &labels),
        Some(1.0)
    );
    assert_eq!(
        world.histogram("worker_synthesis_duration_ms", &labels),
        Some(Observed {
            count: 1,
            sum: 1200.0,
            buckets: vec![0, 0, 0, 0, 1]
        })
    );
    assert_eq!(
        world.histogram("worker_inference_latency_ms", &labels),
        Some(Observed {
            count: 1,
            sum: 150.0,
            buckets: vec![0, 0, 1, 1, 1]
        })
    );
    // 150 ms to the first frame, over 50 frames of 20 ms.
    assert_eq!(
        world.count_and_sum(
            "worker_inference_rtf",
            &[("worker", "w"), ("model_id", "m"), ("mode", "paced")]
        ),
        Some((1, 0.15))
    );
    assert_eq!(
        world.histogram("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some(Observed {
            count: 49,
            sum: 4.0,
            buckets: vec![48, 49, 49, 49, 49]
        })
    );
    assert_eq!(
        world.count_and_sum("worker_audio_frame_lateness_ms", &[("worker", "w")]),
        Some((50, 0.0))
    );
    assert_eq!(
        world.counter(
            "worker_audio_frames_emitted_total",
            &[("worker", "w"), ("session_id", "s")]
        ),
        Some(50.0)
    );
    assert_eq!(
        world.gauge("worker_inference_queue_depth", &[("worker", "w")]),
        Some(0.0)
    );
    for absent in [
        "worker_audio_underruns_total",
        "worker_audio_frame_drops_total",
        "voxprobe_observations_skipped_total",
    ] {
        assert_eq!(world.series(absent), 0, "{absent}");
    }
}

#[test]
fn burst_counts_as_burst_and_is_late_only_when_audio_runs_out() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    // 25 frames 0.5 ms apart: 500 ms of audio, played from 160 ms to 660 ms.
    for i in 0..25 {
        world.frame(stream(1), 100.0 + 0.5 * f64::from(i), i64::from(i) + 1);
    }
    // The next burst comes at 700 ms, 40 ms after the audio ran out.
    for i in 0..25 {
        world.frame(stream(1), 700.0 + 0.5 * f64::from(i), i64::from(i) + 26);
    }
    world.end(stream(1), 720.0, OK);

    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "burst")]),
        Some((49, 48.0 * 19.5 + (588.0 - 20.0)))
    );
    assert_eq!(
        world.histogram("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        None
    );
    assert_eq!(
        world.histogram("worker_audio_frame_lateness_ms", &[("worker", "w")]),
        Some(Observed {
            count: 50,
            sum: 40.0,
            buckets: vec![49, 49, 49, 49, 50, 50, 50, 50, 50]
        })
    );
    assert_eq!(
        world.counter(
            "worker_audio_underruns_total",
            &[("worker", "w"), ("cause", "unknown")]
        ),
        Some(1.0)
    );
    // First text to last frame, over 1 s of audio.
    assert_eq!(
        world.count_and_sum("worker_inference_rtf", &[("mode", "burst")]),
        Some((1, 0.712))
    );
}

#[test]
fn short_stream_is_classified_at_its_end_by_what_it_has() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 50.0, 1, 3);
    assert_eq!(world.series("worker_audio_frame_jitter_ms"), 0);
    world.end(stream(1), 100.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((2, 0.0))
    );
}

#[test]
fn paced_stream_that_fills_the_buffer_first_is_still_paced() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    for sequence in 1..=6 {
        world.frame(stream(1), 50.0, sequence);
    }
    world.frames(stream(1), 70.0, 7, 20);
    world.end(stream(1), 500.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_jitter_ms", &[("pacing", "paced")]),
        Some((25, 100.0))
    );
}

#[test]
fn underrun_moves_later_deadlines() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frame(stream(1), 100.0, 1);
    // Due at 180 ms: 30 ms late. The next is then due at 230 ms, and the next at 250 ms.
    world.frame(stream(1), 210.0, 2);
    world.frame(stream(1), 230.0, 3);
    world.frame(stream(1), 251.0, 4);
    world.end(stream(1), 300.0, OK);
    assert_eq!(
        world.count_and_sum("worker_audio_frame_lateness_ms", &[("worker", "w")]),
        Some((4, 31.0))
    );
    assert_eq!(
        world.counter("worker_audio_underruns_total", &[("worker", "w")]),
        Some(2.0)
    );
}

#[test]
fn gap_in_sequence_is_backpressure_when_the_stream_ends_well() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 50.0, 1, 5);
    world.frame(stream(1), 150.0, 9);
    assert_eq!(world.series("worker_audio_frame_drops_total"), 0);
    world.end(stream(1), 200.0, OK);
    assert_eq!(
        world.counter(
            "worker_audio_frame_drops_total",
            &[("worker", "w"), ("reason", "backpressure")]
        ),
        Some(3.0)
    );
}

#[test]
fn gap_in_sequence_is_an_error_when_the_stream_is_reset() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 50.0, 3, 2);
    world.end(stream(1), 90.0, CANCELLED);
    assert_eq!(
        world.counter("worker_audio_frame_drops_total", &[("reason", "error")]),
        Some(2.0)
    );
    assert_eq!(
        world.count_and_sum("worker_synthesis_duration_ms", &[("model_id", "unknown")]),
        Some((1, 90.0))
    );
    // The audio that the reset cut off had been inferred too: no ratio for a paced stream.
    assert_eq!(world.series("worker_inference_rtf"), 0);
    assert_eq!(world.skipped("inference_rtf", "cut_off"), Some(1.0));
}

#[test]
fn implausible_sequence_number_is_not_a_drop() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frame(stream(1), 50.0, 1);
    world.frame(stream(1), 70.0, i64::MAX);
    world.frame(stream(1), 90.0, i64::MIN);
    world.end(stream(1), 100.0, OK);
    assert_eq!(world.series("worker_audio_frame_drops_total"), 0);
    assert_eq!(world.skipped("frame_drops", "unreadable"), Some(1.0));
}

#[test]
fn single_frame_has_no_pacing_and_the_formula_both_agree_on() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frame(stream(1), 10.0, 1);
    world.end(stream(1), 20.0, OK);
    assert_eq!(
        world.count_and_sum("worker_inference_rtf", &[("mode", "unknown")]),
        Some((1, 0.5))
    );
    assert_eq!(world.series("worker_audio_frame_jitter_ms"), 0);
}

#[test]
fn frame_without_a_duration_is_counted_and_judged_no_further() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    let bare = message(vec![(FieldRole::Audio, Value::Length(1920))]);
    for at in [10.0, 30.0, 50.0] {
        world.say(stream(1), Origin::Server, at, &bare);
    }
    world.end(stream(1), 60.0, OK);
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &[("session_id", "s")]),
        Some(3.0)
    );
    assert_eq!(world.series("worker_audio_frame_jitter_ms"), 0);
    assert_eq!(world.skipped("frame_jitter", "unreadable"), Some(2.0));
    assert_eq!(world.series("worker_inference_rtf"), 0);
}

#[test]
fn client_side_of_a_worker_and_other_roles_change_nothing() {
    let mut world = World::new();
    world.side = Side::Client;
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 10.0, 1, 3);
    world.side = Side::Server;
    world.process.role = Role::Orchestrator;
    world.speak(stream(3), "s", 0.0);
    world.frames(stream(3), 10.0, 1, 3);
    assert_eq!(world.series("worker_synthesis_requests_total"), 0);
    assert_eq!(world.series("worker_audio_frames_emitted_total"), 0);
    assert_eq!(world.model.streams().count(), 0);
}

#[test]
fn view_shows_the_stream_as_it_is() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    let state = |world: &World| world.model.streams().next().map(|view| view.state);
    assert_eq!(state(&world), Some(StreamState::Waiting));
    world.frames(stream(1), 10.0, 1, 16);
    world.frame(stream(1), 333.0, 17);
    let view = world.model.streams().next().unwrap();
    assert_eq!(
        (view.worker, view.session, view.model, view.pacing),
        ("w", Some("s"), Some("m"), Some(Pacing::Paced))
    );
    assert_eq!((view.frames, view.underruns), (17, 0));
    assert_eq!(view.last_interval_ms, Some(23.0));
    assert_eq!(view.jitter_p50_ms, Some(0.0));
    assert_eq!(view.jitter_p95_ms, Some(3.0));
    assert_eq!(view.state, StreamState::Speaking);
    world.control("s", PAUSE, (340.0, 341.0), 1);
    assert_eq!(state(&world), Some(StreamState::Paused));
    let worker = world.model.workers().next().unwrap();
    assert_eq!(
        (worker.name, worker.adapter, worker.sessions, worker.streams),
        ("w", "lab", 1, 1)
    );
}

#[test]
fn frame_after_the_final_one_is_counted_and_judged_no_further() {
    let mut world = World::new();
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 10.0, 1, 2);
    world.final_marker(stream(1), 50.0);
    world.frame(stream(1), 900.0, 3);
    world.end(stream(1), 901.0, OK);
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &[("session_id", "s")]),
        Some(3.0)
    );
    assert_eq!(world.skipped("frame_lateness", "after_end"), Some(1.0));
    assert_eq!(
        world.count_and_sum("worker_synthesis_duration_ms", &[("worker", "w")]),
        Some((1, 50.0))
    );
    assert_eq!(world.series("worker_audio_underruns_total"), 0);
}

#[test]
fn other_settings_hold_from_the_next_frame_on_and_lose_no_stream() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 0.0);
    world.frames(stream(1), 100.0, 1, 20);
    // 15 ms late in its rhythm: below the threshold of 20 ms, above one of 10.
    world.frame(stream(1), 100.0 + 20.0 * 20.0 + 15.0, 21);
    let labels = [("worker", "w"), ("cause", "unknown")];
    assert_eq!(world.counter("voxprobe_late_frames_total", &labels), None);
    world.model.reconfigure(ModelSettings {
        late_threshold_ms: 10,
        ..ModelSettings::default()
    });
    world.frame(stream(1), 100.0 + 20.0 * 20.0 + 15.0 + 20.0 + 15.0, 22);
    assert_eq!(
        world.counter("voxprobe_late_frames_total", &labels),
        Some(1.0)
    );
    let frames = [("worker", "w"), ("session_id", "s")];
    assert_eq!(
        world.counter("worker_audio_frames_emitted_total", &frames),
        Some(22.0)
    );
}

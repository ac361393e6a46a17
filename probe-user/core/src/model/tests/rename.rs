//! Workers that get another name.

use super::*;

const FRAMES: &str = "worker_audio_frames_emitted_total";

#[test]
fn renamed_worker_goes_on_and_counts_under_the_new_name_only() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.speak(stream(1), "s", 10.0);
    world.frames(stream(1), 20.0, 1, 3);
    world.model.handle_renamed("w", "tts-cosy@0", ms(100.0));
    assert_eq!(world.families_with("worker", "w"), Vec::<String>::new());
    let new = [("worker", "tts-cosy@0")];
    assert_eq!(world.gauge("worker_sessions_active", &new), Some(1.0));
    world.frames(stream(1), 80.0, 4, 2);
    let frames = [("worker", "tts-cosy@0"), ("session_id", "s")];
    assert_eq!(world.counter(FRAMES, &frames), Some(2.0));
    assert_eq!(world.series(FRAMES), 1);
    world.end_session("s", 200.0);
    assert_eq!(world.gauge("worker_sessions_active", &new), Some(0.0));
    world.model.handle_process_ended(Tgid(7), ms(300.0));
    let left = world.families_with("worker", "tts-cosy@0");
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn every_process_of_the_worker_is_renamed() {
    let mut world = World::new();
    world.model.handle_process(&process(8, "w"));
    world.model.handle_renamed("w", "new", ms(1.0));
    let workers: Vec<_> = world.model.workers().map(|it| it.processes).collect();
    assert_eq!(workers, [2]);
    world.model.handle_process_ended(Tgid(7), ms(2.0));
    let active = world.gauge("worker_sessions_active", &[("worker", "new")]);
    assert_eq!(active, Some(0.0));
}

#[test]
fn name_of_another_worker_joins_it() {
    let mut world = World::new();
    world.model.handle_process(&process(8, "v"));
    world.model.handle_renamed("w", "v", ms(1.0));
    let workers: Vec<_> = world
        .model
        .workers()
        .map(|it| (it.name.to_owned(), it.processes))
        .collect();
    assert_eq!(workers, [("v".to_owned(), 2)]);
}

#[test]
fn name_that_nobody_has_changes_nothing() {
    let mut world = World::new();
    world.model.handle_renamed("x", "y", ms(1.0));
    world.model.handle_renamed("w", "", ms(1.0));
    world.model.handle_renamed("w", "w", ms(1.0));
    let active = world.gauge("worker_sessions_active", &[("worker", "w")]);
    assert_eq!(active, Some(0.0));
}

//! Loads that only the weights files tell.

use super::*;
use crate::record::{FileChange, FileEvent, FileId};

const LOADS: &str = "worker_model_manager_loads_total";
const DURATION: &str = "worker_model_manager_load_duration_ms";
const WARMUP: &str = "worker_model_manager_warmup_duration_ms";
const RESIDENT: &str = "worker_model_manager_resident_count";
const UNLOADS: &str = "worker_model_manager_unloads_total";
const MIB: u64 = 1024 * 1024;
const RELOAD: i64 = 3;

impl World {
    fn file_of(&mut self, tgid: u32, file: u64, at: f64, change: FileChange) {
        self.model.handle_file(&FileEvent {
            file: FileId(file),
            tgid: Tgid(tgid),
            at: ms(at),
            change,
        });
    }

    fn file(&mut self, file: u64, at: f64, change: FileChange) {
        self.file_of(7, file, at, change);
    }

    fn open_file(&mut self, file: u64, model: &str, path: u32, at: f64) {
        let model = model.to_owned();
        self.file(file, at, FileChange::Opened { model, path });
    }

    fn read_file(&mut self, file: u64, bytes: u64, at: f64) {
        self.file(file, at, FileChange::Read { bytes });
    }

    /// One weights file from its open to its close, read in the middle and at 10 ms before the end.
    fn load_file(&mut self, file: u64, model: &str, path: u32, (from, to): (f64, f64)) {
        self.open_file(file, model, path, from);
        self.read_file(file, 2 * MIB, f64::midpoint(from, to));
        self.read_file(file, MIB, to - 10.0);
        self.file(file, to, FileChange::Closed);
    }

    fn tick(&mut self, at: f64) {
        self.model.handle_tick(ms(at));
    }

    fn loads(&self, model: &str) -> Option<f64> {
        self.counter(LOADS, &[("worker", "w"), ("model_id", model)])
    }

    fn durations(&self, model: &str) -> Option<(u64, f64)> {
        self.count_and_sum(DURATION, &[("model_id", model)])
    }

    fn resident(&self) -> Option<f64> {
        self.gauge(RESIDENT, &[("worker", "w")])
    }

    fn list(&mut self, models: &[&str], at: f64) {
        let resident = models
            .iter()
            .map(|m| text(FieldRole::ResidentModel, m))
            .collect();
        self.unary(MethodRole::GetCapabilities, (at, at), vec![], resident);
    }

    /// A request that names a model, without its answer.
    fn ask(&mut self, call: CallId, method: MethodRole, model: &str, at: f64) {
        self.open(call, method, at);
        let fields = vec![
            text(FieldRole::SessionId, "s"),
            text(FieldRole::ModelId, model),
        ];
        self.say(call, Origin::Client, at, &message(fields));
    }

    fn answer(&mut self, call: CallId, at: f64, fields: Vec<(FieldRole, Value)>) {
        self.say(call, Origin::Server, at, &message(fields));
        self.end(call, at, OK);
    }
}

fn success() -> (FieldRole, Value) {
    number(FieldRole::Success, 1)
}

#[test]
fn load_goes_from_the_first_open_to_the_last_read_of_all_its_files() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (1000.0, 1500.0));
    world.load_file(2, "m", 2, (2500.0, 4010.0));
    world.tick(5900.0);
    assert_eq!(world.loads("m"), None, "shards may follow");
    world.tick(6100.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.durations("m"), Some((1, 3000.0)));
    assert_eq!(world.resident(), Some(1.0));
    assert_eq!(world.series(WARMUP), 0, "nobody waited for it");
    world.tick(60_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
}

#[test]
fn two_models_at_once_are_two_loads() {
    let mut world = World::new();
    world.open_file(1, "a", 1, 0.0);
    world.open_file(2, "b", 2, 10.0);
    world.read_file(1, 4 * MIB, 100.0);
    world.read_file(2, 4 * MIB, 200.0);
    world.tick(5000.0);
    assert_eq!(world.durations("a"), Some((1, 100.0)));
    assert_eq!(world.durations("b"), Some((1, 190.0)));
    assert_eq!(world.resident(), Some(2.0));
}

#[test]
fn look_at_a_header_is_no_load() {
    let mut world = World::new();
    world.open_file(1, "m", 1, 0.0);
    world.read_file(1, 100_000, 1.0);
    world.file(1, 2.0, FileChange::Closed);
    world.tick(5000.0);
    assert_eq!(world.series(LOADS), 0);
    assert_eq!(world.resident(), None);
}

#[test]
fn load_that_pauses_after_its_header_begins_with_the_open() {
    let mut world = World::new();
    world.open_file(1, "m", 1, 0.0);
    world.read_file(1, 1000, 1.0);
    world.tick(4000.0);
    world.read_file(1, 8 * MIB, 5000.0);
    world.tick(8000.0);
    assert_eq!(world.durations("m"), Some((1, 5000.0)));
}

#[test]
fn mapped_file_is_read_until_it_is_unmapped() {
    let mut world = World::new();
    world.open_file(1, "m", 1, 0.0);
    world.file(1, 1.0, FileChange::Mapped { bytes: 8 * MIB });
    world.file(1, 2.0, FileChange::Closed);
    world.tick(5000.0);
    assert_eq!(world.loads("m"), None, "pages may still come in");
    world.file(1, 6000.0, FileChange::Unmapped);
    world.tick(8100.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.durations("m"), Some((1, 6000.0)));
}

#[test]
fn mapping_that_stays_ends_the_load_with_the_last_call_seen() {
    let mut world = World::new();
    world.open_file(1, "m", 1, 0.0);
    world.file(1, 3.0, FileChange::Mapped { bytes: 8 * MIB });
    world.file(1, 4.0, FileChange::Closed);
    world.tick(9000.0);
    assert_eq!(world.loads("m"), None);
    world.tick(10_100.0);
    assert_eq!(world.durations("m"), Some((1, 3.0)));
}

#[test]
fn session_that_loads_its_model_tells_the_end_and_the_warm_up() {
    let mut world = World::new();
    let call = stream(101);
    world.ask(call, MethodRole::StartSession, "m", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.tick(4000.0);
    assert_eq!(world.loads("m"), None, "the session is not answered yet");
    world.answer(call, 5100.0, vec![success()]);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.durations("m"), Some((1, 1000.0)));
    let warmup = world.count_and_sum(WARMUP, &[("model_id", "m")]);
    assert_eq!(warmup, Some((1, 4000.0)));
    world.speak(stream(1), "s", 6000.0);
    world.frame(stream(1), 6100.0, 1);
    world.tick(60_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.series(WARMUP), 1);
}

#[test]
fn answer_while_files_stay_open_counts_once_nothing_is_read_any_more() {
    let mut world = World::new();
    let call = stream(101);
    world.ask(call, MethodRole::StartSession, "m", 0.0);
    world.open_file(1, "m", 1, 100.0);
    world.read_file(1, 8 * MIB, 600.0);
    world.answer(call, 700.0, vec![success()]);
    assert_eq!(world.loads("m"), None, "it may be answered before the end");
    world.tick(3000.0);
    assert_eq!(world.durations("m"), Some((1, 500.0)));
    let warmup = world.count_and_sum(WARMUP, &[("model_id", "m")]);
    assert_eq!(warmup, Some((1, 100.0)));
}

#[test]
fn answer_before_the_end_of_the_load_is_no_warm_up() {
    let mut world = World::new();
    let call = stream(101);
    world.ask(call, MethodRole::StartSession, "m", 0.0);
    world.open_file(1, "m", 1, 100.0);
    world.read_file(1, 8 * MIB, 600.0);
    world.answer(call, 700.0, vec![success()]);
    world.read_file(1, 8 * MIB, 1100.0);
    world.speak(stream(1), "s", 800.0);
    world.file(1, 1100.0, FileChange::Closed);
    world.frame(stream(1), 1400.0, 1);
    assert_eq!(world.durations("m"), Some((1, 1000.0)));
    let warmup = world.count_and_sum(WARMUP, &[("model_id", "m")]);
    assert_eq!(warmup, Some((1, 300.0)), "the first frame is the answer");
}

#[test]
fn request_after_the_load_says_nothing_about_its_warm_up() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (0.0, 1010.0));
    world.tick(4000.0);
    world.start_session("s", "m", 60_000.0);
    world.speak(stream(1), "s", 60_001.0);
    world.frame(stream(1), 60_100.0, 1);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.series(WARMUP), 0);
}

#[test]
fn load_model_claims_its_files_and_its_own_figure_wins() {
    let mut world = World::new();
    let call = stream(101);
    world.ask(call, MethodRole::LoadModel, "m", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.tick(9000.0);
    let said = number(FieldRole::LoadDurationMs, 1200);
    world.answer(call, 9200.0, vec![success(), said]);
    world.tick(60_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.durations("m"), Some((1, 1200.0)));
    let warmup = world.count_and_sum(WARMUP, &[("model_id", "m")]);
    assert_eq!(
        warmup,
        Some((1, 7900.0)),
        "its own duration from the first open"
    );
    assert_eq!(world.resident(), Some(1.0));
}

#[test]
fn load_model_without_a_figure_takes_what_its_files_tell() {
    let mut world = World::new();
    let call = stream(101);
    world.ask(call, MethodRole::LoadModel, "m", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.answer(call, 1500.0, vec![success()]);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.durations("m"), Some((1, 1000.0)));
    let warmup = world.count_and_sum(WARMUP, &[("model_id", "m")]);
    assert_eq!(warmup, Some((1, 400.0)));
}

#[test]
fn load_model_of_a_model_that_is_there_loads_nothing() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (0.0, 1010.0));
    world.tick(4000.0);
    world.ask(stream(101), MethodRole::LoadModel, "m", 5000.0);
    world.answer(stream(101), 5001.0, vec![success()]);
    assert_eq!(world.loads("m"), Some(1.0));
    world.ask(stream(103), MethodRole::LoadModel, "other", 6000.0);
    world.answer(stream(103), 6100.0, vec![success()]);
    assert_eq!(world.loads("other"), Some(1.0), "of it files tell nothing");
}

#[test]
fn load_of_an_unreadable_name_is_the_only_one_its_files_tell() {
    let mut world = World::new();
    world.ask(stream(101), MethodRole::LoadModel, "", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.answer(stream(101), 1500.0, vec![success()]);
    world.tick(60_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.loads("unknown"), None);
}

#[test]
fn request_that_failed_leaves_the_load_to_its_files() {
    let mut world = World::new();
    world.ask(stream(101), MethodRole::StartSession, "m", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.answer(stream(101), 1200.0, vec![]);
    world.tick(4000.0);
    assert_eq!(world.durations("m"), Some((1, 1000.0)));
    assert_eq!(world.series(WARMUP), 0);
}

#[test]
fn late_part_of_a_load_and_a_look_at_its_files_are_no_loads() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (0.0, 1010.0));
    world.tick(5000.0);
    world.load_file(2, "m", 2, (6000.0, 7010.0));
    world.tick(10_000.0);
    world.open_file(3, "m", 1, 20_000.0);
    world.read_file(3, 2 * MIB, 20_100.0);
    world.file(3, 20_101.0, FileChange::Closed);
    world.tick(30_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.series(UNLOADS), 0);
}

#[test]
fn files_that_are_read_again_in_full_tell_an_eviction_that_nobody_saw() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (0.0, 1010.0));
    world.tick(5000.0);
    world.load_file(2, "m", 1, (60_000.0, 60_510.0));
    world.tick(70_000.0);
    assert_eq!(world.loads("m"), Some(2.0));
    assert_eq!(world.durations("m"), Some((2, 1500.0)));
    let unknown = [("model_id", "m"), ("reason", "unknown")];
    assert_eq!(world.counter(UNLOADS, &unknown), Some(1.0));
    assert_eq!(world.resident(), Some(1.0));
}

#[test]
fn model_that_is_loaded_again_by_a_reload_left_by_hand() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    world.load_file(1, "m", 1, (100.0, 1110.0));
    world.tick(5000.0);
    world.load_file(2, "m", 1, (60_000.0, 60_510.0));
    world.control("s", RELOAD, (59_999.0, 60_512.0), 1);
    world.tick(70_000.0);
    let by_hand = [("model_id", "m"), ("reason", "manual")];
    assert_eq!(world.counter(UNLOADS, &by_hand), Some(1.0));
    assert_eq!(world.series(UNLOADS), 1);
    assert_eq!(world.loads("m"), Some(2.0));
}

#[test]
fn file_that_is_read_on_is_not_loaded_again() {
    let mut world = World::new();
    world.open_file(1, "m", 1, 0.0);
    world.read_file(1, 4 * MIB, 100.0);
    world.tick(3000.0);
    world.read_file(1, 4 * MIB, 9000.0);
    world.tick(20_000.0);
    assert_eq!(world.loads("m"), Some(1.0));
    assert_eq!(world.series(UNLOADS), 0);
}

#[test]
fn unloaded_model_that_is_loaded_again_is_unloaded_once() {
    let mut world = World::new();
    world.load_file(1, "m", 1, (0.0, 1010.0));
    world.tick(5000.0);
    world.unary(
        MethodRole::UnloadModel,
        (6000.0, 6001.0),
        vec![text(FieldRole::ModelId, "m")],
        vec![success()],
    );
    assert_eq!(world.resident(), Some(0.0));
    world.load_file(2, "m", 1, (7000.0, 7510.0));
    world.tick(10_000.0);
    assert_eq!(world.loads("m"), Some(2.0));
    assert_eq!(world.series(UNLOADS), 1);
    let manual = [("model_id", "m"), ("reason", "manual")];
    assert_eq!(world.counter(UNLOADS, &manual), Some(1.0));
}

#[test]
fn model_that_makes_room_for_a_load_is_evicted_for_room_and_else_by_age() {
    let settings = ModelSettings {
        resident_cap: Some(2),
        ..ModelSettings::default()
    };
    let mut world = World::with(settings, Limits::default());
    world.list(&["a", "b"], 0.0);
    world.load_file(1, "c", 1, (1000.0, 2000.0));
    world.tick(5000.0);
    assert_eq!(world.resident(), Some(3.0));
    world.list(&["b", "c"], 6000.0);
    let room = [("model_id", "a"), ("reason", "lru_eviction")];
    assert_eq!(world.counter(UNLOADS, &room), Some(1.0));
    world.list(&["c"], 7000.0);
    let age = [("model_id", "b"), ("reason", "ttl_eviction")];
    assert_eq!(world.counter(UNLOADS, &age), Some(1.0));
    assert_eq!(world.resident(), Some(1.0));
}

#[test]
fn weights_that_nobody_names_are_not_evicted() {
    let mut world = World::new();
    world.load_file(1, "vocoder", 1, (0.0, 1000.0));
    world.tick(5000.0);
    world.list(&["m"], 6000.0);
    assert_eq!(world.series(UNLOADS), 0);
    assert_eq!(world.resident(), Some(1.0), "what the worker says counts");
    assert_eq!(world.loads("vocoder"), Some(1.0));
}

#[test]
fn helpers_models_are_held_by_the_process_that_lists_them() {
    let mut world = World::new();
    world.model.handle_process(&process(8, "w"));
    world.open_file(1, "a", 1, 0.0);
    let opened = FileChange::Opened {
        model: "b".to_owned(),
        path: 2,
    };
    world.file_of(8, 2, 0.0, opened);
    world.read_file(1, 4 * MIB, 100.0);
    world.file_of(8, 2, 100.0, FileChange::Read { bytes: 4 * MIB });
    world.tick(5000.0);
    assert_eq!(world.resident(), Some(2.0));
    world.list(&["a", "b"], 6000.0);
    assert_eq!(world.resident(), Some(2.0), "each is there once");
    world.list(&["a"], 7000.0);
    assert_eq!(world.resident(), Some(1.0));
}

#[test]
fn loads_of_a_process_end_with_it() {
    let mut world = World::new();
    world.model.handle_process(&process(8, "w"));
    world.load_file(1, "m", 1, (0.0, 1000.0));
    world.model.handle_process_ended(Tgid(7), ms(1500.0));
    world.tick(5000.0);
    assert_eq!(world.series(LOADS), 0);
    world.read_file(1, MIB, 6000.0);
    assert_eq!(world.series(RESIDENT), 0);
}

#[test]
fn files_beyond_the_bounds_are_refused_and_counted() {
    let mut world = World::new();
    for file in 0..5000_u32 {
        world.open_file(u64::from(file), "m", file, 0.0);
    }
    let refused = world.counter("voxprobe_state_refused_total", &[("kind", "file")]);
    assert_eq!(refused, Some(5000.0 - 4096.0));
    let mut world = World::new();
    for file in 0..300_u32 {
        world.open_file(u64::from(file), &format!("m{file}"), file, 0.0);
    }
    let refused = world.counter("voxprobe_state_refused_total", &[("kind", "model")]);
    assert_eq!(refused, Some(300.0 - 256.0));
}

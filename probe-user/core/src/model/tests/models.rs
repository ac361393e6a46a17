use super::*;

const RESIDENT: &str = "worker_model_manager_resident_count";
const UNLOADS: &str = "worker_model_manager_unloads_total";

fn load(world: &mut World, model: &str, at: (f64, f64), said_ms: i64) {
    world.unary(
        MethodRole::LoadModel,
        at,
        vec![text(FieldRole::ModelId, model)],
        vec![
            number(FieldRole::Success, 1),
            number(FieldRole::LoadDurationMs, said_ms),
        ],
    );
}

fn list(world: &mut World, models: &[&str]) {
    let resident = models
        .iter()
        .map(|m| text(FieldRole::ResidentModel, m))
        .collect();
    world.unary(MethodRole::GetCapabilities, (0.0, 0.0), vec![], resident);
}

#[test]
fn load_takes_the_workers_own_figure_and_the_rest_is_warm_up() {
    let mut world = World::new();
    load(&mut world, "m", (0.0, 2150.0), 2000);
    let labels = [("worker", "w"), ("model_id", "m")];
    assert_eq!(
        world.counter("worker_model_manager_loads_total", &labels),
        Some(1.0)
    );
    assert_eq!(
        world.histogram("worker_model_manager_load_duration_ms", &labels),
        Some(Observed {
            count: 1,
            sum: 2000.0,
            buckets: vec![0, 1, 1, 1]
        })
    );
    assert_eq!(
        world.histogram("worker_model_manager_warmup_duration_ms", &labels),
        Some(Observed {
            count: 1,
            sum: 150.0,
            buckets: vec![0, 1, 1, 1]
        })
    );
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(1.0));
}

#[test]
fn load_without_a_figure_takes_the_calls_time_and_has_no_warm_up() {
    let mut world = World::new();
    load(&mut world, "m", (0.0, 300.0), 0);
    assert_eq!(
        world.count_and_sum(
            "worker_model_manager_load_duration_ms",
            &[("model_id", "m")]
        ),
        Some((1, 300.0))
    );
    assert_eq!(world.series("worker_model_manager_warmup_duration_ms"), 0);
}

#[test]
fn resident_count_is_absent_until_something_is_said() {
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), None);
    list(&mut world, &["a", "b"]);
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(2.0));
    load(&mut world, "c", (0.0, 1.0), 1);
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(3.0));
    world.unary(
        MethodRole::UnloadModel,
        (0.0, 1.0),
        vec![text(FieldRole::ModelId, "a")],
        vec![number(FieldRole::Success, 1)],
    );
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(2.0));
    assert_eq!(
        world.counter(UNLOADS, &[("model_id", "a"), ("reason", "manual")]),
        Some(1.0)
    );
}

#[test]
fn load_of_an_unreadable_model_makes_the_count_unknown_until_the_next_list() {
    let mut world = World::new();
    list(&mut world, &["a"]);
    world.unary(
        MethodRole::LoadModel,
        (0.0, 1.0),
        vec![],
        vec![number(FieldRole::Success, 1)],
    );
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), None);
    list(&mut world, &["a", "b"]);
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(2.0));
}

#[test]
fn vanished_model_is_evicted_by_room_or_by_age_as_the_cap_tells() {
    let settings = ModelSettings {
        resident_cap: Some(2),
        ..ModelSettings::default()
    };
    let mut world = World::with(settings, Limits::default());
    list(&mut world, &["a", "b"]);
    list(&mut world, &["b", "c"]);
    assert_eq!(
        world.counter(UNLOADS, &[("model_id", "a"), ("reason", "lru_eviction")]),
        Some(1.0)
    );
    list(&mut world, &["c"]);
    assert_eq!(
        world.counter(UNLOADS, &[("model_id", "b"), ("reason", "ttl_eviction")]),
        Some(1.0)
    );
}

#[test]
fn vanished_model_without_a_known_cap_is_evicted_for_an_unknown_reason() {
    let mut world = World::new();
    list(&mut world, &["a"]);
    list(&mut world, &[]);
    assert_eq!(
        world.counter(UNLOADS, &[("model_id", "a"), ("reason", "unknown")]),
        Some(1.0)
    );
    assert_eq!(world.gauge(RESIDENT, &[("worker", "w")]), Some(0.0));
}

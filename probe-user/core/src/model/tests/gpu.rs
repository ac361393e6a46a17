use super::*;
use crate::record::{Gpu, GpuProcess, GpuReadings, GpuSample, GpuState, NvmlCall, NvmlState};

fn gpu(id: &str) -> Gpu {
    Gpu {
        id: id.into(),
        uuid: format!("GPU-{id}"),
        name: "Lab".into(),
        readings: GpuReadings {
            memory_total_bytes: Some(80),
            memory_used_bytes: Some(50),
            utilization_percent: Some(40),
            memory_utilization_percent: Some(25),
            temperature_celsius: Some(60),
            power_watts: Some(300.5),
            throttle_reasons: Some(0x4 | 0x40),
            ecc_corrected: Some(3),
            ..GpuReadings::default()
        },
        ..Gpu::default()
    }
}

fn uses(tgid: u32, memory_bytes: Option<u64>, sm_percent: Option<u32>) -> GpuProcess {
    GpuProcess {
        pid: tgid,
        watched: Some(Tgid(tgid)),
        memory_bytes,
        sm_percent,
    }
}

fn sample(gpus: Vec<Gpu>) -> GpuSample {
    GpuSample {
        at: ms(1.0),
        nvml: NvmlState::Active {
            driver: "580.1".into(),
        },
        gpus,
        calls: [(
            "nvmlDeviceGetMemoryInfo".to_owned(),
            NvmlCall {
                count: 4,
                failures: 1,
                timeouts: 0,
                seconds: 0.25,
            },
        )]
        .into(),
    }
}

#[test]
fn readings_join_the_processes_of_a_worker() {
    let mut world = World::new();
    world.model.handle_process(&process(8, "w"));
    let mut card = gpu("0");
    card.processes = vec![
        uses(7, Some(10), Some(15)),
        uses(8, Some(20), None),
        uses(999, Some(5), Some(5)),
    ];
    world.model.handle_gpus(&sample(vec![card]));
    let pair = [("worker", "w"), ("gpu_id", "0")];
    assert_eq!(
        world.gauge("worker_gpu_memory_used_bytes", &pair),
        Some(30.0)
    );
    assert_eq!(world.series("worker_gpu_memory_used_bytes"), 1);
    assert_eq!(
        world.gauge("worker_gpu_utilization_percent", &pair),
        Some(40.0)
    );
    assert_eq!(
        world.gauge("voxprobe_gpu_process_sm_ratio", &pair),
        Some(0.15)
    );
    for (name, value) in [
        ("worker_gpu_memory_total_bytes", 80.0),
        ("worker_gpu_temperature_celsius", 60.0),
        ("worker_gpu_power_watts", 300.5),
        ("voxprobe_gpu_memory_used_bytes", 50.0),
        ("voxprobe_gpu_memory_utilization_ratio", 0.25),
        ("voxprobe_gpu_utilization_ratio", 0.4),
        ("voxprobe_gpu_info", 1.0),
    ] {
        assert_eq!(world.gauge(name, &[("gpu_id", "0")]), Some(value), "{name}");
    }
    for (reason, value) in [
        ("sw_power_cap", 1.0),
        ("hw_thermal_slowdown", 1.0),
        ("hw_slowdown", 0.0),
    ] {
        assert_eq!(
            world.gauge("voxprobe_gpu_throttle_reason", &[("reason", reason)]),
            Some(value)
        );
    }
    assert_eq!(
        world.counter("voxprobe_gpu_ecc_errors_total", &[("type", "corrected")]),
        Some(3.0)
    );
    assert_eq!(world.series("voxprobe_gpu_ecc_errors_total"), 1);
    assert_eq!(world.series("voxprobe_gpu_power_limit_watts"), 0);
    assert_eq!(
        world.gauge("voxprobe_nvml_info", &[("driver_version", "580.1")]),
        Some(1.0)
    );
    assert_eq!(
        world.counter("voxprobe_nvml_call_seconds_total", &[]),
        Some(0.25)
    );
}

#[test]
fn memory_of_a_worker_is_absent_when_one_process_is_unknown() {
    let mut world = World::new();
    let mut card = gpu("0");
    card.processes = vec![uses(7, Some(10), None), uses(7, None, None)];
    world.model.handle_gpus(&sample(vec![card]));
    assert_eq!(world.series("worker_gpu_memory_used_bytes"), 0);
    assert_eq!(world.series("voxprobe_gpu_process_sm_ratio"), 0);
    assert_eq!(world.series("worker_gpu_utilization_percent"), 1);
}

#[test]
fn lost_gpu_leaves_its_readings_at_once_and_shows_its_state() {
    let mut world = World::new();
    let mut card = gpu("0");
    card.processes = vec![uses(7, Some(10), Some(1))];
    card.xids = [(79, 1)].into();
    world
        .model
        .handle_gpus(&sample(vec![card.clone(), gpu("1")]));
    assert_eq!(world.series("worker_gpu_temperature_celsius"), 2);
    card.state = GpuState::Lost;
    world
        .model
        .handle_gpus(&sample(vec![card.clone(), gpu("1")]));
    assert_eq!(world.series("worker_gpu_temperature_celsius"), 1);
    assert_eq!(world.series("worker_gpu_memory_used_bytes"), 0);
    let state = |world: &World, state| {
        world.gauge("voxprobe_gpu_state", &[("gpu_id", "0"), ("state", state)])
    };
    assert_eq!(state(&world, "lost"), Some(1.0));
    assert_eq!(state(&world, "ok"), Some(0.0));
    assert_eq!(
        world.counter("voxprobe_gpu_xid_errors_total", &[("xid", "79")]),
        Some(1.0)
    );
    card.state = GpuState::Ok;
    world.model.handle_gpus(&sample(vec![card]));
    assert_eq!(state(&world, "ok"), Some(1.0));
    assert_eq!(
        world.gauge("worker_gpu_temperature_celsius", &[("gpu_id", "0")]),
        Some(60.0)
    );
}

#[test]
fn gone_worker_leaves_the_gpu_series() {
    let mut world = World::new();
    let mut card = gpu("0");
    card.processes = vec![uses(7, Some(10), Some(1))];
    world.model.handle_gpus(&sample(vec![card]));
    world.model.handle_process_ended(Tgid(7), ms(2.0));
    assert_eq!(world.families_with("worker", "w"), Vec::<String>::new());
    assert_eq!(world.series("worker_gpu_temperature_celsius"), 1);
}

#[test]
fn counters_of_nvml_follow_its_totals_and_survive_a_reset() {
    let mut world = World::new();
    let mut card = gpu("0");
    for (total, shown) in [(3, 3.0), (5, 5.0), (2, 2.0)] {
        card.readings.ecc_corrected = Some(total);
        world.model.handle_gpus(&sample(vec![card.clone()]));
        assert_eq!(
            world.counter("voxprobe_gpu_ecc_errors_total", &[("gpu_id", "0")]),
            Some(shown)
        );
    }
}

#[test]
fn nvml_that_is_unavailable_says_so_and_shows_no_gpu() {
    let mut world = World::new();
    world.model.handle_gpus(&sample(vec![gpu("0")]));
    world.model.handle_gpus(&GpuSample {
        nvml: NvmlState::Unavailable("no driver".into()),
        ..GpuSample::default()
    });
    assert_eq!(
        world.gauge("voxprobe_nvml_state", &[("state", "unavailable")]),
        Some(1.0)
    );
    assert_eq!(
        world.gauge("voxprobe_nvml_state", &[("state", "active")]),
        Some(0.0)
    );
    assert_eq!(world.families_with("gpu_id", "0"), Vec::<String>::new());
    assert_eq!(world.series("voxprobe_nvml_info"), 0);
}

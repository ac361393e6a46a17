//! GPUs that are lost, vanish, or hang.

use std::time::{Duration, Instant};

use probe_core::record::{GpuReadings, GpuSample, GpuState, NvmlState};

use crate::fake::{
    CALL_TIMEOUT, Fake, INTERVAL, all_well, fault, gpu, is_failing, state, two_gpus,
};

#[test]
fn lost_gpu_has_no_readings_and_comes_back() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    fake.play(&two_gpus("", "lost = [{}]", ""));
    let sample = sampler.until(|sample| state(sample, "1") == GpuState::Lost);
    assert_eq!(gpu(&sample, "1").uuid, "GPU-1");
    assert_eq!(gpu(&sample, "1").readings, GpuReadings::default());
    assert_eq!(gpu(&sample, "0").readings.temperature_celsius, Some(50));
    // While it is lost, NVML is initialised anew now and then.
    sampler.until(|sample| sample.calls["nvmlInit_v2"].count >= 2);
    fake.play(&all_well());
    let sample = sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    assert_eq!(gpu(&sample, "1").readings.temperature_celsius, Some(51));
}

#[test]
fn gpu_lost_in_the_middle_of_its_readings_is_lost() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    fake.play(&two_gpus(
        "",
        "",
        &fault("nvmlDeviceGetPowerUsage", 1, "error = 15"),
    ));
    let sample = sampler.until(|sample| state(sample, "1") == GpuState::Lost);
    assert_eq!(gpu(&sample, "1").readings, GpuReadings::default());
}

#[test]
fn gpu_that_disappears_has_vanished_and_comes_back() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    fake.play(&two_gpus("", "absent = [{}]", ""));
    let sample = sampler.until(|sample| state(sample, "1") == GpuState::Vanished);
    assert_eq!(gpu(&sample, "1").readings, GpuReadings::default());
    assert_eq!(gpu(&sample, "0").state, GpuState::Ok);
    fake.play(&all_well());
    sampler.until(|sample| state(sample, "1") == GpuState::Ok);
}

#[test]
fn hang_on_one_gpu_leaves_the_other_fresh_and_ends_by_itself() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    fake.play(&two_gpus(
        "",
        "",
        &fault("nvmlDeviceGetTemperature", 1, "hang_ms = 1500"),
    ));
    let mut before = sampler.next();
    let first = sampler.until(|sample| is_failing(sample, "1"));
    fake.play(&two_gpus("", "", ""));
    let call = "nvmlDeviceGetTemperature";
    assert_eq!(first.calls[call].timeouts, 1);
    let GpuState::Failing(reason) = state(&first, "1") else {
        panic!("it fails");
    };
    assert!(
        reason.starts_with("nvmlDeviceGetTemperature has not returned for 0."),
        "{reason}"
    );
    assert_eq!(gpu(&first, "1").readings, GpuReadings::default());
    let hanging = sampler.during(Duration::from_millis(800));
    assert!(hanging.len() >= 10, "{} samples", hanging.len());
    for sample in std::iter::once(first).chain(hanging) {
        let gap = Duration::from_nanos(sample.at.since(before.at));
        // Generous for a machine with other work; a round without a bound would take 1.5 s.
        assert!(gap < CALL_TIMEOUT + Duration::from_millis(500), "{gap:?}");
        assert!(is_failing(&sample, "1"));
        assert_eq!(gpu(&sample, "0").state, GpuState::Ok);
        assert_eq!(gpu(&sample, "0").readings.temperature_celsius, Some(50));
        assert!(matches!(sample.nvml, NvmlState::Active { .. }));
        before = sample;
    }
    let sample = sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    assert_eq!(gpu(&sample, "1").readings.temperature_celsius, Some(51));
    assert_eq!(sample.calls[call].timeouts, 1);
    assert!(sample.calls[call].seconds >= 1.5);
}

#[test]
fn gpu_that_hangs_is_not_asked_again_before_its_call_returns() {
    let hang = fault("nvmlDeviceGetPowerUsage", 0, "hang_ms = 3000");
    let sampler = Fake::new(&two_gpus("", "", &hang)).sample();
    sampler.until(|sample| is_failing(sample, "0"));
    let rounds = sampler.during(Duration::from_millis(800));
    let last = rounds.last().unwrap();
    let call = |name: &str| last.calls[name];
    // GPU 0 was asked for its temperature once, then for its power once; GPU 1 for both each round.
    let others = call("nvmlDeviceGetTemperature").count;
    assert!(others >= 10, "{others}");
    assert_eq!(call("nvmlDeviceGetPowerUsage").timeouts, 1);
    assert_eq!(call("nvmlDeviceGetPowerUsage").count, others);
    assert_eq!(gpu(last, "1").readings.power_watts, Some(101.0));
}

#[test]
fn gpu_that_hangs_again_and_again_is_asked_less_and_less() {
    let hang = fault("nvmlDeviceGetTemperature", 1, "hang_ms = 150");
    let sampler = Fake::new(&two_gpus("", "", &hang)).sample();
    let resting = |sample: &GpuSample| match state(sample, "1") {
        GpuState::Failing(reason) => reason.contains("again and again"),
        _ => false,
    };
    sampler.until(resting);
    let timeouts = |sample: &GpuSample| sample.calls["nvmlDeviceGetTemperature"].timeouts;
    let mut reached = Vec::new();
    for wanted in [2, 6] {
        reached.push(sampler.until(|sample| timeouts(sample) >= wanted).at);
    }
    // Four more hangs of 150 ms with rests of 2, 4, 8 and 16 intervals between them.
    let least = 4 * Duration::from_millis(150) + 30 * INTERVAL;
    let took = Duration::from_nanos(reached[1].since(reached[0]));
    assert!(took >= least.mul_f64(0.8), "{took:?}");
}

#[test]
fn two_gpus_that_hang_leave_the_sampler_answering() {
    let hang = |gpu| {
        fault(
            "nvmlDeviceGetTemperature",
            gpu,
            "hang_ms = 1000\nuntil_s = 0.5",
        )
    };
    let sampler = Fake::new(&two_gpus("", "", &format!("{}{}", hang(0), hang(1)))).sample();
    let both = |sample: &GpuSample| is_failing(sample, "0") && is_failing(sample, "1");
    let sample = sampler.until(both);
    assert_eq!(sample.calls["nvmlDeviceGetTemperature"].timeouts, 2);
    let well = |sample: &GpuSample| {
        state(sample, "0") == GpuState::Ok && state(sample, "1") == GpuState::Ok
    };
    sampler.until(well);
}

#[test]
fn hang_in_initialisation_is_a_failure_until_it_returns() {
    let hang = "[[fault]]\ncall = \"nvmlInit_v2\"\nhang_ms = 800\nuntil_s = 0.3\n";
    let sampler = Fake::new(&two_gpus("", "", hang)).sample();
    let sample = sampler.next();
    let NvmlState::Failed(reason) = &sample.nvml else {
        panic!("{sample:?}");
    };
    assert!(
        reason.starts_with("nvmlInit_v2 has not returned for"),
        "{reason}"
    );
    assert_eq!(sample.calls["nvmlInit_v2"].timeouts, 1);
    let sample = sampler.until(|sample| matches!(sample.nvml, NvmlState::Active { .. }));
    assert_eq!(state(&sample, "1"), GpuState::Ok);
}

#[test]
fn hang_in_a_call_that_concerns_no_gpu_silences_all_until_it_returns() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    sampler.until(|sample| state(sample, "1") == GpuState::Ok);
    let hang = "[[fault]]\ncall = \"nvmlDeviceGetCount_v2\"\nhang_ms = 700\n";
    fake.play(&two_gpus("", "", hang));
    let sample = sampler.until(|sample| matches!(sample.nvml, NvmlState::Failed(_)));
    fake.play(&all_well());
    assert!(is_failing(&sample, "0") && is_failing(&sample, "1"));
    assert_eq!(gpu(&sample, "0").readings, GpuReadings::default());
    let sample = sampler.until(|sample| matches!(sample.nvml, NvmlState::Active { .. }));
    assert_eq!(gpu(&sample, "0").readings.temperature_celsius, Some(50));
}

#[test]
fn dropping_the_handle_does_not_wait_for_a_call_that_hangs() {
    let hang = fault("nvmlDeviceGetTemperature", 0, "hang_ms = 2000");
    let fake = Fake::new(&two_gpus("", "", &hang));
    let sampler = fake.sample();
    sampler.until(|sample| is_failing(sample, "0"));
    let start = Instant::now();
    drop(sampler.handle);
    assert!(start.elapsed() < Duration::from_millis(500));
    // The channel closes when the sampler's thread has ended.
    let ended = |error| error == std::sync::mpsc::RecvTimeoutError::Disconnected;
    let end = start + Duration::from_millis(1500);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Err(error) = sampler.samples.recv_timeout(left) {
            assert!(ended(error), "the sampler goes on");
            break;
        }
    }
}

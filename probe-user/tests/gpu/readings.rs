//! What each reading says.

use probe_core::record::{GpuReadings, GpuSample, GpuState, NvmlState, Tgid};

use crate::fake::{Fake, Sampler, all_well, fault, gpu, is_failing, two_gpus};

#[test]
fn healthy_gpu_reads_exactly_what_the_scenario_says() {
    let sample = Fake::playing("healthy.toml").sample().next();
    let driver = "550.54.15".to_owned();
    assert_eq!(sample.nvml, NvmlState::Active { driver });
    assert_eq!(sample.gpus.len(), 1);
    let gpu = gpu(&sample, "0");
    assert_eq!(gpu.uuid, "GPU-5a1e0c1d-0000-4000-8000-000000000001");
    assert_eq!(gpu.name, "NVIDIA A100-SXM4-80GB");
    assert_eq!(gpu.state, GpuState::Ok);
    let expected = GpuReadings {
        memory_used_bytes: Some(21_474_836_480),
        memory_total_bytes: Some(85_899_345_920),
        utilization_percent: Some(37),
        memory_utilization_percent: Some(12),
        temperature_celsius: Some(54),
        power_watts: Some(187.45),
        power_limit_watts: Some(400.0),
        sm_clock_hertz: Some(1_410_000_000),
        memory_clock_hertz: Some(1_593_000_000),
        max_sm_clock_hertz: Some(1_410_000_000),
        throttle_reasons: Some(0),
        ecc_corrected: Some(3),
        ecc_uncorrected: Some(0),
        pcie_sent_bytes_per_second: Some(20_480 * 1024),
        pcie_received_bytes_per_second: Some(40_960 * 1024),
        pcie_replays: Some(1),
        pcie_generation: Some(4),
        pcie_width: Some(16),
    };
    assert_eq!(gpu.readings, expected);
    let failures: u64 = sample.calls.values().map(|call| call.failures).sum();
    assert_eq!(failures, 0);
}

#[test]
fn readings_follow_the_scenario_over_time() {
    let sampler = Fake::playing("faults.toml").sample();
    let temperature = |sample: &GpuSample| gpu(sample, "1").readings.temperature_celsius;
    assert_eq!(temperature(&sampler.next()), Some(60));
    let later = sampler.until(|sample| temperature(sample) >= Some(62));
    assert_eq!(gpu(&later, "0").readings.temperature_celsius, Some(54));
}

#[test]
fn processes_have_memory_share_and_watched_process() {
    let fake = Fake::playing("healthy.toml");
    let resolve = |pid| (pid == 4243).then_some(Tgid(4000));
    let sampler = Sampler::start(fake.settings(), resolve);
    let sample = sampler.next();
    let seen: Vec<_> = gpu(&sample, "0")
        .processes
        .iter()
        .map(|process| {
            let watched = process.watched.map(|tgid| tgid.0);
            (
                process.pid,
                watched,
                process.memory_bytes,
                process.sm_percent,
            )
        })
        .collect();
    let expected = [
        (4242, None, Some(17_179_869_184), Some(30)),
        (4243, Some(4000), Some(1_073_741_824), Some(5)),
        (4244, None, None, Some(0)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn unsupported_reading_is_unknown_and_not_asked_again() {
    let sampler = Fake::new(&all_well()).sample();
    let sample = sampler.until(|sample| sample.calls["nvmlDeviceGetTemperature"].count >= 10);
    assert_eq!(gpu(&sample, "0").state, GpuState::Ok);
    assert_eq!(gpu(&sample, "0").readings.power_limit_watts, None);
    let call = sample.calls["nvmlDeviceGetEnforcedPowerLimit"];
    assert_eq!((call.count, call.failures), (2, 0), "once for each GPU");
}

#[test]
fn call_that_fails_names_itself_and_leaves_the_other_readings() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    fake.play(&two_gpus(
        "",
        "",
        &fault("nvmlDeviceGetPowerUsage", 1, "error = 999"),
    ));
    let sample = sampler.until(|sample| is_failing(sample, "1"));
    let failing = gpu(&sample, "1");
    let expected = "nvmlDeviceGetPowerUsage: an internal driver error occurred".to_owned();
    assert_eq!(failing.state, GpuState::Failing(expected));
    assert_eq!(failing.readings.power_watts, None);
    assert_eq!(failing.readings.temperature_celsius, Some(51));
    assert_eq!(gpu(&sample, "0").state, GpuState::Ok);
    assert!(sample.calls["nvmlDeviceGetPowerUsage"].failures >= 1);
}

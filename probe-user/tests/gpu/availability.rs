//! Events, MIG devices, and NVML that is missing or fails.

use std::time::Duration;

use probe_core::record::{GpuReadings, NvmlState};
use probe_user::gpu::{self, Settings};
use tempfile::TempDir;

use crate::fake::{CALL_TIMEOUT, Fake, INTERVAL, Sampler, all_well, built_library, gpu, two_gpus};

#[test]
fn xid_error_is_counted_once() {
    let fake = Fake::new(&all_well());
    let sampler = fake.sample();
    sampler.until(|sample| sample.calls.contains_key("nvmlEventSetWait_v2"));
    let xids = "[[xid]]\ngpu = 1\ncode = 79\nat_s = 0\n[[xid]]\ngpu = 1\ncode = 31\nat_s = 0\n";
    fake.play(&two_gpus("", "", xids));
    let sample = sampler.until(|sample| gpu(sample, "1").xids.len() == 2);
    assert_eq!(gpu(&sample, "1").xids, [(31, 1), (79, 1)].into());
    let later = sampler.during(Duration::from_millis(200)).pop().unwrap();
    assert_eq!(gpu(&later, "1").xids, [(31, 1), (79, 1)].into());
    assert!(gpu(&later, "0").xids.is_empty());
}

#[test]
fn mig_devices_have_ids_memory_and_processes_of_their_own() {
    let sample = Fake::playing("mig.toml").sample().next();
    let ids: Vec<_> = sample.gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    assert_eq!(ids, ["0", "0:0", "0:1"]);
    assert_eq!(gpu(&sample, "0").readings.temperature_celsius, Some(41));
    assert!(gpu(&sample, "0").processes.is_empty());
    let mig = gpu(&sample, "0:0");
    assert_eq!(mig.uuid, "MIG-5a1e0c1d-0000-4000-8000-000000000031");
    let expected = GpuReadings {
        memory_used_bytes: Some(12_884_901_888),
        memory_total_bytes: Some(42_412_802_048),
        ..GpuReadings::default()
    };
    assert_eq!(mig.readings, expected);
    assert_eq!(mig.processes[0].pid, 5151);
    assert_eq!(mig.processes[0].memory_bytes, Some(12_348_030_976));
    assert_eq!(mig.processes[0].sm_percent, None);
    assert!(gpu(&sample, "0:1").processes.is_empty());
}

#[test]
fn missing_library_is_unavailable_with_a_remedy() {
    let settings = Settings {
        library: Some("/nonexistent/libnvidia-ml.so.1".into()),
        ..Settings::default()
    };
    let NvmlState::Unavailable(reason) = gpu::check(&settings).state else {
        panic!("it is not there");
    };
    assert!(
        reason.contains("/nonexistent/libnvidia-ml.so.1"),
        "{reason}"
    );
    assert!(reason.contains("No such file"), "{reason}");
    assert!(reason.contains("--nvml-lib"), "{reason}");
}

#[test]
fn library_that_is_not_nvml_is_unavailable() {
    let settings = Settings {
        library: Some("libm.so.6".into()),
        ..Settings::default()
    };
    let NvmlState::Unavailable(reason) = gpu::check(&settings).state else {
        panic!("it is the mathematics library");
    };
    assert!(reason.contains("not an NVML library"), "{reason}");
}

#[test]
fn library_that_appears_later_is_found() {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("libfake_nvml.so");
    let settings = Settings {
        library: Some(library.clone()),
        interval: INTERVAL,
        call_timeout: CALL_TIMEOUT,
        enabled: true,
    };
    let sampler = Sampler::start(settings, |_| None);
    assert!(matches!(sampler.next().nvml, NvmlState::Unavailable(_)));
    std::fs::write(library.with_extension("toml"), all_well()).unwrap();
    let copied = folder.path().join("copied");
    std::fs::copy(built_library(), &copied).unwrap();
    std::fs::rename(copied, library).unwrap();
    let sample = sampler.until(|sample| matches!(sample.nvml, NvmlState::Active { .. }));
    let attempts = sample.calls["nvmlInit_v2"].count;
    assert!(
        attempts <= 3,
        "{attempts} attempts: more than a slow cadence gives"
    );
}

#[test]
fn initialisation_that_fails_is_failed_and_mended_later() {
    let fake = Fake::new("driver = \"1\"\ninit_error = \"LIB_RM_VERSION_MISMATCH\"");
    let sampler = fake.sample();
    let sample = sampler.next();
    let NvmlState::Failed(reason) = &sample.nvml else {
        panic!("{sample:?}");
    };
    assert!(reason.contains("version mismatch"), "{reason}");
    assert!(reason.contains("reload the module"), "{reason}");
    fake.play(&all_well());
    sampler.until(|sample| matches!(sample.nvml, NvmlState::Active { .. }));
}

#[test]
fn driver_that_is_not_loaded_is_unavailable() {
    let fake = Fake::new("driver = \"1\"\ninit_error = \"DRIVER_NOT_LOADED\"");
    let NvmlState::Unavailable(reason) = gpu::check(&fake.settings()).state else {
        panic!("there is no driver");
    };
    assert!(reason.contains("modprobe nvidia"), "{reason}");
}

#[test]
fn check_lists_the_gpus() {
    let found = gpu::check(&Fake::new(&all_well()).settings());
    assert!(matches!(found.state, NvmlState::Active { .. }));
    let names: Vec<_> = found.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    assert_eq!(names, ["Card 0", "Card 1"]);
}

#[test]
fn sampling_switched_off_delivers_one_sample_that_says_so() {
    let settings = Settings {
        enabled: false,
        ..Settings::default()
    };
    let sampler = Sampler::start(settings, |_| None);
    assert_eq!(sampler.next().nvml, NvmlState::Off);
    assert!(sampler.during(Duration::from_millis(100)).is_empty());
}

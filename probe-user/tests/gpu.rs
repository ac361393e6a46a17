//! The GPU sampler on the stand-in NVML (`tests/fake-nvml`), and beside NVIDIA's own client.
//!
//! Each test has a copy of the library: the copies have states of their own, and each plays the
//! scenario beside it.

#![allow(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, but not in the functions they share"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use probe_core::record::{Gpu, GpuReadings, GpuSample, GpuState, KtimeNs, NvmlState, Tgid};
use probe_user::gpu::{self, Handle, Settings};
use tempfile::TempDir;

const INTERVAL: Duration = Duration::from_millis(20);
const CALL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a test waits for what must come; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A copy of the stand-in with a scenario.
struct Fake {
    folder: Rc<TempDir>,
}

impl Fake {
    fn new(scenario: &str) -> Self {
        let fake = Self {
            folder: Rc::new(TempDir::new().unwrap()),
        };
        std::fs::copy(built_library(), fake.library()).unwrap();
        fake.play(scenario);
        fake
    }

    fn playing(file: &str) -> Self {
        Self::new(&std::fs::read_to_string(scenario_file(file)).unwrap())
    }

    /// Replaces the scenario; the library sees the old one or the new one, never half of it.
    fn play(&self, scenario: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, scenario).unwrap();
        std::fs::rename(new, self.library().with_extension("toml")).unwrap();
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libfake_nvml.so")
    }

    fn settings(&self) -> Settings {
        Settings {
            library: Some(self.library()),
            interval: INTERVAL,
            call_timeout: CALL_TIMEOUT,
            enabled: true,
        }
    }

    fn sample(&self) -> Sampler {
        Sampler {
            _folder: Some(Rc::clone(&self.folder)),
            ..Sampler::start(self.settings(), |_| None)
        }
    }
}

fn scenario_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/nvml")
        .join(name)
}

fn built_library() -> PathBuf {
    if let Some(path) = std::env::var_os("FAKE_NVML_LIB") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let folders = test.ancestors().skip(1).take(2);
    folders
        .map(|folder| folder.join("libfake_nvml.so"))
        .find(|path| path.exists())
        .expect(
            "the stand-in NVML is not built: run `cargo build -p fake-nvml`, or `cargo xtask test`",
        )
}

/// A running sampler and what it delivers.
struct Sampler {
    samples: Receiver<GpuSample>,
    handle: Handle,
    /// Stays as long as the library in it is used.
    _folder: Option<Rc<TempDir>>,
}

impl Sampler {
    fn start(settings: Settings, resolve: impl Fn(u32) -> Option<Tgid> + Send + 'static) -> Self {
        let (sender, samples) = mpsc::channel();
        let start = Instant::now();
        let now = move || KtimeNs(start.elapsed().as_nanos() as u64);
        let handle = gpu::start(settings, resolve, now, move |sample| {
            sender.send(sample).ok();
        });
        Self {
            samples,
            handle,
            _folder: None,
        }
    }

    fn next(&self) -> GpuSample {
        self.samples.recv_timeout(PATIENCE).unwrap()
    }

    /// The first sample that is as wanted.
    fn until(&self, wanted: impl Fn(&GpuSample) -> bool) -> GpuSample {
        let start = Instant::now();
        loop {
            let sample = self.next();
            if wanted(&sample) {
                return sample;
            }
            assert!(start.elapsed() < PATIENCE, "in the end: {sample:#?}");
        }
    }

    /// Samples delivered in the time to come.
    fn during(&self, time: Duration) -> Vec<GpuSample> {
        let end = Instant::now() + time;
        let left = || end.saturating_duration_since(Instant::now());
        std::iter::from_fn(|| self.samples.recv_timeout(left()).ok()).collect()
    }
}

fn gpu<'s>(sample: &'s GpuSample, id: &str) -> &'s Gpu {
    let found = sample.gpus.iter().find(|gpu| gpu.id == id);
    found.unwrap_or_else(|| panic!("no GPU {id} in {sample:#?}"))
}

fn state(sample: &GpuSample, id: &str) -> GpuState {
    let found = sample.gpus.iter().find(|gpu| gpu.id == id);
    found.map_or(GpuState::Vanished, |gpu| gpu.state.clone())
}

fn is_failing(sample: &GpuSample, id: &str) -> bool {
    matches!(state(sample, id), GpuState::Failing(_))
}

/// Two GPUs with a temperature and power each, and more lines.
fn two_gpus(first: &str, second: &str, more: &str) -> String {
    let gpu = |number: u32, lines: &str| {
        format!(
            "[[gpu]]\nuuid = \"GPU-{number}\"\nname = \"Card {number}\"\n{lines}\n\
             readings = {{ temperature_celsius = 5{number}, power_milliwatts = 10{number}000 }}\n"
        )
    };
    format!(
        "driver = \"550.54.15\"\n{}{}{more}",
        gpu(0, first),
        gpu(1, second)
    )
}

fn all_well() -> String {
    two_gpus("", "", "")
}

fn fault(call: &str, gpu: u32, what: &str) -> String {
    format!("[[fault]]\ncall = \"{call}\"\ngpu = {gpu}\n{what}\n")
}

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
    let ended = |error| error == mpsc::RecvTimeoutError::Disconnected;
    let end = start + Duration::from_millis(1500);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Err(error) = sampler.samples.recv_timeout(left) {
            assert!(ended(error), "the sampler goes on");
            break;
        }
    }
}

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

#[test]
fn nvidias_own_client_reads_the_same() {
    let Some(python) = std::env::var_os("VOXPROBE_PYTHON") else {
        println!("skipped: VOXPROBE_PYTHON does not name a Python that has nvidia-ml-py");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/nvml_read.py");
    for scenario in ["healthy.toml", "mig.toml"] {
        let fake = Fake::playing(scenario);
        let link = fake.folder.path().join("libnvidia-ml.so.1");
        std::os::unix::fs::symlink(fake.library(), link).unwrap();
        let output = Command::new(&python)
            .arg(&script)
            .env("LD_LIBRARY_PATH", fake.folder.path())
            .env("FAKE_NVML_SCENARIO", scenario_file(scenario))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = fake.sample().next();
        assert_same(&ours, &theirs);
    }
}

/// Compares all that NVIDIA's client read.
fn assert_same(ours: &GpuSample, theirs: &serde_json::Value) {
    let listed = theirs["gpus"].as_array().unwrap();
    assert_eq!(ours.gpus.len(), listed.len());
    for (our, their) in ours.gpus.iter().zip(listed) {
        assert_eq!(their["id"], our.id.as_str());
        assert_eq!(their["uuid"], our.uuid.as_str());
        assert_eq!(their["name"], our.name.as_str());
        let readings = serde_json::to_value(our.readings).unwrap();
        for (name, value) in their["readings"].as_object().unwrap() {
            assert_eq!(&readings[name], value, "{} {name}", our.id);
        }
        let processes = their["processes"].as_array().unwrap();
        assert_eq!(our.processes.len(), processes.len());
        for (process, listed) in our.processes.iter().zip(processes) {
            assert_eq!(listed["pid"], process.pid);
            let memory = serde_json::to_value(process.memory_bytes).unwrap();
            assert_eq!(listed["memory_bytes"], memory);
            // NVIDIA's client lists shares of those that used the GPU only.
            if !listed["sm_percent"].is_null() {
                assert_eq!(listed["sm_percent"], process.sm_percent.unwrap());
            }
        }
    }
}

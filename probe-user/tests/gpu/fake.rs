//! A sampler on a copy of the stand-in NVML with a scenario of its own.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use probe_core::record::{Gpu, GpuSample, GpuState, KtimeNs, Tgid};
use probe_user::gpu::{self, Handle, Settings};
use tempfile::TempDir;

pub(crate) const INTERVAL: Duration = Duration::from_millis(20);
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a test waits for what must come; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A copy of the stand-in with a scenario.
pub(crate) struct Fake {
    pub(crate) folder: Rc<TempDir>,
}

impl Fake {
    pub(crate) fn new(scenario: &str) -> Self {
        let fake = Self {
            folder: Rc::new(TempDir::new().unwrap()),
        };
        std::fs::copy(built_library(), fake.library()).unwrap();
        fake.play(scenario);
        fake
    }

    pub(crate) fn playing(file: &str) -> Self {
        Self::new(&std::fs::read_to_string(scenario_file(file)).unwrap())
    }

    /// Replaces the scenario; the library sees the old one or the new one, never half of it.
    pub(crate) fn play(&self, scenario: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, scenario).unwrap();
        std::fs::rename(new, self.library().with_extension("toml")).unwrap();
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("libfake_nvml.so")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            library: Some(self.library()),
            interval: INTERVAL,
            call_timeout: CALL_TIMEOUT,
            enabled: true,
        }
    }

    pub(crate) fn sample(&self) -> Sampler {
        Sampler {
            _folder: Some(Rc::clone(&self.folder)),
            ..Sampler::start(self.settings(), |_| None)
        }
    }
}

pub(crate) fn scenario_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/nvml")
        .join(name)
}

pub(crate) fn built_library() -> PathBuf {
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
pub(crate) struct Sampler {
    pub(crate) samples: Receiver<GpuSample>,
    pub(crate) handle: Handle,
    /// Stays as long as the library in it is used.
    _folder: Option<Rc<TempDir>>,
}

impl Sampler {
    pub(crate) fn start(
        settings: Settings,
        resolve: impl Fn(u32) -> Option<Tgid> + Send + 'static,
    ) -> Self {
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

    pub(crate) fn next(&self) -> GpuSample {
        self.samples.recv_timeout(PATIENCE).unwrap()
    }

    /// The first sample that is as wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&GpuSample) -> bool) -> GpuSample {
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
    pub(crate) fn during(&self, time: Duration) -> Vec<GpuSample> {
        let end = Instant::now() + time;
        let left = || end.saturating_duration_since(Instant::now());
        std::iter::from_fn(|| self.samples.recv_timeout(left()).ok()).collect()
    }
}

pub(crate) fn gpu<'s>(sample: &'s GpuSample, id: &str) -> &'s Gpu {
    let found = sample.gpus.iter().find(|gpu| gpu.id == id);
    found.unwrap_or_else(|| panic!("no GPU {id} in {sample:#?}"))
}

pub(crate) fn state(sample: &GpuSample, id: &str) -> GpuState {
    let found = sample.gpus.iter().find(|gpu| gpu.id == id);
    found.map_or(GpuState::Vanished, |gpu| gpu.state.clone())
}

pub(crate) fn is_failing(sample: &GpuSample, id: &str) -> bool {
    matches!(state(sample, id), GpuState::Failing(_))
}

/// Two GPUs with a temperature and power each, and more lines.
pub(crate) fn two_gpus(first: &str, second: &str, more: &str) -> String {
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

pub(crate) fn all_well() -> String {
    two_gpus("", "", "")
}

pub(crate) fn fault(call: &str, gpu: u32, what: &str) -> String {
    format!("[[fault]]\ncall = \"{call}\"\ngpu = {gpu}\n{what}\n")
}

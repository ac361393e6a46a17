//! The agent's settings, and the GPU that the stand-in NVML plays.

use std::path::{Path, PathBuf};

use probe_tests::lab::Lab;
use probe_tests::report::WEIGHTS;

use crate::truth::{Figure, Row};

/// Workers by their label `worker`, with their adapter.
pub(super) const WORKERS: [(&str, &str); 2] =
    [("tts-first@0", "first"), ("tts-second@0", "second")];

/// Models of the workers.
const MODELS: [&str; 3] = ["tone-small", "tone-large", "tone-multi"];

/// Bytes of each model's weights.
const WEIGHTS_BYTES: usize = 4 * 1024 * 1024;

/// Makes the models' weights and gives their folder.
pub(super) fn models(lab: &Lab) -> PathBuf {
    let root = lab.path("models");
    for folder in MODELS.map(|model| root.join(model)) {
        std::fs::create_dir_all(&folder).expect("make a folder");
        std::fs::write(folder.join(WEIGHTS), vec![7; WEIGHTS_BYTES]).expect("write weights");
    }
    root
}

/// The agent's settings; everything else has its default. Only processes of this folder are targets.
pub(super) fn agent(redis_port: &str, folder: &Path, models: &Path) -> String {
    let (folder, root) = (folder.display(), models.display().to_string());
    let others = format!(
        "[models]\nroots = [{root:?}]\nresident_cap = 2\n\n\
         [[target]]\nrole = \"orchestrator\"\n\
         cmdline = '(voicelab orchestrator|ws_orchestrator\\.py) .*{folder}/'\n\n\
         [[target]]\nrole = \"redis\"\ncmdline = 'redis-server .*:{redis_port}'\n"
    );
    let workers = WORKERS.map(|(name, adapter)| {
        format!(
            "\n[[target]]\nrole = \"worker\"\nname = \"{name}\"\n\
             cmdline = '(voicelab worker|worker_(aio|sync)\\.py) .*{folder}/.*--adapter {adapter}'\n"
        )
    });
    others + &workers.concat() + HOOKS
}

/// The functions of the voicelab's shared object, and how its orchestrator takes their results.
const HOOKS: &str = r#"
[[hook]]
name = "vad"
preset = "webrtcvad"
library = '/libvad_hook\.so$'
symbol = "voicelab_vad_process"
min_positive_results = 3
min_negative_results = 10
reset = ""

[[hook]]
name = "asr"
preset = "asr"
library = '/libvad_hook\.so$'
symbol = "voicelab_asr_transcribe"
model = "openai/whisper-small"
"#;

/// One GPU with readings that do not change.
const GPU: &str = r#"driver = "550.54.15"

[[gpu]]
uuid = "GPU-5a1e0c1d-0000-4000-8000-0000000000ac"
name = "stand-in GPU"
pci_bus_id = "00000000:07:00.0"

[gpu.readings]
memory_total_bytes = 85899345920
memory_used_bytes = 21474836480
utilization_percent = 40
temperature_celsius = 54
power_milliwatts = 187500
power_limit_milliwatts = 400000
"#;

/// What each worker holds of it.
const GPU_BYTES: [u64; WORKERS.len()] = [12_884_901_888, 6_442_450_944];

/// The GPU with these processes on it.
pub(super) fn gpu(pids: &[u32]) -> String {
    let processes = pids.iter().zip(GPU_BYTES).map(|(pid, bytes)| {
        format!("\n[[gpu.process]]\npid = {pid}\nmemory_bytes = {bytes}\nsm_percent = 20\n")
    });
    GPU.to_owned() + &processes.collect::<String>()
}

/// What the GPU says.
pub(super) fn gpu_rows() -> Vec<Row> {
    let row = |metric: &str, worker: Option<&str>, value| {
        let worker = worker.map(|worker| ("worker".to_owned(), worker.to_owned()));
        let gpu = ("gpu_id".to_owned(), "0".to_owned());
        Row {
            metric: metric.to_owned(),
            labels: worker.into_iter().chain([gpu]).collect(),
            reading: Figure::Value(value),
        }
    };
    let mut rows = vec![
        row("worker_gpu_memory_total_bytes", None, 85_899_345_920.0),
        row("worker_gpu_temperature_celsius", None, 54.0),
        row("worker_gpu_power_watts", None, 187.5),
    ];
    for ((name, ..), bytes) in WORKERS.iter().zip(GPU_BYTES) {
        rows.push(row(
            "worker_gpu_memory_used_bytes",
            Some(name),
            bytes as f64,
        ));
        rows.push(row("worker_gpu_utilization_percent", Some(name), 40.0));
    }
    rows
}

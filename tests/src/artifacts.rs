//! Where the programs under test are: named by `cargo xtask test`, else in the release folder.

use std::env;
use std::path::{Path, PathBuf};

/// The agent.
pub fn voxprobe() -> PathBuf {
    built("VOXPROBE_BIN", "voxprobe", "cargo xtask build")
}

/// The voice system to watch.
pub fn voicelab() -> PathBuf {
    built(
        "VOXPROBE_VOICELAB",
        "voicelab",
        "cargo build --release -p voicelab",
    )
}

/// The stand-in NVML.
pub fn fake_nvml() -> PathBuf {
    built(
        "FAKE_NVML_LIB",
        "libfake_nvml.so",
        "cargo build --release -p fake-nvml",
    )
}

/// The shared object with functions to hook.
pub fn vad_hook() -> PathBuf {
    built(
        "VOXPROBE_VAD_HOOK",
        "libvad_hook.so",
        "cargo build --release -p vad-hook",
    )
}

/// What stamps the sockets of the Python peers; `None` where it is not built.
pub fn socket_clock() -> Option<PathBuf> {
    let path = voicelab().with_file_name("libsocket_clock.so");
    path.exists().then_some(path)
}

/// An interpreter with the Python peers' requirements; `None` where there is none.
pub fn python() -> Option<PathBuf> {
    env::var_os("VOXPROBE_PYTHON").map(PathBuf::from)
}

/// The folder of Grafana's schema and the compiler for it (`node_modules`); `None` where there is none.
pub fn grafana_schema() -> Option<PathBuf> {
    env::var_os("VOXPROBE_GRAFANA_SCHEMA").map(PathBuf::from)
}

/// The folder of Grafana's panels and the bundler for them (`node_modules`); `None` where there is none.
pub fn grafana_panels() -> Option<PathBuf> {
    env::var_os("VOXPROBE_GRAFANA_PANELS").map(PathBuf::from)
}

/// An interpreter with the Kubernetes tools of `config/requirements.txt`; `None` where there is none.
pub fn kubernetes_tools() -> Option<PathBuf> {
    env::var_os("VOXPROBE_KUBERNETES_TOOLS").map(PathBuf::from)
}

/// The folder from which the container image is built; `None` where `cargo xtask dist` did not make it.
pub fn image() -> Option<PathBuf> {
    let named = env::var_os("VOXPROBE_IMAGE").map(PathBuf::from);
    named.filter(|folder| folder.exists())
}

/// The folder of the Python peers.
pub fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn built(variable: &str, file: &str, command: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(
        || target().join("release").join(file),
        |named| workspace().join(named),
    );
    assert!(
        path.exists(),
        "{} is not built: run `{command}`, or name it in {variable}",
        path.display()
    );
    path
}

fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace().join("target"),
        |named| workspace().join(named),
    )
}

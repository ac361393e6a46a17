//! What the tests are told about the things that were built for them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::skips::SkipFile;
use crate::workspace::Workspace;
use crate::{dist, setup};

/// File of the stand-in NVML library.
pub(crate) const FAKE_NVML: &str = "libfake_nvml.so";

/// Variables for one level.
#[derive(Debug)]
pub(super) struct Environment {
    variables: Vec<(&'static str, OsString)>,
    /// Variables of what is not there.
    absent: Vec<&'static str>,
}

impl Environment {
    /// For unit tests: the stand-in NVML as the same build made it.
    pub(super) fn debug(workspace: &Workspace, skips: &SkipFile) -> Self {
        Self::new(workspace, skips, workspace.target("debug").join(FAKE_NVML))
    }

    /// For tests of the whole: everything in release form.
    pub(super) fn release(workspace: &Workspace, skips: &SkipFile) -> Self {
        let mut environment = Self::new(workspace, skips, workspace.release(FAKE_NVML));
        environment.variables.extend([
            (
                "VOXPROBE_BIN",
                workspace.release("voxprobe").into_os_string(),
            ),
            (
                "VOXPROBE_VOICELAB",
                workspace.release("voicelab").into_os_string(),
            ),
            (
                "VOXPROBE_VAD_HOOK",
                workspace.release("libvad_hook.so").into_os_string(),
            ),
            ("VOXPROBE_IMAGE", dist::folder(workspace).into_os_string()),
        ]);
        environment
    }

    fn new(workspace: &Workspace, skips: &SkipFile, nvml: PathBuf) -> Self {
        let mut variables = vec![
            ("FAKE_NVML_LIB", nvml.into_os_string()),
            ("PATH", workspace.search_path()),
            (
                "VOXPROBE_PEERS_CACHE",
                workspace.target("peers").into_os_string(),
            ),
            ("VOXPROBE_SKIPS", skips.path().as_os_str().to_os_string()),
        ];
        let mut absent = Vec::new();
        for (name, path) in [
            ("VOXPROBE_PYTHON", setup::PEERS.installed(workspace)),
            (
                "VOXPROBE_KUBERNETES_TOOLS",
                setup::KUBERNETES.installed(workspace),
            ),
            (
                "VOXPROBE_GRAFANA_SCHEMA",
                setup::SCHEMA.installed(workspace),
            ),
            (
                "VOXPROBE_GRAFANA_PANELS",
                setup::PANELS.installed(workspace),
            ),
        ] {
            match path {
                Some(path) => variables.push((name, path.into_os_string())),
                None => absent.push(name),
            }
        }
        Self { variables, absent }
    }

    pub(super) fn apply(&self, command: &mut Command) {
        for name in &self.absent {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_of_the_whole_names_the_release_build() {
        let root = tempfile::tempdir().expect("temporary directory");
        let workspace = Workspace::at(root.path());
        let skips = SkipFile::create(&workspace.target("test/skips.tsv")).expect("file");
        let mut command = Command::new("cargo");
        Environment::release(&workspace, &skips).apply(&mut command);
        let value = |name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value)
        };
        assert_eq!(
            value("VOXPROBE_BIN"),
            Some(root.path().join("target/release/voxprobe").as_os_str()),
        );
        assert_eq!(value("VOXPROBE_SKIPS"), Some(skips.path().as_os_str()));
        assert_eq!(value("VOXPROBE_PYTHON"), None);
    }
}

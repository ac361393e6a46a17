//! The configuration: defaults, then the file, then the command line.
//!
//! [`file`] is what may be typed; [`Settings`] is what it means. Unknown keys are errors that name
//! the nearest key there is.

mod duration;
mod error;
mod file;
mod hook;
mod reload;
mod traces;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use probe_core::{
    metrics::Limits,
    model::{ModelSettings, Objectives},
    profile::Profile,
};

use crate::{
    attach::{self, HookTarget},
    discover::{ModelFiles, Target},
    export::otlp,
    gpu, telemetry,
};

pub use error::SettingsError;
pub use reload::Contents;

/// Everything the agent goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files that these settings came from: the configuration, and the profile where it is a file.
    pub files: Vec<PathBuf>,
    /// Where the HTTP endpoint listens.
    pub listen: SocketAddr,
    /// Prometheus' web configuration of the endpoint: TLS and passwords.
    pub web_config: Option<PathBuf>,
    /// Log level and format.
    pub log: telemetry::Settings,
    /// How the programs are attached.
    pub hooks: attach::Settings,
    /// Shortest stretch of scheduling that has a record of its own, where it is followed.
    pub stretch: Duration,
    /// Which processes are watched.
    pub targets: Vec<Target>,
    /// Which functions of libraries are hooked.
    pub library_hooks: Vec<HookTarget>,
    /// How often `/proc` is looked over for processes whose start was missed.
    pub discovery_interval: Duration,
    /// Where the kubelet links to containers' logs; `None` not to look.
    pub container_logs: Option<PathBuf>,
    /// What the voice system says.
    pub profile: Arc<Profile>,
    /// The profile's text, for captures.
    pub profile_text: String,
    /// Playout and models.
    pub model: ModelSettings,
    /// Which files are weights of which model.
    pub model_files: ModelFiles,
    /// How many values labels may have.
    pub limits: Limits,
    /// NVML.
    pub gpu: gpu::Settings,
    /// Where traces go; `None` where there are none.
    pub traces: Option<otlp::Settings>,
}

impl Settings {
    /// The defaults, or a file's settings.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else {
            return Self::from_toml("", Path::new("(defaults)"));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::unreadable(path, &error))?;
        Self::from_toml(&text, path)
    }

    fn from_toml(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let file: file::File =
            toml::from_str(text).map_err(|error| SettingsError::invalid(path, text, &error))?;
        let targets = match file.target {
            None => Target::defaults(),
            Some(targets) => targets
                .into_iter()
                .enumerate()
                .map(|(index, target)| {
                    target.compile().map_err(|error| {
                        SettingsError::value(path, &format!("target number {}", index + 1), &error)
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        let library_hooks = hook::compile(file.hook)
            .map_err(|(place, error)| SettingsError::value(path, &place, &error))?;
        let models = &file.models;
        let model_files = ModelFiles::new(&models.roots, &models.id, &models.weights)
            .map_err(|error| SettingsError::value(path, "models", &error))?;
        let (profile, profile_text) = load_profile(&file.profile, path)?;
        let traces = traces::compile(&file.traces, path)
            .map_err(|error| SettingsError::value(path, "traces", &error))?;
        let mut files = vec![path.to_path_buf()];
        files.extend(profile_path(&file.profile, path));
        Ok(Self {
            files,
            listen: file.http.listen,
            web_config: file
                .http
                .web_config
                .into_path()
                .map(|web| beside(path, &web)),
            log: telemetry::Settings {
                level: file.log.level,
                format: file.log.format,
                events_per_minute: file.log.events_per_minute,
            },
            hooks: attach::Settings {
                choice: file.hooks.syscalls,
                without_btf: file.hooks.without_btf,
                stretch: file.diagnosis.enabled.then_some(file.diagnosis.stretch),
                refused_records: 0,
            },
            stretch: file.diagnosis.stretch,
            targets,
            library_hooks,
            discovery_interval: file.discovery.interval,
            container_logs: file.discovery.container_logs.into_path(),
            profile: Arc::new(profile),
            profile_text,
            model: ModelSettings {
                prebuffer_ms: millis(file.playout.prebuffer),
                resident_cap: file.models.resident_cap.into_cap(),
                idle_timeout_ms: file.sessions.idle_timeout.map(millis),
                transport: file.sessions.transport.into(),
                late_threshold_ms: millis(file.diagnosis.threshold),
                objectives: Objectives {
                    first_audio_ms: millis(file.slo.first_audio),
                    barge_in_ms: millis(file.slo.barge_in),
                    frame_jitter_ms: millis(file.slo.frame_jitter),
                },
                ..ModelSettings::default()
            },
            model_files,
            limits: Limits {
                sessions: file.labels.sessions,
                ..Limits::default()
            },
            gpu: gpu::Settings {
                enabled: file.gpu.enabled,
                library: file.gpu.library.into_path(),
                interval: file.gpu.interval,
                call_timeout: file.gpu.call_timeout,
            },
            traces,
        })
    }
}

/// Whole milliseconds; as many as there can be of a longer time.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Where a profile's file is; `None` for the built-in one.
fn profile_path(name: &str, config: &Path) -> Option<PathBuf> {
    (name != file::BUILTIN_PROFILE).then(|| beside(config, Path::new(name)))
}

/// A path that counts from the configuration's folder.
fn beside(config: &Path, path: &Path) -> PathBuf {
    let folder = config.parent();
    folder.map_or_else(|| path.to_path_buf(), |folder| folder.join(path))
}

/// The built-in profile, or a file's, with its text.
fn load_profile(name: &str, config: &Path) -> Result<(Profile, String), SettingsError> {
    let Some(path) = profile_path(name, config) else {
        return Ok((Profile::builtin(), Profile::BUILTIN.to_owned()));
    };
    let text =
        std::fs::read_to_string(&path).map_err(|error| SettingsError::unreadable(&path, &error))?;
    let profile = Profile::from_toml(&text)
        .map_err(|error| SettingsError::value(&path, "profile", &error))?;
    Ok((profile, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Settings::from_toml(text, Path::new("voxprobe.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn unknown_key_is_an_error_that_names_the_nearest() {
        let text = error("[gpu]\nintervall = \"1s\"\n");
        assert!(text.contains("voxprobe.toml:2"), "{text}");
        assert!(
            text.contains("`intervall`") && text.contains("did you mean `interval`"),
            "{text}"
        );
        let text = error("[[hook]]\nsimbol = \"f\"\n");
        assert!(text.contains("did you mean `symbol`"), "{text}");
        let text = error("[htpp]\n");
        assert!(text.contains("did you mean `http`"), "{text}");
    }

    #[test]
    fn bad_values_name_the_place() {
        assert!(error("[gpu]\ninterval = \"soon\"\n").contains("voxprobe.toml:2"));
        let text = error("[[target]]\nrole = \"worker\"\ncmdline = \"(\"\n");
        assert!(
            text.contains("target number 1") && text.contains("cmdline"),
            "{text}"
        );
        let text = error("[[target]]\nrole = \"worker\"\n");
        assert!(text.contains("target number 1"), "{text}");
        let text = error("[models]\nroots = [\"models\"]\n");
        assert!(
            text.contains("models: ") && text.contains("absolute"),
            "{text}"
        );
        let text = error("[[target]]\nrole = \"wroker\"\n");
        assert!(text.contains("did you mean `worker`"), "{text}");
    }

    #[test]
    fn wrong_values_of_traces_are_named_also_while_they_are_off() {
        for (line, told) in [
            ("endpoint = \"collector:4317\"", "endpoint"),
            ("sample = 1.5", "sample"),
            ("batch = 0", "batch"),
            ("queue = 10", "batch"),
            ("headers = { \"a b\" = \"c\" }", "headers"),
            ("protocol = \"grcp\"", "did you mean `grpc`"),
            ("interval = \"5\"", "500ms"),
        ] {
            let text = error(&format!("[traces]\n{line}\n"));
            assert!(
                text.contains("voxprobe.toml") && text.contains(told),
                "{text}"
            );
        }
        let text = error("[slo]\nfirst_audio = \"0s\"\n");
        assert!(text.contains("voxprobe.toml:2"), "{text}");
    }

    #[test]
    fn shipped_file_holds_every_key_at_its_default() {
        let shipped = include_str!("../../../config/voxprobe.toml");
        let parsed: file::File = toml::from_str(shipped).unwrap();
        let defaults: file::File = toml::from_str("").unwrap();
        assert_eq!(parsed.clone().without_targets(), defaults.without_targets());
        let targets = parsed.target.unwrap();
        assert_eq!(targets, file::default_targets());
        // Every key is named in the file.
        for key in file::File::keys() {
            assert!(
                shipped
                    .lines()
                    .any(|line| line.trim_start_matches(['#', ' ']).starts_with(key)),
                "config/voxprobe.toml does not mention `{key}`"
            );
        }
    }
}

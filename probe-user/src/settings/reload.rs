//! Settings that follow others in a running agent.

use std::{fs, path::PathBuf};

use super::Settings;
use crate::{export::otlp, telemetry};

impl Settings {
    /// Keys that only a restart can change, and that differ.
    pub fn fixed_keys_changed(&self, next: &Self) -> Vec<&'static str> {
        let keys = [
            ("http.listen", self.listen != next.listen),
            ("http.web_config", self.web_config != next.web_config),
            ("log.level", self.log.level != next.log.level),
            ("log.format", self.log.format != next.log.format),
            (
                "hooks",
                self.hooks.choice != next.hooks.choice
                    || self.hooks.without_btf != next.hooks.without_btf,
            ),
            (
                "diagnosis.enabled",
                self.hooks.stretch.is_some() != next.hooks.stretch.is_some(),
            ),
            ("diagnosis.stretch", self.stretch != next.stretch),
            (
                "discovery.interval",
                self.discovery_interval != next.discovery_interval,
            ),
            (
                "discovery.container_logs",
                self.container_logs != next.container_logs,
            ),
            ("models.roots", self.model_files != next.model_files),
            (
                "labels.sessions",
                self.limits.sessions != next.limits.sessions,
            ),
            ("gpu", self.gpu != next.gpu),
            ("traces", self.fixed_traces() != next.fixed_traces()),
        ];
        let changed = keys.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(key, _)| key).collect()
    }

    /// What is fixed about traces: everything but their share.
    fn fixed_traces(&self) -> Option<otlp::Settings> {
        let traces = self.traces.clone();
        traces.map(|traces| otlp::Settings {
            rate: 0.0,
            ..traces
        })
    }

    /// The settings to go by: the next ones, but for what only a restart can change.
    #[must_use]
    pub fn followed_by(&self, next: Self) -> Self {
        Self {
            targets: next.targets,
            library_hooks: next.library_hooks,
            profile: next.profile,
            profile_text: next.profile_text,
            model: next.model,
            files: next.files,
            log: telemetry::Settings {
                events_per_minute: next.log.events_per_minute,
                ..self.log
            },
            traces: self.traces.clone().map(|traces| otlp::Settings {
                rate: next.traces.map_or(traces.rate, |next| next.rate),
                ..traces
            }),
            ..self.clone()
        }
    }
}

/// What the files hold that settings came from; one that cannot be read is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(Vec<Option<Vec<u8>>>);

impl Contents {
    /// Reads them now. A link is followed: a `ConfigMap` changes what its link leads to.
    pub fn read(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| fs::read(file).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::from_toml(text, Path::new("voxprobe.toml")).unwrap()
    }

    #[test]
    fn what_can_change_follows_and_the_rest_stays_and_is_named() {
        let running = settings("");
        let next = settings(
            "[http]\nlisten = \"127.0.0.1:1\"\n[playout]\nprebuffer = \"80ms\"\n\
             [models]\nroots = [\"/models\"]\n[[target]]\nrole = \"worker\"\nport = 7\n",
        );
        assert_eq!(
            running.fixed_keys_changed(&next),
            ["http.listen", "models.roots"]
        );
        let followed = running.followed_by(next);
        assert_eq!(followed.listen, running.listen);
        assert_eq!(followed.model.prebuffer_ms, 80);
        assert_eq!(followed.targets.len(), 1);
        assert_eq!(running.fixed_keys_changed(&running.clone()), [""; 0]);
    }

    #[test]
    fn share_of_traces_follows_and_their_endpoint_stays() {
        let running = settings("[traces]\nenabled = true\nsample = 0.5\n");
        let share = settings("[traces]\nenabled = true\nsample = 0.1\n");
        assert_eq!(running.fixed_keys_changed(&share), [""; 0]);
        let followed = running.followed_by(share);
        assert_eq!(followed.traces.map(|traces| traces.rate), Some(0.1));
        for text in [
            "",
            "[traces]\nenabled = true\nendpoint = \"http://other:4317\"\n",
        ] {
            let next = settings(text);
            assert_eq!(running.fixed_keys_changed(&next), ["traces"]);
            let followed = running.followed_by(next).traces;
            let endpoint = followed.map(|traces| traces.endpoint.to_string());
            assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:4317/"));
        }
        let next = settings("[log]\nevents_per_minute = 5\n[slo]\nfirst_audio = \"1s\"\n");
        let followed = settings("").followed_by(next);
        assert_eq!(followed.log.events_per_minute, 5);
        assert_eq!(followed.model.objectives.first_audio_ms, 1000);
    }

    #[test]
    fn contents_change_with_what_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("old"), "1").unwrap();
        fs::write(path("new"), "2").unwrap();
        std::os::unix::fs::symlink(path("old"), path("config")).unwrap();
        let files = [path("config")];
        let before = Contents::read(&files);
        assert_eq!(before, Contents::read(&files));
        std::os::unix::fs::symlink(path("new"), path("swapped")).unwrap();
        fs::rename(path("swapped"), path("config")).unwrap();
        assert_ne!(before, Contents::read(&files));
    }
}

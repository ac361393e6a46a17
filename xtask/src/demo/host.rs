//! What this host lets `voxprobe` do, in the words of `voxprobe check`.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What the check says of the moment and not of the host: the demo starts its target afterwards.
const TARGETS: &str = "targets";

/// One line of the check.
#[derive(Clone, Debug, Deserialize)]
struct Capability {
    name: String,
    state: String,
    required: bool,
    detail: String,
    remedy: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Host {
    capabilities: Vec<Capability>,
}

impl Host {
    /// Reads the check's JSON.
    pub(super) fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).context("read what `voxprobe check` says")
    }

    /// Why programs cannot be attached here; `None` where they can.
    pub(super) fn refusal(&self) -> Option<String> {
        let missing = |name: &str| {
            self.capabilities
                .iter()
                .find(|capability| capability.name == name && capability.state != "active")
        };
        // Attaching decides. The other two tell better why it failed.
        missing("hooks")?;
        ["programs", "privileges", "hooks"]
            .into_iter()
            .find_map(missing)
            .map(|capability| match &capability.remedy {
                Some(remedy) => format!("{} ({remedy})", capability.detail),
                None => capability.detail.clone(),
            })
    }

    /// What does not work here, each with what would help.
    pub(super) fn limits(&self) -> Vec<String> {
        self.capabilities
            .iter()
            .filter(|capability| capability.state != "active" && capability.name != TARGETS)
            .map(|capability| {
                let Capability {
                    name,
                    state,
                    required,
                    detail,
                    remedy,
                } = capability;
                let needed = if *required { ", needed" } else { "" };
                let remedy = remedy
                    .as_ref()
                    .map_or_else(String::new, |remedy| format!("\n    → {remedy}"));
                format!("  {name} ({state}{needed}): {detail}{remedy}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(hooks: &str, privileges: &str) -> Host {
        Host::parse(&format!(
            r#"{{"capabilities": [
                {{"name": "privileges", "state": "{privileges}", "required": true,
                  "detail": "CAP_BPF missing", "remedy": "run as root"}},
                {{"name": "programs", "state": "active", "required": true, "detail": "built in"}},
                {{"name": "hooks", "state": "{hooks}", "required": true, "detail": "EPERM"}},
                {{"name": "targets", "state": "unavailable", "required": false, "detail": "none"}},
                {{"name": "nvml", "state": "unavailable", "required": false, "detail": "no driver"}}
            ]}}"#
        ))
        .expect("a check")
    }

    #[test]
    fn host_that_attaches_does_not_refuse() {
        assert_eq!(host("active", "active").refusal(), None);
        // Whatever the capabilities are, attaching is what counts.
        assert_eq!(host("active", "unavailable").refusal(), None);
    }

    #[test]
    fn refusal_names_the_cause_nearest_to_the_remedy() {
        assert_eq!(
            host("unavailable", "unavailable").refusal().as_deref(),
            Some("CAP_BPF missing (run as root)")
        );
        assert_eq!(host("failed", "active").refusal().as_deref(), Some("EPERM"));
    }

    #[test]
    fn limits_are_what_is_not_active() {
        assert_eq!(
            host("active", "unavailable").limits(),
            [
                "  privileges (unavailable, needed): CAP_BPF missing\n    → run as root",
                "  nvml (unavailable): no driver"
            ]
        );
    }

    #[test]
    fn answer_that_is_no_check_is_an_error() {
        assert!(Host::parse("").is_err());
        assert!(Host::parse("[]").is_err());
    }
}

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

    /// Why programs cannot be attached here, on one line; `None` where they can.
    pub(super) fn refusal(&self) -> Option<&str> {
        // The hooks are tried last, and say nothing of a binary without programs.
        ["programs", "hooks"].into_iter().find_map(|name| {
            self.capabilities
                .iter()
                .find(|capability| capability.name == name && capability.state != "active")
                .map(|capability| capability.detail.as_str())
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

    fn host(programs: &str, hooks: &str) -> Host {
        Host::parse(&format!(
            r#"{{"capabilities": [
                {{"name": "privileges", "state": "unavailable", "required": true,
                  "detail": "CAP_BPF missing", "remedy": "run as root"}},
                {{"name": "programs", "state": "{programs}", "required": true, "detail": "none"}},
                {{"name": "hooks", "state": "{hooks}", "required": true, "detail": "EPERM"}},
                {{"name": "targets", "state": "unavailable", "required": false, "detail": "none"}},
                {{"name": "nvml", "state": "unavailable", "required": false, "detail": "no driver"}}
            ]}}"#
        ))
        .expect("a check")
    }

    #[test]
    fn host_that_attaches_does_not_refuse() {
        // Whatever the capabilities are, attaching is what counts.
        assert_eq!(host("active", "active").refusal(), None);
    }

    #[test]
    fn refusal_is_what_stands_in_the_way_first() {
        assert_eq!(host("active", "unavailable").refusal(), Some("EPERM"));
        assert_eq!(host("unavailable", "failed").refusal(), Some("none"));
    }

    #[test]
    fn limits_are_what_is_not_active() {
        assert_eq!(
            host("active", "active").limits(),
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

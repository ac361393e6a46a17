//! Alertmanager's own tool on its configuration, and where each alert goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use probe_tests::skip::program;
use serde_json::Value;

use super::promtool::succeed;
use super::rules::{config, guide, shipped, yaml};

/// Keys that hold a secret when they do not end in `_file`.
const SECRETS: [&str; 8] = [
    "api_key",
    "api_url",
    "auth_password",
    "credentials",
    "password",
    "routing_key",
    "service_key",
    "token",
];

fn shipped_file() -> PathBuf {
    config().join("alertmanager/alertmanager.yml")
}

fn receiver(amtool: &Path, file: &Path, labels: &[&str]) -> String {
    let arguments = [&["config", "routes", "test"], labels].concat();
    let file = PathBuf::from(format!("--config.file={}", file.display()));
    let said = succeed(amtool, &arguments, &[file]);
    // The tool remarks on its own flags beside the answer.
    let answers = said.lines().filter(|line| !line.starts_with("Warning"));
    answers.collect::<Vec<_>>().join("\n")
}

#[test]
fn configuration_passes_alertmanagers_own_check() {
    if let Some(amtool) = program("amtool") {
        let said = succeed(&amtool, &["check-config"], &[shipped_file()]);
        assert!(said.contains("3 receivers"), "{said}");
    }
}

#[test]
fn alerts_go_where_the_guide_sends_them() {
    let Some(amtool) = program("amtool") else {
        return;
    };
    for (severity, expected) in [
        ("critical", "pagerduty"),
        ("warning", "slack"),
        ("none", "default"),
    ] {
        let labels = ["alertname=Any", &format!("severity={severity}")];
        let ours = receiver(&amtool, &shipped_file(), &labels);
        assert_eq!(ours, expected, "{severity}");
        let guides = receiver(&amtool, &guide("alertmanager.yml"), &labels);
        assert_eq!(ours, guides, "{severity}");
    }
}

#[test]
fn every_alert_has_a_severity_with_a_route() {
    let severities: BTreeSet<_> = shipped()
        .iter()
        .filter(|rule| rule.is_alert())
        .map(|rule| rule.labels.get("severity").cloned().unwrap_or_default())
        .collect();
    assert_eq!(
        severities,
        ["critical", "warning"].map(str::to_owned).into()
    );
}

fn inline_secrets(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if SECRETS.contains(&key.as_str()) {
                    found.push(key.clone());
                }
                inline_secrets(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| inline_secrets(value, found)),
        _ => {}
    }
}

#[test]
fn secrets_come_from_files() {
    let secrets_of = |file: PathBuf| {
        let mut found = Vec::new();
        inline_secrets(&yaml(&file), &mut found);
        found
    };
    assert_eq!(secrets_of(shipped_file()), Vec::<String>::new());
    let mut of_guide = secrets_of(guide("alertmanager.yml"));
    of_guide.sort();
    assert_eq!(
        of_guide,
        ["api_url", "service_key"],
        "the guide's are found"
    );
}

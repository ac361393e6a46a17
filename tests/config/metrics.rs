//! Every series that a rule may ask for, with its labels.

use std::collections::{BTreeMap, BTreeSet};

use probe_core::metrics::catalogue::{self, Kind};
use serde::Deserialize;

use super::expressions::parts;
use super::rules::{Name, Rule, config, yaml};

/// Label names by series name.
pub(crate) type Known = BTreeMap<String, BTreeSet<String>>;

/// The agent's own metrics beside the core's catalogue. The live test finds each in a scrape.
pub(crate) const AGENT: [(&str, &[&str]); 13] = [
    ("voxprobe_build_info", &["version"]),
    ("voxprobe_config_reloads_total", &["outcome"]),
    ("voxprobe_cpu_seconds_total", &[]),
    ("voxprobe_hook_backend", &["backend"]),
    ("voxprobe_hooks", &["name", "state"]),
    ("voxprobe_kernel_losses_total", &["reason"]),
    ("voxprobe_kernel_records_total", &[]),
    ("voxprobe_program_run_seconds_total", &["program"]),
    ("voxprobe_program_runs_total", &["program"]),
    ("voxprobe_resident_memory_bytes", &[]),
    ("voxprobe_scrape_duration_seconds_count", &[]),
    ("voxprobe_scrape_duration_seconds_sum", &[]),
    ("voxprobe_watched_processes", &["role"]),
];

/// What the agent exports.
pub(crate) fn exported() -> Known {
    let mut known = Known::new();
    let mut add = |name: &str, labels: &[&str], more: &[&str]| {
        let all = labels.iter().chain(more);
        known.insert(
            name.to_owned(),
            all.map(|label| (*label).to_owned()).collect(),
        );
    };
    for (name, labels) in AGENT {
        add(name, labels, &[]);
    }
    for entry in catalogue::all() {
        if let Kind::Histogram(_) = entry.kind {
            add(&format!("{}_bucket", entry.name), entry.labels, &["le"]);
            add(&format!("{}_sum", entry.name), entry.labels, &[]);
            add(&format!("{}_count", entry.name), entry.labels, &[]);
        } else {
            add(entry.name, entry.labels, &[]);
        }
    }
    known
}

/// Labels that Prometheus gives every series: its own, and those of `targets/voxprobe.yml`.
pub(crate) fn target_labels() -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Targets {
        labels: BTreeMap<String, String>,
    }
    let targets: Vec<Targets> = yaml(&config().join("prometheus/targets/voxprobe.yml"));
    let own = ["job", "instance"].map(str::to_owned);
    let given = targets.into_iter().flat_map(|target| target.labels);
    own.into_iter().chain(given.map(|(name, _)| name)).collect()
}

/// What the agent exports, what Prometheus makes itself, and what the rules record.
pub(crate) fn known(rules: &[Rule]) -> Known {
    let mut known = exported();
    known.insert("up".to_owned(), BTreeSet::new());
    let of_alerts = ["alertname", "alertstate", "severity"].map(str::to_owned);
    known.insert("ALERTS".to_owned(), of_alerts.into());
    for rule in rules {
        if let Name::Record(name) = &rule.name {
            let labels = recorded_labels(rule, &known);
            known.entry(name.clone()).or_default().extend(labels);
        }
    }
    known
}

/// Labels that a recorded series may have: those the rule adds, those it groups by, and without a
/// grouping those of what it selects.
fn recorded_labels(rule: &Rule, known: &Known) -> BTreeSet<String> {
    let parts = parts(&rule.expr);
    let selected = parts.selectors.iter().filter_map(|s| known.get(&s.name));
    let mut labels: BTreeSet<String> = rule.labels.keys().cloned().collect();
    if rule.expr.contains(" by (") {
        labels.extend(parts.grouping.iter().filter(|l| *l != "le").cloned());
    } else {
        labels.extend(selected.flatten().cloned());
    }
    labels
}

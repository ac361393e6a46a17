//! What Prometheus and Grafana are given.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::tools::{Tools, kubernetes, of_kind};
use crate::grafana::dashboards;
use crate::metrics::target_labels;
use crate::rules::{config, files, yaml};

fn contents(paths: &[PathBuf]) -> BTreeMap<String, String> {
    let read = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), fs::read_to_string(path).expect("a file"))
    };
    paths.iter().map(read).collect()
}

fn data(manifests: &[Value], name: &str) -> BTreeMap<String, String> {
    let data = &of_kind(manifests, "ConfigMap", name)["data"];
    serde_json::from_value(data.clone()).expect("texts")
}

#[test]
fn config_maps_hold_every_rule_file_and_every_dashboard() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let rules = contents(&files(&config().join("prometheus/rules"), "yml"));
    let boards = contents(&dashboards::paths());
    let created = json!({ "create": true });
    let chart = tools.helm(&json!({ "rules": created, "dashboards": created }));
    for manifests in [tools.kustomize("monitoring"), chart] {
        assert_eq!(data(&manifests, "voxprobe-rules"), rules);
        assert_eq!(data(&manifests, "voxprobe-dashboards"), boards);
        let found = of_kind(&manifests, "ConfigMap", "voxprobe-dashboards");
        // What Grafana's sidecar looks for.
        assert_eq!(found["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

/// The labels that a monitor's relabelings write.
fn written(endpoint: &Value) -> BTreeMap<String, Value> {
    let relabelings = endpoint["relabelings"].as_array().expect("relabelings");
    relabelings
        .iter()
        .map(|one| {
            let label = one["targetLabel"].as_str().expect("a label");
            (label.to_owned(), one["replacement"].clone())
        })
        .collect()
}

#[test]
fn monitors_select_the_agent_and_give_the_labels_that_rules_read() {
    let folder = kubernetes().join("monitoring");
    let labels: Value = yaml(&kubernetes().join("base/service.yaml"));
    let selected = &labels["spec"]["selector"];
    for (file, kind, endpoints) in [
        ("servicemonitor.yaml", "ServiceMonitor", "endpoints"),
        ("podmonitor.yaml", "PodMonitor", "podMetricsEndpoints"),
    ] {
        let monitor: Value = yaml(&folder.join(file));
        assert_eq!(monitor["kind"], kind);
        assert_eq!(
            &monitor["spec"]["selector"]["matchLabels"], selected,
            "{file}"
        );
        let endpoint = &monitor["spec"][endpoints][0];
        assert_eq!(endpoint["port"], "metrics");
        let written = written(endpoint);
        assert_eq!(written["job"], "voxprobe", "the rules name it");
        assert!(written.keys().all(|label| target_labels().contains(label)));
        assert!(written.contains_key("cluster") && written.contains_key("instance"));
    }
}

#[test]
fn chart_gives_the_same_monitors() {
    let Some(tools) = Tools::find() else {
        return;
    };
    for (file, kind, value) in [
        ("servicemonitor.yaml", "ServiceMonitor", "serviceMonitor"),
        ("podmonitor.yaml", "PodMonitor", "podMonitor"),
    ] {
        let ours: Value = yaml(&kubernetes().join("monitoring").join(file));
        let chart = tools.helm(&json!({ value: { "create": true } }));
        assert_eq!(of_kind(&chart, kind, "voxprobe")["spec"], ours["spec"]);
    }
}

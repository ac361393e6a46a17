//! Prometheus' own tool on the configuration, the rules and their unit tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use probe_tests::lab::Lab;
use probe_tests::skip::program;
use serde::Deserialize;

use super::rules::{Name, config, files, guide, shipped, yaml};

/// Runs a tool; it must succeed. Gives what it said.
pub(crate) fn succeed(tool: &Path, arguments: &[&str], paths: &[PathBuf]) -> String {
    let output = Command::new(tool)
        .args(arguments)
        .args(paths)
        .output()
        .unwrap_or_else(|error| panic!("run {}: {error}", tool.display()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{arguments:?} {paths:?}: {said}");
    said
}

fn tests() -> Vec<PathBuf> {
    files(&config().join("prometheus/tests"), "yml")
}

#[test]
fn configuration_and_rules_pass_prometheus_own_check() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let file = config().join("prometheus/prometheus.yml");
    let said = succeed(&promtool, &["check", "config"], &[file]);
    let rules = files(&config().join("prometheus/rules"), "yml");
    let checked = said.matches("rules found").count();
    assert_eq!(checked, rules.len(), "not every file is loaded: {said}");
    succeed(
        &promtool,
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &rules,
    );
}

#[test]
fn unit_tests_of_the_rules_pass() {
    if let Some(promtool) = program("promtool") {
        succeed(&promtool, &["test", "rules"], &tests());
    }
}

#[test]
fn guides_alerts_word_for_word_fire_on_our_series_where_they_can() {
    if let Some(promtool) = program("promtool") {
        let tests = guide("alerts-on-voxprobe.yml");
        succeed(&promtool, &["test", "rules"], &[tests]);
    }
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    alert_rule_test: Vec<AlertCase>,
    #[serde(default)]
    promql_expr_test: Vec<ExpressionCase>,
}

#[derive(Deserialize)]
struct AlertCase {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct ExpressionCase {
    expr: String,
}

/// How often each alert is expected to fire and to be silent.
fn expectations(files: &[PathBuf]) -> BTreeMap<String, (usize, usize)> {
    let mut expected: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in cases(files).iter().flat_map(|case| &case.alert_rule_test) {
        let (fires, silent) = expected.entry(case.alertname.clone()).or_default();
        *(if case.exp_alerts.is_empty() {
            silent
        } else {
            fires
        }) += 1;
    }
    expected
}

fn cases(files: &[PathBuf]) -> Vec<Case> {
    files
        .iter()
        .flat_map(|file| yaml::<TestFile>(file).tests)
        .collect()
}

#[test]
fn every_alert_is_seen_firing_and_silent() {
    let expected = expectations(&tests());
    for rule in shipped() {
        if let Name::Alert(name) = &rule.name {
            let (fires, silent) = expected.get(name).copied().unwrap_or_default();
            assert!(
                fires > 0 && silent > 0,
                "{name}: {fires} fires, {silent} silent"
            );
        }
    }
}

/// The alert of the guide that can fire on nothing that voxprobe exports, and those that fire are
/// tried in `alerts-on-voxprobe.yml`; the reasons stand there.
const CANNOT_FIRE: [&str; 2] = ["GPUMemoryExhaustion", "WorkerUnavailable"];

#[test]
fn every_alert_of_the_guide_is_tried_and_only_two_cannot_fire() {
    let expected = expectations(&[guide("alerts-on-voxprobe.yml")]);
    let rules = super::rules::read(&guide("alerts.yml"));
    assert_eq!(rules.len(), expected.len(), "{expected:?}");
    for rule in rules {
        let name = rule.name.text();
        let (fires, silent) = expected[name];
        assert_eq!(fires == 0, CANNOT_FIRE.contains(&name), "{name}");
        assert!(fires > 0 || silent > 0, "{name} is not tried");
    }
}

#[test]
fn every_recorded_series_is_computed_in_a_test() {
    let cases = cases(&tests());
    let asked: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.promql_expr_test)
        .map(|case| case.expr.as_str())
        .collect();
    for rule in shipped().iter().filter(|rule| !rule.is_alert()) {
        let name = rule.name.text();
        let slo = rule.labels.get("slo");
        let tested = asked.iter().any(|expr| {
            let named = expr.contains(name);
            named && slo.is_none_or(|slo| expr.contains(&format!("{name}{{slo=\"{slo}\"}}")))
        });
        // Read to the digit, or as the input of an alert's test.
        assert!(
            tested || read_by_alert(name),
            "{name} {slo:?} is not tested"
        );
    }
}

/// Whether an alert, which is tested firing and silent, reads the series.
fn read_by_alert(name: &str) -> bool {
    let rules = shipped();
    let mut alerts = rules.iter().filter(|rule| rule.is_alert());
    !name.starts_with("slo:") && alerts.any(|rule| rule.expr.contains(name))
}

/// Series of dcgm-exporter and of voxprobe for one GPU, and what the query of `config/README.md` gives.
fn join_of_dcgm_exporter(query: &str) -> String {
    let query = query.replace('\n', " ").replace('\'', "''");
    format!(
        r#"evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - series: 'DCGM_FI_DEV_GPU_UTIL{{gpu="3",UUID="GPU-a",Hostname="node"}}'
        values: '42'
      - series: 'DCGM_FI_DEV_GPU_UTIL{{gpu="4",UUID="GPU-b",Hostname="node"}}'
        values: '43'
      - series: 'voxprobe_gpu_info{{gpu_id="0",uuid="GPU-a",name="A100",instance="node"}}'
        values: '1'
    promql_expr_test:
      - expr: '{query}'
        eval_time: 0s
        exp_samples:
          - labels: '{{gpu="3",gpu_id="0",UUID="GPU-a",Hostname="node"}}'
            value: 42
"#
    )
}

#[test]
fn series_of_dcgm_exporter_join_ours_by_uuid() {
    let Some(promtool) = program("promtool") else {
        return;
    };
    let text = fs::read_to_string(config().join("README.md")).expect("the list");
    let block = text.split("```promql\n").nth(1).expect("a query");
    let query = block.split("```").next().expect("its end");
    let lab = Lab::new();
    let file = lab.write("dcgm.yml", join_of_dcgm_exporter(query));
    succeed(&promtool, &["test", "rules"], &[file]);
}

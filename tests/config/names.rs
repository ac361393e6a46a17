//! No rule asks for a series or a label that does not exist.

use std::collections::BTreeSet;

use super::expressions::parts;
use super::metrics::{Known, exported, known, target_labels};
use super::rules::{Rule, guide, read, shipped};

/// What is wrong with an expression: series and labels that nothing has.
pub(crate) fn strangers(
    expression: &str,
    known: &Known,
    targets: &BTreeSet<String>,
) -> Vec<String> {
    let parts = parts(expression);
    let mut strangers = Vec::new();
    let mut below = targets.clone();
    for selector in &parts.selectors {
        let Some(labels) = known.get(&selector.name) else {
            strangers.push(format!("series {}", selector.name));
            continue;
        };
        below.extend(labels.iter().cloned());
        for label in &selector.labels {
            if !labels.contains(label) && !targets.contains(label) {
                strangers.push(format!("label {label} of {}", selector.name));
            }
        }
    }
    let unknown = parts
        .grouping
        .iter()
        .filter(|label| !below.contains(*label));
    strangers.extend(unknown.map(|label| format!("grouping by {label}")));
    strangers
}

fn labels_of(rule: &Rule, known: &Known) -> BTreeSet<String> {
    let selectors = parts(&rule.expr).selectors;
    let selected = selectors.iter().filter_map(|s| known.get(&s.name));
    let mut labels: BTreeSet<String> = selected.flatten().cloned().collect();
    labels.extend(rule.labels.keys().cloned());
    labels
}

#[test]
fn every_series_and_label_of_a_rule_exists() {
    let rules = shipped();
    let (known, targets) = (known(&rules), target_labels());
    let mut wrong = Vec::new();
    for rule in &rules {
        let found = strangers(&rule.expr, &known, &targets);
        wrong.extend(
            found
                .iter()
                .map(|what| format!("{}: {what}", rule.name.text())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn series_and_labels_that_nothing_has_are_found() {
    let (known, targets) = (known(&shipped()), target_labels());
    let found = |expression| strangers(expression, &known, &targets);
    assert_eq!(found("up{job=\"voxprobe\"}"), Vec::<String>::new());
    assert_eq!(
        found("worker_sessions_activ"),
        ["series worker_sessions_activ"]
    );
    assert_eq!(
        found("worker_sessions_active{model_id=\"m\"}"),
        ["label model_id of worker_sessions_active"]
    );
    assert_eq!(
        found("sum by (node) (worker_sessions_active)"),
        ["grouping by node"]
    );
}

#[test]
fn every_label_that_an_annotation_shows_exists() {
    let rules = shipped();
    let (known, targets) = (known(&rules), target_labels());
    for rule in rules.iter().filter(|rule| rule.is_alert()) {
        let mut labels = labels_of(rule, &known);
        labels.extend(targets.iter().cloned());
        for text in rule.annotations.values() {
            for part in text.split("$labels.").skip(1) {
                let end = part.find(|c: char| !c.is_alphanumeric() && c != '_');
                let label = &part[..end.unwrap_or(part.len())];
                assert!(
                    labels.contains(label),
                    "{} shows the label {label}, which it cannot have",
                    rule.name.text()
                );
            }
        }
    }
}

#[test]
fn every_recorded_series_is_named_level_metric_operation() {
    for rule in shipped().iter().filter(|rule| !rule.is_alert()) {
        let name = rule.name.text();
        assert_eq!(name.split(':').count(), 3, "{name}");
    }
}

#[test]
fn every_series_of_the_guides_alerts_is_exported() {
    let (exported, targets) = (exported(), target_labels());
    for rule in read(&guide("alerts.yml")) {
        let found = strangers(&rule.expr, &exported, &targets);
        // `up` is Prometheus' own.
        let expected = if rule.name.text() == "WorkerUnavailable" {
            vec!["series up".to_owned()]
        } else {
            Vec::new()
        };
        assert_eq!(found, expected, "{}", rule.name.text());
    }
}

//! No panel and no variable asks for a series or a label that does not exist.

use std::collections::BTreeSet;

use super::dashboards::{filled, shipped};
use crate::expressions::parts;
use crate::metrics::{known, target_labels};
use crate::names::strangers;
use crate::rules::shipped as rules;

#[test]
fn every_series_and_label_of_a_query_exists() {
    let (known, targets) = (known(&rules()), target_labels());
    let mut wrong = Vec::new();
    for dashboard in shipped() {
        let asked = dashboard.panels.iter().flat_map(|panel| {
            let queries = panel.targets.iter().map(|target| target.expr.clone());
            queries.map(|query| (panel.title.clone(), query))
        });
        let offered = dashboard.variables().into_iter();
        let offered = offered.map(|(name, selector, label)| {
            // A label that nothing has is found as a grouping.
            (name, format!("count by ({label}) ({selector})"))
        });
        for (of, query) in asked.chain(offered) {
            let found = strangers(&filled(&query), &known, &targets);
            wrong.extend(
                found
                    .iter()
                    .map(|what| format!("{}: {of}: {what}", dashboard.title)),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Labels that a legend shows.
fn shown(legend: &str) -> Vec<&str> {
    let parts = legend.split("{{").skip(1);
    parts.filter_map(|part| part.split("}}").next()).collect()
}

#[test]
fn every_label_of_a_legend_is_one_of_its_query() {
    let (known, targets) = (known(&rules()), target_labels());
    for dashboard in shipped() {
        for panel in &dashboard.panels {
            for target in &panel.targets {
                let query = filled(&target.expr);
                let parts = parts(&query);
                // An aggregation keeps what it groups by and nothing else.
                let has: BTreeSet<String> = if query.contains(" by (") {
                    parts.grouping.into_iter().collect()
                } else {
                    let selected = parts.selectors.iter().filter_map(|s| known.get(&s.name));
                    selected.flatten().chain(&targets).cloned().collect()
                };
                for label in shown(&target.legend) {
                    assert!(
                        has.contains(label),
                        "{}: {}: the legend shows {label}, which {query} has not",
                        dashboard.title,
                        panel.title
                    );
                }
            }
        }
    }
}

#[test]
fn every_query_is_narrowed_by_what_is_chosen() {
    // Budgets are the same everywhere.
    let everywhere = ["slo:error_budget:ratio"];
    for dashboard in shipped() {
        for panel in &dashboard.panels {
            for target in &panel.targets {
                for selector in parts(&filled(&target.expr)).selectors {
                    let narrowed = selector.labels.iter().any(|label| label == "cluster");
                    assert!(
                        narrowed || everywhere.contains(&selector.name.as_str()),
                        "{}: {}: {}",
                        dashboard.title,
                        panel.title,
                        selector.query
                    );
                }
            }
        }
    }
}

#[test]
fn every_variable_is_used_and_every_used_one_is_there() {
    for dashboard in shipped() {
        let names = dashboard.variable_names();
        let queries: Vec<String> = dashboard
            .panels
            .iter()
            .flat_map(|panel| &panel.targets)
            .map(|target| target.expr.clone())
            .collect();
        for name in ["cluster", "node", "worker", "gpu", "model"] {
            let used = queries
                .iter()
                .any(|query| query.contains(&format!("\"${name}\"")));
            assert_eq!(used, names.contains(&name), "{}: {name}", dashboard.title);
        }
        assert_eq!(names.first(), Some(&"datasource"), "{}", dashboard.title);
    }
}

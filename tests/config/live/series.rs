//! How many series every rule, and every selector in it, returns.

use std::collections::BTreeSet;

use super::servers::Server;
use crate::expressions::parts;
use crate::rules::{Rule, shipped};

/// Why a selector returns nothing here: part of its series' name, and the reason.
const NOTHING: [(&str, &str); 7] = [
    ("orchestrator_session_errors_total", "no session fails"),
    (
        "redis_command_errors_total",
        "every Redis command is answered",
    ),
    (
        "redis_unanswered_commands",
        "every Redis command is answered",
    ),
    ("voxprobe_series_overflow_total", "no label is at its bound"),
    ("method=\"unknown\"", "every call's method is known"),
    (
        "worker_audio_underruns_total",
        "no frame came too late for its listener",
    ),
    ("state=~\"lost|vanished\"", "the GPU is there"),
];

/// Runs every rule's expression and each of its selectors, and prints how many series came.
///
/// # Panics
/// When one is empty without a reason.
#[allow(
    clippy::print_stdout,
    reason = "the list is what the test is asked for"
)]
pub(super) fn list(prometheus: &Server) {
    let mut unexplained = Vec::new();
    println!("{:>6}  rule", "series");
    for rule in shipped() {
        let found = count(prometheus, &rule.expr);
        let reason = if found > 0 {
            String::new()
        } else {
            empty_because(prometheus, &rule).unwrap_or_else(|| {
                unexplained.push(rule.name.text().to_owned());
                "NO REASON".to_owned()
            })
        };
        let labels: Vec<_> = rule.labels.values().map(String::as_str).collect();
        println!(
            "{found:>6}  {} {} {reason}",
            rule.name.text(),
            labels.join(" ")
        );
    }
    assert!(
        unexplained.is_empty(),
        "empty without a reason: {unexplained:?}"
    );
}

/// Series that an expression returns, with the ranges of the copy that runs.
fn count(prometheus: &Server, expression: &str) -> usize {
    prometheus.query(&super::scale::faster(expression).0).len()
}

/// Why a rule returns nothing: an alert's condition does not hold although all that it reads is there;
/// or something that it reads is not there, for a known reason.
fn empty_because(prometheus: &Server, rule: &Rule) -> Option<String> {
    let mut reasons = BTreeSet::new();
    for selector in parts(&rule.expr).selectors {
        if count(prometheus, &selector.query) > 0 {
            continue;
        }
        let known = NOTHING
            .iter()
            .find(|(part, _)| selector.query.contains(part));
        let (_, reason) = known?;
        reasons.insert(*reason);
    }
    if !reasons.is_empty() {
        return Some(format!(
            "({})",
            reasons.into_iter().collect::<Vec<_>>().join("; ")
        ));
    }
    rule.is_alert()
        .then(|| "(the condition does not hold)".to_owned())
}

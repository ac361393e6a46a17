//! How many series every rule, every panel and every variable returns, and every selector in them.

use std::collections::BTreeSet;

use super::scale::faster;
use super::servers::Server;
use crate::expressions::parts;
use crate::grafana::dashboards::{self, filled};
use crate::rules::{Rule, shipped};

/// Why a selector returns nothing here: part of its series' name, and the reason.
const NOTHING: [(&str, &str); 7] = [
    (
        "error_type=\"worker_unavailable\"",
        "every worker can be reached",
    ),
    (
        "error_type=~\"timeout|connection_error\"",
        "every Redis command is answered",
    ),
    (
        "redis_unanswered_commands",
        "every Redis command is answered",
    ),
    ("voxprobe_series_overflow_total", "no label is at its bound"),
    ("voxprobe_trace_spans", "no traces are exported"),
    ("method=\"unknown\"", "every call's method is known"),
    ("state=~\"lost|vanished\"", "the GPU is there"),
];

/// Why an expression returns nothing here although all that it reads is there: part of it, and the
/// reason.
const FILTERED: [(&str, &str); 1] = [(
    "voxprobe_program_runs_total",
    "the kernel does not count runs of programs: kernel.bpf_stats_enabled",
)];

/// What is asked, by whom.
struct Question {
    /// Whose it is.
    of: String,
    expression: String,
    /// An alert's condition need not hold.
    is_condition: bool,
}

/// Runs every question and each of its selectors, and prints how many series came.
///
/// # Panics
/// When one is empty without a reason.
#[allow(
    clippy::print_stdout,
    reason = "the list is what the test is asked for"
)]
pub(super) fn list(prometheus: &Server) {
    let mut unexplained = Vec::new();
    println!("{:>6}  asked by", "series");
    for question in rules().chain(panels()).chain(variables()) {
        let found = count(prometheus, &question.expression);
        let reason = if found > 0 {
            String::new()
        } else {
            empty_because(prometheus, &question).unwrap_or_else(|| {
                unexplained.push(question.of.clone());
                "NO REASON".to_owned()
            })
        };
        println!("{found:>6}  {} {reason}", question.of);
    }
    assert!(
        unexplained.is_empty(),
        "empty without a reason: {unexplained:?}"
    );
}

fn rules() -> impl Iterator<Item = Question> {
    shipped().into_iter().map(|rule: Rule| {
        let labels: Vec<_> = rule.labels.values().map(String::as_str).collect();
        Question {
            of: format!("{} {}", rule.name.text(), labels.join(" ")),
            is_condition: rule.is_alert(),
            expression: rule.expr,
        }
    })
}

fn panels() -> impl Iterator<Item = Question> {
    dashboards::shipped().into_iter().flat_map(|dashboard| {
        let panels = dashboard.panels.into_iter();
        panels.flat_map(move |panel| {
            let of = format!("{}: {}", dashboard.title, panel.title);
            let targets = panel.targets.into_iter();
            targets.map(move |target| Question {
                of: format!("{of} {}", target.legend),
                expression: filled(&target.expr),
                is_condition: false,
            })
        })
    })
}

fn variables() -> impl Iterator<Item = Question> {
    dashboards::shipped().into_iter().flat_map(|dashboard| {
        let offered = dashboard.variables().into_iter();
        offered.map(move |(name, selector, label)| Question {
            of: format!("{}: ${name}", dashboard.title),
            expression: filled(&format!("count by ({label}) ({selector})")),
            is_condition: false,
        })
    })
}

/// Series that an expression returns, with the ranges of the copy that runs.
fn count(prometheus: &Server, expression: &str) -> usize {
    prometheus.query(&faster(expression).0).len()
}

/// Why a question returns nothing: an alert's condition does not hold although all that it reads is
/// there; or something that it reads is not there, for a known reason.
fn empty_because(prometheus: &Server, question: &Question) -> Option<String> {
    let mut reasons = BTreeSet::new();
    for selector in parts(&question.expression).selectors {
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
    let filtered = FILTERED
        .iter()
        .find(|(part, _)| question.expression.contains(part));
    match filtered {
        Some((_, reason)) => Some(format!("({reason})")),
        None => question
            .is_condition
            .then(|| "(the condition does not hold)".to_owned()),
    }
}

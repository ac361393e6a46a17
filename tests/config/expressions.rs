//! What a `PromQL` expression asks for: series, and the labels it groups and joins by.

use std::convert::Infallible;

use promql_parser::label::Labels;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

/// One selector of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// Name of the series.
    pub(crate) name: String,
    /// Labels it matches.
    pub(crate) labels: Vec<String>,
    /// As an instant query of its own: without range and offset.
    pub(crate) query: String,
}

/// An expression, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Everything it selects.
    pub(crate) selectors: Vec<Selector>,
    /// Labels of `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`.
    pub(crate) grouping: Vec<String>,
}

/// Takes an expression apart; it must be one.
pub(crate) fn parts(expression: &str) -> Parts {
    let parsed = parser::parse(expression).unwrap_or_else(|e| panic!("{expression}: {e}"));
    let mut parts = Parts::default();
    let Ok(_) = walk_expr(&mut parts, &parsed);
    parts
}

impl Parts {
    fn select(&mut self, selector: &VectorSelector) {
        let mut bare = selector.clone();
        bare.offset = None;
        bare.at = None;
        let matchers = selector.matchers.matchers.iter();
        self.selectors.push(Selector {
            name: selector.name.clone().unwrap_or_default(),
            labels: matchers.map(|matcher| matcher.name.clone()).collect(),
            query: Expr::VectorSelector(bare).to_string(),
        });
    }

    fn group(&mut self, labels: &Labels) {
        self.grouping.extend(labels.labels.iter().cloned());
    }
}

impl ExprVisitor for Parts {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                if let Some(modifier) = &aggregate.modifier {
                    self.group(modifier.labels());
                }
            }
            Expr::Binary(binary) => {
                if let Some(modifier) = &binary.modifier {
                    if let Some(matching) = &modifier.matching {
                        self.group(matching.labels());
                    }
                    if let Some(labels) = modifier.card.labels() {
                        self.group(labels);
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn expression_is_taken_apart_to_its_selectors_and_groupings() {
    let parts =
        parts("sum by (a) (rate(x_total{b=~\"c\"}[5m] offset 1m)) / on (d) group_left (e) y");
    let selected: Vec<_> = parts
        .selectors
        .iter()
        .map(|s| (s.name.as_str(), s.query.as_str()))
        .collect();
    assert_eq!(selected, [("x_total", "x_total{b=~\"c\"}"), ("y", "y")]);
    assert_eq!(parts.selectors[0].labels, ["b"]);
    let mut grouping = parts.grouping;
    grouping.sort();
    assert_eq!(grouping, ["a", "d", "e"]);
}

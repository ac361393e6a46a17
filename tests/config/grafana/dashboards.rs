//! Dashboards as data.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::rules::{config, files};

/// One dashboard.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dashboard {
    /// What Grafana knows it by.
    pub(crate) uid: String,
    /// What people know it by.
    pub(crate) title: String,
    /// Its panels, rows included.
    pub(crate) panels: Vec<Panel>,
    templating: Templating,
}

#[derive(Clone, Debug, Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

/// What a person chooses at the top.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Variable {
    /// `$name` in queries.
    pub(crate) name: String,
    /// What it offers.
    query: Value,
}

/// One panel.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Panel {
    /// What it is called.
    pub(crate) title: String,
    /// How it is drawn.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Where it lies.
    #[serde(rename = "gridPos")]
    pub(crate) place: Place,
    /// Its data source.
    #[serde(default)]
    pub(crate) datasource: Value,
    /// Its queries.
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
    /// How values look.
    #[serde(default, rename = "fieldConfig")]
    pub(crate) look: Value,
}

/// A panel's place on the grid, which is 24 columns wide.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Place {
    /// First column.
    pub(crate) x: u32,
    /// First line.
    pub(crate) y: u32,
    /// Columns.
    pub(crate) w: u32,
    /// Lines.
    pub(crate) h: u32,
}

/// One query of a panel.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    /// `PromQL` with variables.
    pub(crate) expr: String,
    /// The series' name in the legend.
    #[serde(rename = "legendFormat")]
    pub(crate) legend: String,
}

impl Dashboard {
    /// The variables that come from a query, with what they ask for: a selector and a label.
    pub(crate) fn variables(&self) -> Vec<(String, String, String)> {
        let queried = self.templating.list.iter().filter_map(|variable| {
            let text = variable.query["query"].as_str()?;
            let inner = text.strip_prefix("label_values(")?.strip_suffix(')')?;
            let (selector, label) = inner.rsplit_once(", ")?;
            Some((variable.name.clone(), selector.to_owned(), label.to_owned()))
        });
        queried.collect()
    }

    /// Names of every variable.
    pub(crate) fn variable_names(&self) -> Vec<&str> {
        let list = self.templating.list.iter();
        list.map(|variable| variable.name.as_str()).collect()
    }
}

/// The expression as Grafana sends it when everything is chosen and an hour is shown.
pub(crate) fn filled(expression: &str) -> String {
    let mut filled = expression
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h");
    for name in ["cluster", "node", "worker", "gpu", "model"] {
        filled = filled.replace(&format!("\"${name}\""), "\".*\"");
    }
    assert!(!filled.contains('$'), "{filled}: an unknown variable");
    filled
}

/// The dashboards' files.
pub(crate) fn paths() -> Vec<PathBuf> {
    files(&config().join("grafana/dashboards"), "json")
}

/// Every dashboard.
pub(crate) fn shipped() -> Vec<Dashboard> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a dashboard");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    paths().iter().map(read).collect()
}

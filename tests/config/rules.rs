//! Rule files as data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One rule, recording or alerting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is called.
    pub(crate) name: Name,
    /// Its `PromQL`.
    pub(crate) expr: String,
    /// Labels it adds.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations of an alert.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a rule makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A series.
    Record(String),
    /// An alert.
    Alert(String),
}

impl Name {
    /// The name itself.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Record(name) | Self::Alert(name) => name,
        }
    }
}

impl Rule {
    /// Whether it is an alert.
    pub(crate) fn is_alert(&self) -> bool {
        matches!(self.name, Name::Alert(_))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "interval")]
    _interval: String,
    rules: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    _wait: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The workspace's `config` folder.
pub(crate) fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

/// The observability guide's own files.
pub(crate) fn guide(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/guide")
        .join(file)
}

/// Every file of a folder with this extension, in order.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a folder's entry").path())
        .filter(|path| path.extension().is_some_and(|has| has == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    files
}

/// A YAML file.
pub(crate) fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rules of one file.
pub(crate) fn read(path: &Path) -> Vec<Rule> {
    let file: RuleFile = yaml(path);
    let mut rules = Vec::new();
    for group in file.groups {
        for entry in group.rules {
            let name = match (entry.record, entry.alert) {
                (Some(name), None) => Name::Record(name),
                (None, Some(name)) => Name::Alert(name),
                other => panic!("{}: a rule is {other:?}", path.display()),
            };
            rules.push(Rule {
                name,
                expr: entry.expr,
                labels: entry.labels,
                annotations: entry.annotations,
            });
        }
    }
    rules
}

/// Every shipped rule.
pub(crate) fn shipped() -> Vec<Rule> {
    files(&config().join("prometheus/rules"), "yml")
        .iter()
        .flat_map(|path| read(path))
        .collect()
}

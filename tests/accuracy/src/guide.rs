//! The guide's metrics, from `tests/data/guide.metrics`: what has to be exported, and how.

use std::collections::{BTreeMap, BTreeSet};

use probe_tests::exposition::{Exposition, Sample};

/// Name, kind, labels and buckets of every metric of the guide.
const TEXT: &str = include_str!("../../data/guide.metrics");

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric of the guide.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Labels by name, with the values they may have where the list is closed.
    pub(crate) labels: BTreeMap<&'static str, Option<BTreeSet<&'static str>>>,
    /// Upper bounds, `+Inf` left out, as written.
    pub(crate) buckets: Vec<&'static str>,
}

/// All of them, in the guide's order.
pub(crate) fn metrics() -> Vec<Metric> {
    let lines = TEXT.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse(line).unwrap_or_else(|| panic!("guide.metrics: `{line}`")))
        .collect()
}

fn parse(line: &'static str) -> Option<Metric> {
    let mut columns = line.split_ascii_whitespace();
    let name = columns.next()?;
    let kind = match columns.next()? {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        _ => return None,
    };
    let labels = columns.next()?.split(',').filter(|label| *label != "-");
    let labels = labels.map(|label| match label.split_once('=') {
        Some((name, values)) => (name, Some(values.split('|').collect())),
        None => (label, None),
    });
    let labels = labels.map(|(name, values)| (name.trim_start_matches('+'), values));
    let buckets: Vec<_> = columns
        .next()
        .into_iter()
        .flat_map(|it| it.split(','))
        .collect();
    let fits = buckets.is_empty() != (kind == Kind::Histogram);
    (fits && columns.next().is_none()).then(|| Metric {
        name,
        kind,
        labels: labels.collect(),
        buckets,
    })
}

impl Metric {
    /// What is wrong with how it is exported; nothing where all is as the guide has it.
    pub(crate) fn faults(&self, scrape: &Exposition) -> Vec<String> {
        let name = match self.kind {
            Kind::Counter | Kind::Gauge => self.name.to_owned(),
            Kind::Histogram => format!("{}_bucket", self.name),
        };
        let mut faults = BTreeSet::new();
        let mut bounds: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for sample in scrape.series(&name, &[]) {
            faults.extend(self.label_faults(sample));
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            bounds.entry(labels).or_default().extend(bound);
        }
        if bounds.is_empty() {
            faults.insert(format!("{} is not exported", self.name));
        }
        if self.kind == Kind::Histogram {
            let expected = [&self.buckets[..], &["+Inf"]].concat();
            for (labels, found) in bounds {
                if found != expected {
                    faults.insert(format!("{} {labels:?} has buckets {found:?}", self.name));
                }
            }
        }
        faults.into_iter().collect()
    }

    fn label_faults(&self, sample: &Sample) -> Option<String> {
        let labels = sample.labels.iter().filter(|(name, _)| *name != "le");
        let labels: BTreeMap<&str, &str> = labels
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if !labels.keys().eq(self.labels.keys()) {
            let found: Vec<_> = labels.keys().collect();
            return Some(format!("{} has labels {found:?}", self.name));
        }
        labels.iter().find_map(|(name, value)| {
            let allowed = self.labels.get(name)?.as_ref()?;
            let is_listed = allowed.contains(value);
            (!is_listed).then(|| format!("{} has {name}={value:?}", self.name))
        })
    }
}

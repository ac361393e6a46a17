//! Counters and gauges as the agent exports them, beside what a process says of itself.

use std::collections::BTreeMap;

use voicelab::truth::{Measure, Reading};

use crate::exposition::Exposition;

/// Values by series, in one order on both sides; series at 0 are left out.
pub type Account = BTreeMap<String, f64>;

/// Those that the agent exports under names with this prefix.
pub fn exported(scrape: &Exposition, prefix: &str) -> Account {
    let samples = scrape.samples().iter();
    let counted = samples.filter(|sample| counts(&sample.name, prefix));
    add_up(counted.map(|sample| (series(&sample.name, &sample.labels), sample.value)))
}

/// Those that a process knows of itself.
pub fn known(measures: &[Measure], prefix: &str) -> Account {
    let counted = measures
        .iter()
        .filter(|measure| counts(&measure.metric, prefix));
    add_up(counted.filter_map(|measure| match measure.reading {
        Reading::Value(value) => Some((series(&measure.metric, &measure.labels), value)),
        Reading::Samples(_) => None,
    }))
}

/// What was added to an account since an earlier one.
pub fn since(account: &Account, earlier: &Account) -> Account {
    let taken = earlier.iter().map(|(name, value)| (name.clone(), -value));
    let all = account.iter().map(|(name, value)| (name.clone(), *value));
    add_up(all.chain(taken))
}

/// The same without series of these labels, written `name="value"`.
pub fn without(account: &Account, label: &str) -> Account {
    let kept = account.iter().filter(|(series, _)| !series.contains(label));
    kept.map(|(series, value)| (series.clone(), *value))
        .collect()
}

/// Whether it is a counter or a gauge with the prefix: no part of a histogram ends like these.
fn counts(name: &str, prefix: &str) -> bool {
    name.starts_with(prefix) && (name.ends_with("_total") || name.ends_with("_active"))
}

fn series(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""));
    format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","))
}

fn add_up(values: impl Iterator<Item = (String, f64)>) -> Account {
    let mut account = Account::new();
    for (name, value) in values {
        *account.entry(name).or_default() += value;
    }
    account.retain(|_, value| *value != 0.0);
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str =
        "a_total{x=\"1\"} 2\na_total{x=\"2\"} 0\na_active 1\na_ms_count 7\nb_total 3\n";

    #[test]
    fn both_sides_have_the_same_series() {
        let scrape = Exposition::parse(SCRAPE);
        let measure = |metric: &str, labels: &[(&str, &str)], value| Measure {
            metric: metric.to_owned(),
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            reading: Reading::Value(value),
        };
        let measures = [
            measure("a_total", &[("x", "1")], 2.0),
            measure("a_active", &[], 1.0),
            measure("b_total", &[], 3.0),
        ];
        assert_eq!(exported(&scrape, "a_"), known(&measures, "a_"));
        assert_eq!(exported(&scrape, "a_").len(), 2);
    }

    #[test]
    fn difference_has_what_was_added_alone() {
        let account = exported(&Exposition::parse(SCRAPE), "a_");
        let earlier = without(&account, "x=\"1\"");
        let added = since(&account, &earlier);
        assert_eq!(added, Account::from([("a_total{x=\"1\"}".to_owned(), 2.0)]));
    }
}

//! What was injected against what was named.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Fault;
use super::watch::Found;

/// Runs by fault and by what was named.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    rows: Vec<(&'static Fault, BTreeMap<String, u64>)>,
    /// Late frames by the share of their interval that is unexplained, percent.
    unexplained: BTreeMap<u64, u64>,
}

impl Matrix {
    pub(crate) fn add(&mut self, fault: &'static Fault, found: &Found) {
        let known = self.rows.iter().position(|(one, _)| one.name == fault.name);
        let index = known.unwrap_or(self.rows.len());
        if known.is_none() {
            self.rows.push((fault, BTreeMap::new()));
        }
        if let Some((_, row)) = self.rows.get_mut(index) {
            for cause in &found.named {
                *row.entry(cause.clone()).or_default() += 1;
            }
        }
        for (percent, frames) in &found.unexplained {
            *self.unexplained.entry(*percent).or_default() += frames;
        }
    }

    /// Whether enough of all runs, and of each fault's, were named rightly, a run without a fault named
    /// none, and no more than this share of the intervals is unexplained at the median.
    pub(crate) fn holds(&self, overall: f64, each: f64, unexplained_percent: u64) -> bool {
        let (right, all) = self.sum();
        let rows = self.rows.iter().all(|(fault, row)| {
            let least = if fault.name == "none" { 1.0 } else { each };
            share(right_of(fault, row), row.values().sum()) >= least
        });
        rows && share(right, all) >= overall && self.median() <= unexplained_percent
    }

    /// The matrix as Markdown, and what it adds up to.
    pub(crate) fn lines(&self) -> Vec<String> {
        let named: BTreeSet<&String> = self.rows.iter().flat_map(|(_, row)| row.keys()).collect();
        let heading: Vec<_> = named.iter().map(|cause| format!(" {cause} |")).collect();
        let mut lines = vec![
            format!("| injected | runs | right |{}", heading.concat()),
            format!("| --- | ---: | ---: |{}", " ---: |".repeat(named.len())),
        ];
        for (fault, row) in &self.rows {
            let runs = row.values().sum();
            let cells: Vec<_> = named
                .iter()
                .map(|cause| {
                    row.get(*cause)
                        .map_or_else(|| " |".to_owned(), |runs| format!(" {runs} |"))
                })
                .collect();
            lines.push(format!(
                "| {} | {runs} | {:.0} % |{}",
                fault.name,
                100.0 * share(right_of(fault, row), runs),
                cells.concat()
            ));
        }
        let (right, all) = self.sum();
        lines.push(format!(
            "{right} of {all} runs right ({:.1} %); {} % of a late frame's interval unexplained at the \
             median",
            100.0 * share(right, all),
            self.median()
        ));
        lines
    }

    fn sum(&self) -> (u64, u64) {
        let rows = self.rows.iter();
        rows.fold((0, 0), |(right, all), (fault, row)| {
            (
                right + right_of(fault, row),
                all + row.values().sum::<u64>(),
            )
        })
    }

    fn median(&self) -> u64 {
        let all: u64 = self.unexplained.values().sum();
        let mut seen = 0;
        let middle = self.unexplained.iter().find(|(_, frames)| {
            seen += **frames;
            seen * 2 >= all
        });
        middle.map_or(0, |(percent, _)| *percent)
    }
}

fn right_of(fault: &Fault, row: &BTreeMap<String, u64>) -> u64 {
    let right = row
        .iter()
        .filter(|(cause, _)| fault.right.contains(&cause.as_str()));
    right.map(|(_, runs)| *runs).sum()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str) -> &'static Fault {
        let mut all = Fault::ALL.iter();
        all.find(|fault| fault.name == name).expect("a fault")
    }

    fn found(named: &[&str], unexplained: u64) -> Found {
        Found {
            named: named.iter().map(|name| (*name).to_owned()).collect(),
            unexplained: vec![(unexplained, 3)],
        }
    }

    #[test]
    fn matrix_holds_only_when_enough_is_right() {
        let mut matrix = Matrix::default();
        matrix.add(fault("lock"), &found(&["lock"; 9], 2));
        matrix.add(fault("lock"), &found(&["own_timer"], 2));
        assert!(matrix.holds(0.9, 0.8, 10));
        assert!(!matrix.holds(0.95, 0.8, 10));
        assert!(!matrix.holds(0.9, 0.95, 10));
        assert!(!matrix.holds(0.9, 0.8, 1));
        let line = matrix.lines().join("\n");
        assert!(line.contains("| lock | 10 | 90 % | 9 | 1 |"), "{line}");
        matrix.add(fault("none"), &found(&["none", "none", "lock"], 2));
        assert!(
            !matrix.holds(0.0, 0.5, 10),
            "a run without a fault named one"
        );
    }
}

//! What was injected against what was named.

use std::collections::{BTreeMap, BTreeSet};

use probe_tests::peer::Kind;

use super::fault::Fault;
use super::watch::Found;

/// Runs of one fault in one kind of worker by what was named.
#[derive(Debug)]
struct Row {
    fault: &'static Fault,
    worker: Kind,
    named: BTreeMap<String, u64>,
}

impl Row {
    fn runs(&self) -> u64 {
        self.named.values().sum()
    }

    fn right(&self) -> u64 {
        let named = self.named.iter();
        let right = named.filter(|(cause, _)| self.fault.right.contains(&cause.as_str()));
        right.map(|(_, runs)| *runs).sum()
    }
}

/// Runs by fault and by what was named.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    rows: Vec<Row>,
    /// Faults that this machine cannot have.
    skipped: Vec<&'static str>,
    /// Late frames by the share of their interval that is unexplained, percent.
    unexplained: BTreeMap<u64, u64>,
}

impl Matrix {
    pub(crate) fn add(&mut self, fault: &'static Fault, worker: Kind, found: &Found) {
        let is = |row: &&mut Row| row.fault.name == fault.name && row.worker == worker;
        if self.rows.iter_mut().find(is).is_none() {
            self.rows.push(Row {
                fault,
                worker,
                named: BTreeMap::new(),
            });
        }
        if let Some(row) = self.rows.iter_mut().find(is) {
            for cause in &found.named {
                *row.named.entry(cause.clone()).or_default() += 1;
            }
        }
        for (percent, frames) in &found.unexplained {
            *self.unexplained.entry(*percent).or_default() += frames;
        }
    }

    /// The fault could not be injected; the reason was said.
    pub(crate) fn skip(&mut self, fault: &'static Fault) {
        if !self.skipped.contains(&fault.name) {
            self.skipped.push(fault.name);
        }
    }

    /// Whether enough of all runs, and of each row's, were named rightly, a run without a fault named
    /// none, and no more than this share of the intervals is unexplained at the median.
    pub(crate) fn holds(&self, overall: f64, each: f64, unexplained_percent: u64) -> bool {
        let (right, all) = self.sum();
        let rows = self.rows.iter().all(|row| {
            let least = if row.fault.name == "none" { 1.0 } else { each };
            share(row.right(), row.runs()) >= least
        });
        rows && share(right, all) >= overall && self.median() <= unexplained_percent
    }

    /// The matrix as Markdown, and what it adds up to.
    pub(crate) fn lines(&self) -> Vec<String> {
        let causes: BTreeSet<&String> = self.rows.iter().flat_map(|row| row.named.keys()).collect();
        let heading: Vec<_> = causes.iter().map(|cause| format!(" {cause} |")).collect();
        let mut lines = vec![
            format!("| injected | worker | runs | right |{}", heading.concat()),
            format!(
                "| --- | --- | ---: | ---: |{}",
                " ---: |".repeat(causes.len())
            ),
        ];
        for row in &self.rows {
            let cells: Vec<_> = causes
                .iter()
                .map(|cause| {
                    let runs = row.named.get(*cause);
                    runs.map_or_else(|| " |".to_owned(), |runs| format!(" {runs} |"))
                })
                .collect();
            lines.push(format!(
                "| {} | {} | {} | {:.0} % |{}",
                row.fault.name,
                name(row.worker),
                row.runs(),
                100.0 * share(row.right(), row.runs()),
                cells.concat()
            ));
        }
        let (right, all) = self.sum();
        lines.push(format!(
            "{right} of {all} runs right ({:.1} %); {} % of a late frame's interval unexplained at the \
             median; skipped: {}",
            100.0 * share(right, all),
            self.median(),
            if self.skipped.is_empty() {
                "none".to_owned()
            } else {
                self.skipped.join(", ")
            }
        ));
        lines
    }

    fn sum(&self) -> (u64, u64) {
        let rows = self.rows.iter();
        rows.fold((0, 0), |(right, all), row| {
            (right + row.right(), all + row.runs())
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

/// What a worker is called in the table.
pub(crate) fn name(worker: Kind) -> &'static str {
    match worker {
        Kind::Tonic => "voicelab",
        Kind::GrpcSync => "grpcio",
        Kind::GrpcAio => "grpc.aio",
        Kind::Stamper => "stamper",
    }
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
        matrix.add(fault("lock"), Kind::Tonic, &found(&["lock"; 9], 2));
        matrix.add(fault("lock"), Kind::Tonic, &found(&["own_timer"], 2));
        assert!(matrix.holds(0.9, 0.8, 10));
        assert!(!matrix.holds(0.95, 0.8, 10));
        assert!(!matrix.holds(0.9, 0.95, 10));
        assert!(!matrix.holds(0.9, 0.8, 1));
        let line = matrix.lines().join("\n");
        assert!(
            line.contains("| lock | voicelab | 10 | 90 % | 9 | 1 |"),
            "{line}"
        );
        matrix.skip(fault("disk_stall"));
        let line = matrix.lines().join("\n");
        assert!(line.ends_with("skipped: disk_stall"), "{line}");
        matrix.add(
            fault("none"),
            Kind::Tonic,
            &found(&["none", "none", "lock"], 2),
        );
        assert!(
            !matrix.holds(0.0, 0.5, 10),
            "a run without a fault named one"
        );
    }
}

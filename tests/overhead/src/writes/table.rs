//! The table of calls.

use super::{Attachment, Figures, ROUNDS, Round};
use crate::condition::{Condition, TIERS};
use crate::sample::{Spread, spread};

/// Picks one time out of a round, in nanoseconds.
type Value = fn(&Round) -> f64;

/// What is measured under every condition.
const SUBJECTS: [(&str, Value); 4] = [
    ("2 KiB write, watched", |round| round.watched_write),
    ("2 KiB write, unwatched", |round| round.unwatched_write),
    ("empty read, unwatched", |round| round.read),
    ("getppid, unwatched", |round| round.getppid),
];

/// Prints the figures. A ratio is that of a repetition's own rounds; its median and quartiles are
/// over the repetitions.
pub(super) fn print(figures: &Figures) {
    println!(
        "One call, {} repetitions of {ROUNDS} rounds, conditions in turn; median (quartiles) of the best rounds. {} \
         measured again: another voxprobe ran.",
        figures.repetitions.len(),
        figures.disturbed
    );
    println!(
        "{:<23} {:<18} {:>24} {:>9} {:>24}",
        "call", "under", "ns per call", "added ns", "times no probe"
    );
    for (name, value) in SUBJECTS {
        for place in 0..figures.conditions.len() {
            if let Some(line) = line(figures, place, value) {
                println!("{name:<23} {:<18} {line}", figures.conditions[place]);
            }
        }
    }
    println!();
    for (place, condition) in figures.conditions.iter().enumerate() {
        if let Some(line) = attachment(figures, place) {
            println!("{condition:<18} {line}");
        }
    }
    for line in TIERS
        .into_iter()
        .filter_map(|tier| against_copy(figures, tier))
    {
        println!("{line}");
    }
    for (condition, reason) in &figures.refused {
        println!("{condition:<18} not measured: {reason}");
    }
}

/// Nanoseconds that a watched write takes more under one condition than under another one: the median over the
/// repetitions. `None` where one was refused.
fn added(figures: &Figures, condition: Condition, base: Condition) -> Option<f64> {
    let place = |of| figures.conditions.iter().position(|one| *one == of);
    let (place, base) = (place(condition)?, place(base)?);
    let repetitions = figures.repetitions.iter();
    let added = repetitions.filter_map(|rounds| {
        Some(rounds.get(place)?.watched_write - rounds.get(base)?.watched_write)
    });
    Some(spread(&added.collect::<Vec<_>>())?.median)
}

/// What a way to see sockets adds to a watched write, held against what nobody who copies the bytes there can do
/// without.
fn against_copy(figures: &Figures, tier: &'static str) -> Option<String> {
    let probe = added(figures, Condition::Probe(tier), Condition::Nothing)?;
    let empty = added(figures, Condition::Empty(tier), Condition::Nothing)?;
    let copy = added(figures, Condition::Copier, Condition::IdleCopier)?;
    Some(format!(
        "{tier:<18} a watched write costs {probe:.0} ns more; empty programs {empty:.0} ns and copying 2 KiB into a \
         ring {copy:.0} ns: {:.2} times that",
        probe / (empty + copy)
    ))
}

/// One line: the time under a condition, what it adds, and its ratio to nothing.
fn line(figures: &Figures, place: usize, value: Value) -> Option<String> {
    let over = |figure: &dyn Fn(f64, f64) -> f64| {
        let repetitions = figures.repetitions.iter();
        let times = repetitions
            .filter_map(|rounds| Some(figure(value(rounds.get(place)?), value(rounds.first()?))));
        spread(&times.collect::<Vec<_>>())
    };
    let time = over(&|time, _| time)?;
    let added = over(&|time, none| time - none)?;
    let ratio = over(&|time, none| time / none)?;
    let time = shown(time, 0);
    if figures.conditions.get(place) == Some(&Condition::Nothing) {
        return Some(format!("{time:>24}"));
    }
    Some(format!(
        "{time:>24} {:>9.0} {:>24}",
        added.median,
        shown(ratio, 2)
    ))
}

fn attachment(figures: &Figures, place: usize) -> Option<String> {
    let rounds = figures.repetitions.iter();
    let attachments: Vec<Attachment> = rounds
        .filter_map(|rounds| rounds.get(place)?.attachment)
        .collect();
    let median = |value: &dyn Fn(&Attachment) -> Option<f64>| {
        let values: Vec<f64> = attachments.iter().filter_map(value).collect();
        spread(&values).map(|spread| spread.median)
    };
    let start = median(&|attachment| Some(attachment.start.as_secs_f64()))?;
    let stop = median(&|attachment| Some(attachment.stop.as_secs_f64()))?;
    let text = format!("attached in {start:.2} s, detached in {stop:.2} s (medians)");
    let worst = attachments.iter().filter_map(|attachment| attachment.lost);
    Some(match worst.reduce(f64::max) {
        Some(lost) => format!("{text}, missed at most {:.2} % of the writes", 100.0 * lost),
        None => text,
    })
}

fn shown(spread: Spread, decimals: usize) -> String {
    let Spread {
        lower,
        median,
        upper,
    } = spread;
    format!("{median:.decimals$} ({lower:.decimals$}..{upper:.decimals$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round in which a watched write took so long.
    fn round(time: f64) -> Round {
        Round {
            watched_write: time,
            unwatched_write: 0.0,
            getppid: 0.0,
            read: 0.0,
            attachment: None,
        }
    }

    fn figures(repetitions: &[[f64; 2]]) -> Figures {
        Figures {
            conditions: vec![Condition::Nothing, Condition::Probe("raw")],
            refused: Vec::new(),
            repetitions: repetitions
                .iter()
                .map(|times| times.map(round).to_vec())
                .collect(),
            disturbed: 0,
        }
    }

    #[test]
    fn ratio_is_of_rounds_of_the_same_repetition() {
        // The machine was twice as slow in the second repetition; the probe's ratio is the same.
        let figures = figures(&[[100.0, 150.0], [200.0, 300.0]]);
        let line = line(&figures, 1, |round| round.watched_write);
        assert!(line.is_some_and(|line| line.ends_with("1.50 (1.50..1.50)")));
    }

    #[test]
    fn probe_is_held_against_hooks_and_copy_of_the_same_repetition() {
        use Condition::{Copier, Empty, IdleCopier, Nothing, Probe};
        // The second repetition was on a machine that did everything 50 ns later.
        let times = [1000.0, 1100.0, 1050.0, 1350.0, 1600.0];
        let figures = Figures {
            conditions: vec![Nothing, Empty("raw"), IdleCopier, Copier, Probe("raw")],
            refused: Vec::new(),
            repetitions: vec![
                times.map(round).to_vec(),
                times.map(|time| round(time + 50.0)).to_vec(),
            ],
            disturbed: 0,
        };
        let line = against_copy(&figures, "raw").expect("all were measured");
        assert!(line.contains("600 ns more"), "{line}");
        assert!(
            line.ends_with("100 ns and copying 2 KiB into a ring 300 ns: 1.50 times that"),
            "{line}"
        );
        assert_eq!(against_copy(&figures, "sockets"), None);
    }

    #[test]
    fn no_probe_is_not_compared_with_itself() {
        let figures = figures(&[[100.0, 150.0]]);
        let line = line(&figures, 0, |round| round.watched_write);
        assert_eq!(
            line.map(|line| line.trim().to_owned()),
            Some("100 (100..100)".to_owned())
        );
    }
}

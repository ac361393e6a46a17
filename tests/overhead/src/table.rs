//! The one table.

use std::time::Duration;

use crate::condition::Condition;
use crate::load::{Load, STREAMS, Watching};
use crate::measure::{Figures, Probe, Round};
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

/// Bytes of a mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// Prints the figures. A ratio is that of a repetition's own rounds; its median and quartiles are
/// over the repetitions.
pub(crate) fn print(machine: &str, figures: &Figures) {
    println!("{machine}");
    println!(
        "{} repetitions, conditions in turn; median (quartiles). {} rounds measured again: another \
         voxprobe ran.",
        figures.repetitions.len(),
        figures.disturbed
    );
    println!(
        "\n{:<23} {:<12} {:>24} {:>9} {:>22}",
        "call", "probe", "ns per call", "added ns", "times no probe"
    );
    for (name, value) in SUBJECTS {
        for condition in Condition::ALL {
            let line = line(figures, condition, value);
            let line = line.unwrap_or_else(|| format!("{:>24}", "refused"));
            println!("{name:<23} {condition:<12} {line}");
        }
    }
    println!();
    for condition in Condition::ALL {
        let probes: Vec<Probe> = figures
            .repetitions
            .iter()
            .filter_map(|rounds| rounds[condition as usize]?.probe)
            .collect();
        let seconds = |duration: fn(&Probe) -> Duration| {
            spread(
                &probes
                    .iter()
                    .map(|probe| duration(probe).as_secs_f64())
                    .collect::<Vec<_>>(),
            )
        };
        if let (Some(start), Some(stop)) =
            (seconds(|probe| probe.start), seconds(|probe| probe.stop))
        {
            println!(
                "{condition:<12} attached in {:.2} s, detached in {:.2} s (medians), {} records lost",
                start.median,
                stop.median,
                probes.iter().map(|probe| probe.lost).sum::<f64>()
            );
        }
    }
    println!();
    println!("{STREAMS} paced streams, medians of each turn; CPU in percent of one:");
    for watching in Watching::ALL {
        let load = load(figures, watching).unwrap_or_else(|| "refused".to_owned());
        println!("{watching:<12} {load}");
    }
    for (condition, reason) in &figures.refused {
        println!("\n{condition} is refused here: {reason}");
    }
}

fn line(figures: &Figures, condition: Condition, value: Value) -> Option<String> {
    let over = |figure: &dyn Fn(f64, f64) -> f64| {
        let repetitions = figures.repetitions.iter();
        let times = repetitions.filter_map(|rounds| {
            let of = |condition: Condition| rounds[condition as usize].as_ref().map(value);
            Some(figure(of(condition)?, of(Condition::NoProbe)?))
        });
        spread(&times.collect::<Vec<_>>())
    };
    let time = over(&|time, _| time)?;
    let added = over(&|time, none| time - none)?;
    let ratio = over(&|time, none| time / none)?;
    let time = shown(time, 0);
    if condition == Condition::NoProbe {
        return Some(format!("{time:>24}"));
    }
    Some(format!(
        "{time:>24} {:>9.0} {:>22}",
        added.median,
        shown(ratio, 2)
    ))
}

/// The worker and the agent of one kind of watching.
fn load(figures: &Figures, watching: Watching) -> Option<String> {
    let index = watching.index();
    let median = |figure: &dyn Fn(&Load, &Load) -> Option<f64>| {
        let turns = figures.loads.iter();
        let figures: Vec<f64> = turns
            .filter_map(|turn| figure(turn.get(index)?.as_ref()?, turn.first()?.as_ref()?))
            .collect();
        Some(spread(&figures)?.median)
    };
    let percent =
        |cpu: Duration, load: &Load| 100.0 * cpu.as_secs_f64() / load.window.as_secs_f64();
    let worker = median(&|load, _| Some(percent(load.worker, load)))?;
    let text = format!("worker {worker:.1} %");
    let Some(agent) = median(&|load, _| Some(percent(load.agent?.cpu, load))) else {
        return Some(text);
    };
    let ratio =
        median(&|load, none| Some(percent(load.worker, load) / percent(none.worker, none)))?;
    let resident = median(&|load, _| Some(load.agent?.resident as f64 / MIB))?;
    let records = median(&|load, _| Some(load.agent?.records / load.window.as_secs_f64()))?;
    let turns = figures.loads.iter();
    let lost: f64 = turns
        .filter_map(|turn| turn.get(index)?.as_ref()?.agent)
        .map(|agent| agent.lost)
        .sum();
    Some(format!(
        "{text} ({ratio:.2} times no probe), agent {agent:.1} %, {resident:.1} MiB resident, \
         {records:.0} records/s, {lost} lost"
    ))
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

    fn figures(repetitions: &[[f64; Condition::COUNT]]) -> Figures {
        let round = |time: f64| Round {
            watched_write: time,
            unwatched_write: 0.0,
            getppid: 0.0,
            read: 0.0,
            probe: None,
        };
        Figures {
            repetitions: repetitions
                .iter()
                .map(|times| times.map(|time| Some(round(time))))
                .collect(),
            refused: Vec::new(),
            disturbed: 0,
            loads: Vec::new(),
        }
    }

    #[test]
    fn ratio_is_of_rounds_of_the_same_repetition() {
        // The machine was twice as slow in the second repetition; the probe's ratio is the same.
        let figures = figures(&[[100.0, 150.0, 120.0, 101.0], [200.0, 300.0, 240.0, 202.0]]);
        let line = line(&figures, Condition::Tracepoints, |round| {
            round.watched_write
        });
        assert!(line.is_some_and(|line| line.ends_with("1.50 (1.50..1.50)")));
    }

    #[test]
    fn condition_that_is_refused_has_no_line() {
        let mut figures = figures(&[[100.0, 150.0, 120.0, 101.0]]);
        for rounds in &mut figures.repetitions {
            rounds[Condition::Sockets as usize] = None;
        }
        let value: Value = |round| round.watched_write;
        assert_eq!(line(&figures, Condition::Sockets, value), None);
        assert!(line(&figures, Condition::Raw, value).is_some());
    }

    #[test]
    fn no_probe_is_not_compared_with_itself() {
        let figures = figures(&[[100.0, 150.0, 120.0, 101.0]]);
        let line = line(&figures, Condition::NoProbe, |round| round.watched_write);
        assert_eq!(
            line.map(|line| line.trim().to_owned()),
            Some("100 (100..100)".to_owned())
        );
    }
}

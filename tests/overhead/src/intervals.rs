//! Whether the probe moves frames: the intervals between them, with and without it in turn.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::audience::Speaker;
use crate::bench::Bench;
use crate::sample::{Spread, spread};
use crate::speaker::{CALLS, Order, Speech};
use crate::streams::FRAMES_PER_SECOND;

/// Times that each is measured.
const TURNS: usize = 21;
/// How long each time.
const LENGTH: Duration = Duration::from_secs(4);

/// 99th percentile and median of the intervals, of each turn without and with the probe.
#[derive(Debug, Default)]
struct Figures {
    without: Vec<Speech>,
    with: Vec<Speech>,
}

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    let mut speaker = Speaker::start(bench)?;
    let mut figures = Figures::default();
    for turn in 0..TURNS {
        for watched in [turn % 2 == 0, turn % 2 == 1] {
            bench.wait_for_others()?;
            let agent = watched
                .then(|| bench.usual_agent(speaker.pid()))
                .transpose()?;
            let order = Order {
                streams: CALLS,
                frames_per_second: CALLS * FRAMES_PER_SECOND,
                length: LENGTH,
            };
            let (speech, ()) = speaker.speak(order, || Ok(()))?;
            drop(agent);
            let turns = if watched {
                &mut figures.with
            } else {
                &mut figures.without
            };
            turns.push(speech);
        }
    }
    print(&figures).context("measure at least once")
}

fn print(figures: &Figures) -> Option<()> {
    let of = |turns: &[Speech], value: fn(&Speech) -> f64| {
        spread(&turns.iter().map(value).collect::<Vec<_>>())
    };
    println!(
        "Intervals between the frames of {CALLS} paced streams of {FRAMES_PER_SECOND} a second, in ms; \
         {TURNS} turns each, in turn:"
    );
    for (name, turns) in [("no probe", &figures.without), ("probe", &figures.with)] {
        let p99 = of(turns, |speech| speech.p99)?;
        println!(
            "{name:<9} median {:.3}, p99 {:.3} ({:.3}..{:.3})",
            of(turns, |speech| speech.median)?.median,
            p99.median,
            p99.lower,
            p99.upper
        );
    }
    let pairs = figures.with.iter().zip(&figures.without);
    let differences: Vec<f64> = pairs.map(|(with, none)| with.p99 - none.p99).collect();
    let Spread {
        lower,
        median,
        upper,
    } = spread(&differences)?;
    let noise = noise(&figures.without)?;
    println!(
        "p99 changes by {median:+.3} ms ({lower:+.3}..{upper:+.3}); turns without a probe differ by {noise:.3} ms \
         from each other"
    );
    Some(())
}

/// Median distance of the p99 between one turn and the next.
fn noise(turns: &[Speech]) -> Option<f64> {
    let distances: Vec<f64> = turns
        .windows(2)
        .map(|pair| (pair[1].p99 - pair[0].p99).abs())
        .collect();
    Some(spread(&distances)?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_how_far_turns_are_apart() {
        let turn = |p99| Speech {
            frames_per_second: 5000.0,
            median: 20.0,
            p99,
        };
        assert_eq!(noise(&[turn(21.0), turn(22.0), turn(20.0)]), Some(1.5));
        assert_eq!(noise(&[turn(21.0)]), None);
    }
}

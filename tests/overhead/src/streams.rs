//! The agent with few and with many streams.

use anyhow::Result;

use crate::audience::Speaker;
use crate::bench::Bench;
use crate::fit;
use crate::following::{Following, follow};
use crate::sample::spread;
use crate::usage::MIB;

/// Streams at the same time.
const SIZES: [u32; 4] = [10, 100, 1000, 5000];
/// Frames of a paced stream in a second: one each 20 ms.
pub(crate) const FRAMES_PER_SECOND: u32 = 50;
/// Times that each size is measured.
const TURNS: usize = 3;

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    println!(
        "The agent with paced streams of {FRAMES_PER_SECOND} frames a second, medians of {TURNS} turns; CPU \
         in percent of one:"
    );
    println!(
        "{:>7} {:>10} {:>10} {:>10} {:>8} {:>8} {:>9} {:>9}",
        "streams", "wanted/s", "sent/s", "counted/s", "CPU", "MiB", "lost", "shed"
    );
    let mut all = Vec::new();
    for streams in SIZES {
        let turns = (0..TURNS)
            .map(|_| turn(bench, streams))
            .collect::<Result<Vec<_>>>()?;
        if let Some(line) = line(&turns) {
            println!("{streams:>7} {line}");
        }
        all.extend(turns);
    }
    let points: Vec<_> = all.iter().map(|turn| (turn.sent, turn.percent)).collect();
    if let Some(line) = fit::line(&points) {
        println!(
            "CPU = {:.2} % + {:.2} % for each 1000 frames a second, by least squares over what was really \
             sent; R² = {:.3}",
            line.intercept,
            1000.0 * line.slope,
            line.r_squared
        );
    }
    Ok(())
}

fn turn(bench: &Bench, streams: u32) -> Result<Following> {
    bench.wait_for_others()?;
    let mut speaker = Speaker::start(bench)?;
    let agent = bench.usual_agent(speaker.pid())?;
    follow(&mut speaker, &agent, streams, streams * FRAMES_PER_SECOND)
}

fn line(turns: &[Following]) -> Option<String> {
    let median = |value: &dyn Fn(&Following) -> f64| {
        let values: Vec<f64> = turns.iter().map(value).collect();
        Some(spread(&values)?.median)
    };
    let lost: f64 = turns.iter().map(|turn| turn.lost).sum();
    let shed: f64 = turns.iter().map(|turn| turn.shed).sum();
    let limit = if turns.iter().all(Following::is_at_the_senders_limit) {
        "  (all that the sender can on this machine)"
    } else {
        ""
    };
    Some(format!(
        "{:>10.0} {:>10.0} {:>10.0} {:>6.1} % {:>8.1} {lost:>9} {shed:>9}{limit}",
        median(&|turn| turn.wanted)?,
        median(&|turn| turn.sent)?,
        median(&|turn| turn.counted)?,
        median(&|turn| turn.percent)?,
        median(&|turn| turn.resident as f64 / MIB)?,
    ))
}

//! The highest rate of frames of which none is lost.

use anyhow::Result;

use crate::audience::Speaker;
use crate::bench::Bench;
use crate::following::follow;
use crate::speaker::CALLS;

/// The first rate, in frames per second, and what it grows by from step to step.
const FIRST: f64 = 5000.0;
const GROWTH: f64 = 1.6;
/// Times that the sender may fall short of a rate before that is its limit: a neighbour's burst of work is
/// over by then.
const TRIES: u32 = 3;

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    bench.wait_for_others()?;
    println!(
        "Frames a second on one connection of {CALLS} streams, rising until a record is lost or shed:"
    );
    println!(
        "{:>10} {:>10} {:>10} {:>8} {:>9} {:>9}",
        "wanted/s", "sent/s", "counted/s", "CPU", "lost", "shed"
    );
    let mut speaker = Speaker::start(bench)?;
    let agent = bench.usual_agent(speaker.pid())?;
    let mut wanted = FIRST;
    let mut highest = 0.0_f64;
    let mut tries = 0;
    loop {
        let step = follow(&mut speaker, &agent, CALLS, wanted as u32)?;
        println!(
            "{:>10.0} {:>10.0} {:>10.0} {:>6.1} % {:>9} {:>9}",
            step.wanted, step.sent, step.counted, step.percent, step.lost, step.shed
        );
        if step.lost + step.shed > 0.0 {
            println!("Highest without loss: {highest:.0} frames a second");
            return Ok(());
        }
        highest = highest.max(step.sent);
        if !step.is_at_the_senders_limit() {
            (wanted, tries) = (wanted * GROWTH, 0);
            continue;
        }
        tries += 1;
        if tries == TRIES {
            println!(
                "Highest without loss: {highest:.0} frames a second, which is all that the sender can now"
            );
            return Ok(());
        }
    }
}

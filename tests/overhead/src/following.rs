//! The agent while it follows a process that speaks.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::agent::Agent;
use crate::audience::Speaker;
use crate::speaker::Order;
use crate::usage::{Used, percent};

/// Until every stream has begun.
const RAMP: Duration = Duration::from_millis(1500);
/// How long the agent is measured.
const WINDOW: Duration = Duration::from_millis(2500);
/// After that they go on: the last look at the agent is not a look at their end.
const REST: Duration = Duration::from_millis(500);
/// After their end: the agent has read what there is.
const DRAIN: Duration = Duration::from_secs(1);

/// Part of the wanted frames from which on they count as sent.
const REACHED: f64 = 0.98;

/// What was said and what was followed of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Following {
    /// Frames that were to be sent in each second, and that were really sent.
    pub(crate) wanted: f64,
    pub(crate) sent: f64,
    /// Frames that the agent counted in each second.
    pub(crate) counted: f64,
    /// CPU time of the agent, in percent of one CPU.
    pub(crate) percent: f64,
    /// Its resident memory, in bytes.
    pub(crate) resident: u64,
    /// Records lost, and records that came without their bytes, from the first frame to the last.
    pub(crate) lost: f64,
    pub(crate) shed: f64,
}

impl Following {
    /// Whether the sender could not do what it was told to.
    pub(crate) fn is_at_the_senders_limit(&self) -> bool {
        self.sent < REACHED * self.wanted
    }
}

/// Has so many streams speak for some seconds.
pub(crate) fn follow(
    speaker: &mut Speaker,
    agent: &Agent,
    streams: u32,
    frames_per_second: u32,
) -> Result<Following> {
    let order = Order {
        streams,
        frames_per_second,
        length: RAMP + WINDOW + REST,
    };
    let first = Used::by(agent)?;
    let (speech, (window, used)) = speaker.speak(order, || {
        thread::sleep(RAMP);
        let (started, before) = (Instant::now(), Used::by(agent)?);
        thread::sleep(WINDOW);
        let used = Used::by(agent)?.since(before);
        Ok((started.elapsed(), used))
    })?;
    thread::sleep(DRAIN);
    let all = Used::by(agent)?.since(first);
    Ok(Following {
        wanted: f64::from(frames_per_second),
        sent: speech.frames_per_second,
        counted: used.frames / window.as_secs_f64(),
        percent: percent(used.cpu, window),
        resident: used.resident,
        lost: all.lost,
        shed: all.shed,
    })
}

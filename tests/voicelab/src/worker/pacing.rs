//! When each frame of a stream is due. Pure: times are arguments, in monotonic nanoseconds.

use crate::clock::NS_PER_MS;

/// Playing time of one frame, in milliseconds.
pub(crate) const FRAME_MS: u64 = 20;

/// Playing time of one frame, in nanoseconds.
pub(crate) const FRAME_NS: u64 = FRAME_MS * NS_PER_MS;

/// Frames a bursting adapter sends back to back: half a second of audio.
const BURST_FRAMES: u64 = 25;

/// Gap between the frames of a burst, in nanoseconds: 0.3 to 0.5 ms.
const BURST_GAP_NS: std::ops::RangeInclusive<u64> = 300_000..=500_000;

/// How a worker hands out the audio it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pace {
    /// One frame per 20 ms on an absolute schedule.
    Paced,
    /// 25 frames at a time, 0.3 to 0.5 ms apart.
    Burst,
}

impl Pace {
    /// Frames that one run of the model yields, of `wanted` that are still to be made.
    pub(crate) fn frames_per_inference(self, wanted: u64) -> u64 {
        match self {
            Self::Paced => wanted,
            Self::Burst => wanted.min(BURST_FRAMES),
        }
    }
}

/// The schedule of one stream.
pub(crate) struct Schedule {
    pace: Pace,
    next_ns: u64,
    random: fastrand::Rng,
}

impl Schedule {
    /// A schedule that has sent nothing yet.
    pub(crate) fn new(pace: Pace, seed: u64) -> Self {
        Self {
            pace,
            next_ns: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Audio became ready at `ready_ns`: no frame of it is due before, and a schedule that has
    /// run dry goes on from there.
    pub(crate) fn audio_ready(&mut self, ready_ns: u64) {
        self.next_ns = self.next_ns.max(ready_ns);
    }

    /// When the next frame is due.
    pub(crate) fn due_ns(&self) -> u64 {
        self.next_ns
    }

    /// The next frame was sent (or left out); the one after it is due an interval later, counted
    /// from when this one was due, so that lateness does not add up.
    pub(crate) fn advance(&mut self) {
        self.next_ns += match self.pace {
            Pace::Paced => FRAME_NS,
            Pace::Burst => self.random.u64(BURST_GAP_NS),
        };
    }

    /// Frames were held back until `now_ns`: the next is due now and the rest follow it.
    pub(crate) fn resume(&mut self, now_ns: u64) {
        self.next_ns = self.next_ns.max(now_ns);
    }

    /// `spread_ns` earlier to `spread_ns` later, for the jitter fault.
    pub(crate) fn disturb(&mut self, due_ns: u64, spread_ns: u64) -> u64 {
        let later = self.random.u64(0..=spread_ns.saturating_mul(2));
        due_ns.saturating_add(later).saturating_sub(spread_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paced_frames_are_due_20_ms_apart_whenever_they_were_sent() {
        let mut schedule = Schedule::new(Pace::Paced, 1);
        schedule.audio_ready(1_000);
        schedule.advance();
        schedule.advance();
        assert_eq!(schedule.due_ns(), 1_000 + 2 * FRAME_NS);
    }

    #[test]
    fn burst_frames_are_due_300_to_500_us_apart() {
        let mut schedule = Schedule::new(Pace::Burst, 7);
        for _ in 0..1000 {
            let before = schedule.due_ns();
            schedule.advance();
            assert!(BURST_GAP_NS.contains(&(schedule.due_ns() - before)));
        }
    }

    #[test]
    fn audio_ready_early_keeps_the_schedule_and_late_moves_it() {
        let mut schedule = Schedule::new(Pace::Paced, 1);
        schedule.audio_ready(FRAME_NS);
        schedule.advance();
        schedule.audio_ready(FRAME_NS + 5);
        assert_eq!(schedule.due_ns(), 2 * FRAME_NS);
        schedule.audio_ready(9 * FRAME_NS);
        assert_eq!(schedule.due_ns(), 9 * FRAME_NS);
    }

    #[test]
    fn same_seed_gives_the_same_burst_and_jitter() {
        let mut one = Schedule::new(Pace::Burst, 42);
        let mut two = Schedule::new(Pace::Burst, 42);
        for _ in 0..50 {
            one.advance();
            two.advance();
            assert_eq!(one.due_ns(), two.due_ns());
            assert_eq!(one.disturb(FRAME_NS, 500), two.disturb(FRAME_NS, 500));
        }
    }

    #[test]
    fn jitter_stays_within_its_spread() {
        let mut schedule = Schedule::new(Pace::Paced, 3);
        for _ in 0..1000 {
            assert!(schedule.disturb(FRAME_NS, 100).abs_diff(FRAME_NS) <= 100);
        }
    }

    #[test]
    fn a_burst_takes_25_frames_per_inference_and_pacing_all() {
        assert_eq!(Pace::Burst.frames_per_inference(60), 25);
        assert_eq!(Pace::Burst.frames_per_inference(7), 7);
        assert_eq!(Pace::Paced.frames_per_inference(60), 60);
    }
}

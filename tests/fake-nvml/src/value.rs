//! Numbers that change with time.

use serde::Deserialize;

/// A reading as a function of the seconds since NVML was initialised. Never negative when read.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Always the same.
    Constant(f64),
    /// `[[seconds, value], …]` in ascending time, joined by straight lines, held at both ends.
    Keyframes(Vec<(f64, f64)>),
    /// `mean + amplitude · sin(2π·t / period_s)`.
    Sine(Sine),
    /// `from + per_second · t`, no further than `until` where given.
    Ramp(Ramp),
}

/// Parameters of [`Value::Sine`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sine {
    mean: f64,
    amplitude: f64,
    period_s: f64,
}

/// Parameters of [`Value::Ramp`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ramp {
    from: f64,
    per_second: f64,
    until: Option<f64>,
}

impl Value {
    /// The value at `t` seconds, rounded to the whole number that NVML's integers carry.
    pub(crate) fn at(&self, t: f64) -> u64 {
        let value = match self {
            Self::Constant(value) => *value,
            Self::Keyframes(frames) => between(frames, t),
            Self::Sine(sine) => {
                let turn = std::f64::consts::TAU * t / sine.period_s.max(f64::EPSILON);
                sine.mean + sine.amplitude * turn.sin()
            }
            Self::Ramp(ramp) => {
                let value = ramp.from + ramp.per_second * t;
                match ramp.until {
                    Some(until) if ramp.per_second < 0.0 => value.max(until),
                    Some(until) => value.min(until),
                    None => value,
                }
            }
        };
        // A float-to-integer cast saturates: below zero and NaN become 0.
        value.round() as u64
    }

    /// The value at `t` as NVML's `unsigned int`, saturated.
    pub(crate) fn at_u32(&self, t: f64) -> u32 {
        u32::try_from(self.at(t)).unwrap_or(u32::MAX)
    }
}

fn between(frames: &[(f64, f64)], t: f64) -> f64 {
    let after = frames.iter().position(|&(time, _)| time > t);
    let (before, next) = match after {
        Some(0) => return frames.first().map_or(0.0, |frame| frame.1),
        None => return frames.last().map_or(0.0, |frame| frame.1),
        Some(next) => (frames.get(next - 1), frames.get(next)),
    };
    let (Some(&(t0, v0)), Some(&(t1, v1))) = (before, next) else {
        return 0.0;
    };
    v0 + (v1 - v0) * (t - t0) / (t1 - t0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_between_two_frames_are_interpolated() {
        let value = Value::Keyframes(vec![(1.0, 10.0), (3.0, 30.0)]);
        assert_eq!(value.at(0.0), 10);
        assert_eq!(value.at(2.0), 20);
        assert_eq!(value.at(9.0), 30);
    }

    #[test]
    fn keyframes_without_a_frame_are_zero() {
        assert_eq!(Value::Keyframes(Vec::new()).at(1.0), 0);
    }

    #[test]
    fn ramp_past_its_limit_stays_there() {
        let ramp = |per_second| {
            Value::Ramp(Ramp {
                from: 50.0,
                per_second,
                until: Some(60.0),
            })
        };
        assert_eq!(ramp(5.0).at(1.0), 55);
        assert_eq!(ramp(5.0).at(100.0), 60);
        assert_eq!(ramp(-5.0).at(100.0), 60);
    }

    #[test]
    fn value_below_zero_or_above_the_type_saturates() {
        assert_eq!(Value::Constant(-3.0).at(0.0), 0);
        assert_eq!(Value::Constant(1e12).at_u32(0.0), u32::MAX);
    }
}

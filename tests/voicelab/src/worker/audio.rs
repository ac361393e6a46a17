//! The sound the model "synthesises": a sine tone, 48 kHz mono, signed 16 bit little endian.

use bytes::Bytes;

use super::pacing::FRAME_MS;

/// Samples per second.
pub(crate) const SAMPLE_RATE_HZ: u32 = 48_000;

/// Samples in one frame: 48 000 Hz × 20 ms.
const FRAME_SAMPLES: u32 = SAMPLE_RATE_HZ * FRAME_MS as u32 / 1000;

/// Bytes in one frame: 960 samples × 2.
#[cfg(test)]
const FRAME_BYTES: usize = FRAME_SAMPLES as usize * 2;

/// A tone whose frequency is a multiple of this, in hertz, has whole cycles in one 20 ms frame, so
/// that repeating the frame makes an unbroken tone.
const TONE_STEP_HZ: u32 = 1000 / FRAME_MS as u32;

/// Different tones, from 200 Hz upwards.
const TONES: u64 = 16;

/// Half of full scale.
const AMPLITUDE: f64 = 16_384.0;

/// One frame of the tone that belongs to stream `stream`. Clones share the samples.
pub(crate) fn tone_frame(stream: u64) -> Bytes {
    let hertz = 200 + TONE_STEP_HZ * (stream % TONES) as u32;
    let step = std::f64::consts::TAU * f64::from(hertz) / f64::from(SAMPLE_RATE_HZ);
    (0..FRAME_SAMPLES)
        .flat_map(|sample| {
            let value = (step * f64::from(sample)).sin() * AMPLITUDE;
            (value as i16).to_le_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_1920_bytes_of_sound() {
        let frame = tone_frame(1);
        assert_eq!(frame.len(), FRAME_BYTES);
        assert_eq!(FRAME_BYTES, 1920);
        assert!(frame.iter().any(|&byte| byte != 0));
    }

    #[test]
    fn repeated_frames_join_without_a_click() {
        let frame = tone_frame(5);
        let sample = |at: usize| i32::from(i16::from_le_bytes([frame[at], frame[at + 1]]));
        let inside = (sample(2) - sample(0)).abs();
        let across = (sample(0) - sample(FRAME_BYTES - 2)).abs();
        assert!(
            (inside - across).abs() <= 2,
            "step inside {inside}, across {across}"
        );
    }
}

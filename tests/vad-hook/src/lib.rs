//! A shared object with functions to hook, called by the voicelab's orchestrator as real ones call
//! theirs: `voicelab_vad_process` judges one frame, `voicelab_asr_transcribe` one utterance.
//!
//! Samples are 16-bit mono at any rate. Nothing is kept between calls: `instance` only tells the
//! streams of one process apart, as the first argument of `WebRtcVad_Process` does.

use std::ffi::{c_int, c_void};

/// Mean absolute amplitude from which a frame is speech, in units of the least sample step: 6 % of
/// full scale, above the noise of any microphone and below any voice.
const SPEECH_AMPLITUDE: u64 = 2000;

/// Whether a frame of `count` samples is speech: 1 yes, 0 no, -1 without samples.
///
/// # Safety
///
/// `samples` is null or points to `count` readable samples.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn voicelab_vad_process(
    instance: *mut c_void,
    samples: *const i16,
    count: usize,
) -> c_int {
    // Keeps the argument alive for whoever looks at it on entry.
    std::hint::black_box(instance);
    // SAFETY: the caller's promise is this function's own.
    match unsafe { frame(samples, count) } {
        None | Some([]) => -1,
        Some(frame) => c_int::from(mean_amplitude(frame) >= SPEECH_AMPLITUDE),
    }
}

/// Recognises an utterance of `count` samples: the number of words (one for each 300 ms at 16 kHz,
/// at least one), or -1 when there is no speech in it.
///
/// # Safety
///
/// `samples` is null or points to `count` readable samples.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn voicelab_asr_transcribe(
    instance: *mut c_void,
    samples: *const i16,
    count: usize,
) -> c_int {
    std::hint::black_box(instance);
    // SAFETY: the caller's promise is this function's own.
    let Some(utterance) = (unsafe { frame(samples, count) }) else {
        return -1;
    };
    if mean_amplitude(utterance) < SPEECH_AMPLITUDE / 4 {
        return -1;
    }
    c_int::try_from(utterance.len() / SAMPLES_PER_WORD)
        .unwrap_or(c_int::MAX)
        .max(1)
}

/// Samples in 300 ms at 16 kHz, about one spoken word.
const SAMPLES_PER_WORD: usize = 4800;

/// # Safety
///
/// `samples` is null or points to `count` readable samples that outlive the result.
unsafe fn frame<'a>(samples: *const i16, count: usize) -> Option<&'a [i16]> {
    if samples.is_null() {
        return None;
    }
    // SAFETY: not null, and readable for `count` samples by the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(samples, count) })
}

fn mean_amplitude(samples: &[i16]) -> u64 {
    let sum: u64 = samples
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()))
        .sum();
    sum.checked_div(samples.len() as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vad(samples: &[i16]) -> c_int {
        // SAFETY: a slice is readable for its length.
        unsafe { voicelab_vad_process(std::ptr::null_mut(), samples.as_ptr(), samples.len()) }
    }

    #[test]
    fn loud_frame_is_speech_and_quiet_one_is_not() {
        assert_eq!(vad(&[8000, -8000, 8000]), 1);
        assert_eq!(vad(&[100, -100, 100]), 0);
        assert_eq!(vad(&[]), -1);
    }

    #[test]
    fn transcription_counts_words_and_fails_without_speech() {
        let asr = |samples: &[i16]| {
            let (samples, count) = if samples.is_empty() {
                (std::ptr::null(), 5)
            } else {
                (samples.as_ptr(), samples.len())
            };
            // SAFETY: null, or a slice that is readable for its length.
            unsafe { voicelab_asr_transcribe(std::ptr::null_mut(), samples, count) }
        };
        assert_eq!(asr(&vec![8000; 9600]), 2);
        assert_eq!(asr(&[8000; 10]), 1);
        assert_eq!(asr(&[0; 100]), -1);
        assert_eq!(asr(&[]), -1);
    }
}

//! What an orchestrator makes of its clients' speech: a shared object judges each frame, edges are
//! debounced, and a second function of it recognises what was said.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use libloading::Library;

use crate::clock::monotonic_ns;

/// Results in a row that make the start of speech: 60 ms of 20 ms frames.
pub(crate) const START_RESULTS: u32 = 3;

/// Results in a row that make its end: 200 ms of 20 ms frames.
pub(crate) const END_RESULTS: u32 = 10;

/// Most samples kept of one stretch of speech: 30 s at 16 kHz.
const MAX_SAMPLES: usize = 480_000;

type Process = unsafe extern "C" fn(*mut c_void, *const i16, usize) -> c_int;

/// The functions of the shared object.
pub(crate) struct Ear {
    judge: Process,
    recognise: Process,
    /// The functions live as long as it does.
    _library: Library,
}

impl Ear {
    /// Loads them.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Arc<Self>> {
        // SAFETY: the lab's own library runs no code when it is loaded, and the functions have the
        // type that `vad-hook` declares.
        unsafe {
            let library = Library::new(path).with_context(|| format!("load {}", path.display()))?;
            let judge = *library
                .get::<Process>(b"voicelab_vad_process")
                .context("find the voice activity function")?;
            let recognise = *library
                .get::<Process>(b"voicelab_asr_transcribe")
                .context("find the recognition function")?;
            Ok(Arc::new(Self {
                judge,
                recognise,
                _library: library,
            }))
        }
    }
}

/// One call of a function: when it was called, when it had returned, and what it said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    pub(crate) before_ns: u64,
    pub(crate) after_ns: u64,
    pub(crate) result: c_int,
}

/// A change between speech and silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    SpeechStart,
    SpeechEnd,
}

impl Edge {
    /// The guide's `event_type`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SpeechStart => "speech_start",
            Self::SpeechEnd => "speech_end",
        }
    }
}

/// Speech or silence, after enough results in a row said so.
#[derive(Default)]
pub(crate) struct Debounce {
    speaking: bool,
    run: u32,
    run_ns: u64,
}

impl Debounce {
    /// Takes a result; gives the edge it makes, and when the first result of its run came.
    pub(crate) fn take(&mut self, positive: bool, at_ns: u64) -> Option<(Edge, u64)> {
        if positive == self.speaking {
            self.run = 0;
            return None;
        }
        if self.run == 0 {
            self.run_ns = at_ns;
        }
        self.run += 1;
        let (needed, edge) = if positive {
            (START_RESULTS, Edge::SpeechStart)
        } else {
            (END_RESULTS, Edge::SpeechEnd)
        };
        if self.run < needed {
            return None;
        }
        self.speaking = positive;
        self.run = 0;
        Some((edge, self.run_ns))
    }
}

/// The hearing of one session.
pub(crate) struct Hearing {
    ear: Arc<Ear>,
    /// Its address is the instance that the functions are called with.
    instance: Box<u64>,
    debounce: Debounce,
    speech: Vec<i16>,
}

impl Hearing {
    /// Hears nothing yet.
    pub(crate) fn new(ear: &Arc<Ear>) -> Self {
        Self {
            ear: Arc::clone(ear),
            instance: Box::new(0),
            debounce: Debounce::default(),
            speech: Vec::new(),
        }
    }

    /// Judges one frame of signed 16-bit little-endian samples.
    pub(crate) fn judge(&mut self, bytes: &[u8]) -> (Called, Option<(Edge, u64)>) {
        let frame: Vec<i16> = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|sample| i16::from_le_bytes(*sample))
            .collect();
        let called = self.call(self.ear.judge, &frame);
        let edge = self.debounce.take(called.result > 0, called.after_ns);
        if matches!(edge, Some((Edge::SpeechStart, _))) {
            self.speech.clear();
        }
        let room = MAX_SAMPLES.saturating_sub(self.speech.len());
        self.speech.extend(frame.iter().take(room));
        (called, edge)
    }

    /// Recognises what was said since the start of speech; the result counts words, negative is an
    /// error.
    pub(crate) fn recognise(&mut self) -> Called {
        let speech = std::mem::take(&mut self.speech);
        self.call(self.ear.recognise, &speech)
    }

    fn call(&mut self, function: Process, samples: &[i16]) -> Called {
        let instance: *mut u64 = &raw mut *self.instance;
        let before_ns = monotonic_ns();
        // SAFETY: the samples are readable for their length, and the instance outlives the call.
        let result = unsafe { function(instance.cast(), samples.as_ptr(), samples.len()) };
        Called {
            before_ns,
            after_ns: monotonic_ns(),
            result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(results: &[bool]) -> Vec<(Edge, u64)> {
        let mut debounce = Debounce::default();
        (0..)
            .zip(results)
            .filter_map(|(at_ns, positive)| debounce.take(*positive, at_ns))
            .collect()
    }

    #[test]
    fn speech_starts_after_enough_results_and_tells_when_they_began() {
        assert_eq!(edges(&[true, true, false, true, true]), []);
        assert_eq!(
            edges(&[false, true, true, true, true]),
            [(Edge::SpeechStart, 1)]
        );
    }

    #[test]
    fn speech_ends_after_silence_that_is_long_enough() {
        let mut results = vec![true; 3];
        results.extend([false; 9]);
        results.push(true);
        results.extend([false; 10]);
        assert_eq!(
            edges(&results),
            [(Edge::SpeechStart, 0), (Edge::SpeechEnd, 13)]
        );
    }
}

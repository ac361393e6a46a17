//! One session of an orchestrator, as its events tell it.

use std::collections::BTreeMap;

use super::{Book, UNKNOWN};

/// A session and its utterances.
#[derive(Default)]
pub(super) struct Session {
    pub(super) transport: Option<String>,
    pub(super) model: Option<String>,
    pub(super) reason: Option<String>,
    /// Names of the workers that spoke for it, by utterance.
    workers: BTreeMap<u64, String>,
    utterances: BTreeMap<u64, Utterance>,
    /// When the user last stopped speaking.
    speech_end_ns: Option<u64>,
    drops: Vec<(u64, String)>,
    /// Interruptions: what triggered them, when, and when they were over.
    interruptions: Vec<(String, u64, u64)>,
    /// When the client's last messages were received with one call, and how many of them caused
    /// nothing yet.
    pending: (u64, usize),
}

/// Stamps of an utterance, in monotonic nanoseconds.
#[derive(Default)]
struct Utterance {
    first_text: Option<u64>,
    last_input: Option<u64>,
    first_audio: Option<u64>,
}

impl Session {
    /// Text of an utterance was received from the client, or sent where there is none.
    pub(super) fn text(&mut self, utterance: u64, at_ns: u64) {
        let utterance = self.utterances.entry(utterance).or_default();
        utterance.first_text.get_or_insert(at_ns);
        if utterance.first_audio.is_none() {
            utterance.last_input = Some(at_ns);
        }
    }

    /// The user stopped speaking; what is said next answers it.
    pub(super) fn speech_ended(&mut self, at_ns: u64) {
        self.speech_end_ns = Some(at_ns);
    }

    /// A message of the client was received: what those received before it cause from now on is
    /// this one's.
    pub(super) fn received(&mut self, at_ns: u64) {
        if self.pending.0 != at_ns {
            self.pending = (at_ns, 0);
        }
        self.pending.1 += 1;
    }

    /// Whether a message received at `received_ns` causes its first send now.
    pub(super) fn causes(&mut self, received_ns: u64) -> bool {
        let (at_ns, waiting) = self.pending;
        let causes = at_ns == received_ns && waiting > 0;
        if causes {
            self.pending.1 -= 1;
        }
        causes
    }

    /// An utterance's call was opened at a worker.
    pub(super) fn started(&mut self, utterance: u64, worker: &str) {
        self.workers.insert(utterance, worker.to_owned());
        let speech_end_ns = self.speech_end_ns.take();
        let utterance = self.utterances.entry(utterance).or_default();
        utterance.last_input = utterance.last_input.max(speech_end_ns);
    }

    /// Audio of an utterance was handed to the client, or received where there is none.
    pub(super) fn audio(&mut self, utterance: u64, at_ns: u64) {
        let utterance = self.utterances.entry(utterance).or_default();
        utterance.first_audio.get_or_insert(at_ns);
    }

    /// A frame was not forwarded.
    pub(super) fn dropped(&mut self, utterance: u64, reason: &str) {
        self.drops.push((utterance, reason.to_owned()));
    }

    /// An interruption is over.
    pub(super) fn interrupted(&mut self, trigger: &str, trigger_ns: u64, over_ns: u64) {
        self.interruptions
            .push((trigger.to_owned(), trigger_ns, over_ns));
    }

    /// What is known at the end of the file.
    pub(super) fn close(&self, is_livekit: bool, book: &mut Book) {
        let Some(transport) = &self.transport else {
            return;
        };
        let model = self.model.as_deref().unwrap_or(UNKNOWN);
        let labels = [("transport", transport.as_str()), ("model_id", model)];
        book.count("orchestrator_sessions_started_total", &labels);
        book.count("orchestrator_sessions_active", &labels);
        if let Some(reason) = &self.reason {
            book.add("orchestrator_sessions_active", &labels, -1.0);
            let labels = [labels[0], labels[1], ("reason", reason)];
            book.count("orchestrator_sessions_ended_total", &labels);
        }
        for utterance in self.utterances.values() {
            let Some(audio_ns) = utterance.first_audio else {
                continue;
            };
            // Without a client, the wait is from the last text sent.
            let text_ns = if is_livekit {
                utterance.last_input
            } else {
                utterance.first_text
            };
            if let Some(text_ns) = text_ns {
                let labels = [("model_id", model)];
                book.latency("orchestrator_latency_fal_ms", &labels, text_ns, audio_ns);
            }
            // Without a client there is no input of a user's that the orchestrator sees.
            if let Some(input_ns) = utterance.last_input.filter(|_| !is_livekit) {
                let labels = [("transport", transport.as_str())];
                book.latency("orchestrator_latency_e2e_ms", &labels, input_ns, audio_ns);
            }
        }
        for (trigger, trigger_ns, over_ns) in &self.interruptions {
            let labels = [("model_id", model), ("trigger", trigger.as_str())];
            let metric = "orchestrator_latency_barge_in_ms";
            book.latency(metric, &labels, *trigger_ns, *over_ns);
        }
        for (utterance, reason) in &self.drops {
            let worker = self.workers.get(utterance).map_or(UNKNOWN, String::as_str);
            let labels = [("worker", worker), ("reason", reason)];
            book.count("worker_audio_frame_drops_total", &labels);
        }
    }
}

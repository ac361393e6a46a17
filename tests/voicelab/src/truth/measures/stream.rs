//! One Synthesize call at a worker, as its events tell it.

use super::Book;

/// Nanoseconds of audio in a frame: 20 ms.
const FRAME_NS: u64 = 20_000_000;

/// A stream's frames are paced when their median interval is at least half a frame; faster is a
/// burst.
const PACED_NS: u64 = FRAME_NS / 2;

/// A running or ended call.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) session: String,
    pub(super) model: Option<String>,
    first_text_ns: Option<u64>,
    frames_ns: Vec<u64>,
    /// Intervals between frames without a pause in them.
    intervals_ns: Vec<u64>,
    broken: bool,
    paused_since_ns: Option<u64>,
    paused_ns: u64,
    paused_before_first_ns: u64,
    paused_before_last_ns: u64,
    final_ns: Option<u64>,
    ended: Option<(u64, String)>,
}

impl Stream {
    /// Text was received.
    pub(super) fn text(&mut self, at_ns: u64) {
        self.first_text_ns.get_or_insert(at_ns);
    }

    /// A frame was sent; an end marker has no audio.
    pub(super) fn frame(&mut self, at_ns: u64, has_audio: bool, is_final: bool) {
        if is_final {
            self.final_ns.get_or_insert(at_ns);
        }
        if !has_audio {
            return;
        }
        let paused_now_ns = self
            .paused_since_ns
            .map_or(0, |since_ns| at_ns.saturating_sub(since_ns));
        self.paused_before_last_ns = self.paused_ns + paused_now_ns;
        if self.frames_ns.is_empty() {
            self.paused_before_first_ns = self.paused_before_last_ns;
        }
        if let Some(last_ns) = self.frames_ns.last()
            && !self.broken
        {
            self.intervals_ns.push(at_ns.saturating_sub(*last_ns));
        }
        self.broken = self.paused_since_ns.is_some();
        self.frames_ns.push(at_ns);
    }

    /// PAUSE or RESUME was received for its session.
    pub(super) fn pause(&mut self, at_ns: u64, paused: bool) {
        if paused {
            self.paused_since_ns.get_or_insert(at_ns);
            self.broken = true;
        } else if let Some(since_ns) = self.paused_since_ns.take() {
            self.paused_ns += at_ns.saturating_sub(since_ns);
        }
    }

    /// The call is over.
    pub(super) fn end(&mut self, at_ns: u64, reason: &str) {
        self.ended.get_or_insert_with(|| (at_ns, reason.to_owned()));
    }

    /// Whether text was received and no frame sent yet.
    pub(super) fn is_queued(&self) -> bool {
        self.first_text_ns.is_some() && self.frames_ns.is_empty() && self.ended.is_none()
    }

    /// What is known at the end of the file.
    pub(super) fn close(&self, worker: &str, book: &mut Book) {
        let model = self.model.as_deref().unwrap_or(super::UNKNOWN);
        let labels = [("worker", worker), ("model_id", model)];
        book.count("worker_synthesis_requests_total", &labels);
        let Some(text_ns) = self.first_text_ns else {
            return;
        };
        let ended_ns = self.ended.as_ref().map(|(at_ns, _)| *at_ns);
        if let Some(end_ns) = self.final_ns.or(ended_ns) {
            book.latency("worker_synthesis_duration_ms", &labels, text_ns, end_ns);
        }
        let Some(first_ns) = self.frames_ns.first() else {
            return;
        };
        book.latency("worker_inference_latency_ms", &labels, text_ns, *first_ns);
        let frames = self.frames_ns.len() as f64;
        let session = [("worker", worker), ("session_id", &self.session)];
        book.add("worker_audio_frames_emitted_total", &session, frames);
        let mut sorted_ns = self.intervals_ns.clone();
        sorted_ns.sort_unstable();
        let Some(median_ns) = sorted_ns.get(sorted_ns.len() / 2) else {
            return;
        };
        let pacing = if *median_ns < PACED_NS {
            "burst"
        } else {
            "paced"
        };
        for interval_ns in &self.intervals_ns {
            let jitter_ns = interval_ns.abs_diff(FRAME_NS);
            let labels = [("worker", worker), ("pacing", pacing)];
            book.latency("worker_audio_frame_jitter_ms", &labels, 0, jitter_ns);
        }
        self.close_rtf(text_ns, pacing, labels, book);
    }

    fn close_rtf(&self, text_ns: u64, pacing: &str, labels: [(&str, &str); 2], book: &mut Book) {
        let (Some(first_ns), Some(last_ns)) = (self.frames_ns.first(), self.frames_ns.last())
        else {
            return;
        };
        let finished = matches!(&self.ended, Some((_, reason)) if reason == "finished");
        let inference_ns = match pacing {
            "burst" => last_ns - text_ns - self.paused_before_last_ns,
            // What was cut off had been inferred too.
            _ if finished => first_ns - text_ns - self.paused_before_first_ns,
            _ => return,
        };
        let audio_ns = self.frames_ns.len() as u64 * FRAME_NS;
        let labels = [labels[0], labels[1], ("mode", pacing)];
        let rtf = inference_ns as f64 / audio_ns as f64;
        book.observe("worker_inference_rtf", &labels, rtf);
    }
}

//! `worker_*`, but for the GPU: NVML says those.

use std::collections::{BTreeMap, BTreeSet};

use super::Book;
use super::stream::Stream;
use crate::truth::{Event, Line};

#[derive(Default)]
struct Worker {
    adapter: String,
    sessions: i64,
    streams: BTreeMap<u64, Stream>,
    controls: BTreeMap<u64, u64>,
    resident: i64,
    /// Models loaded for a request that is not answered yet, and when they were loaded.
    warming: BTreeMap<String, u64>,
    /// Models that a RELOAD loads: no request waits for them.
    reloading: BTreeSet<String>,
}

/// Measures one worker, which goes by `name`.
pub(super) fn measure(lines: &[&Line], name: &str, book: &mut Book) {
    let mut worker = Worker::default();
    for line in lines {
        worker.take(line, name, book);
    }
    if lines.iter().any(|line| is_of_worker(&line.event)) {
        worker.close(name, book);
    }
}

fn is_of_worker(event: &Event) -> bool {
    matches!(event, Event::Request { .. } | Event::ModelLoadEnd { .. })
}

impl Worker {
    fn take(&mut self, line: &Line, name: &str, book: &mut Book) {
        let at_ns = line.t_ns;
        match &line.event {
            Event::Listening { adapter, .. } => self.adapter.clone_from(adapter),
            Event::SessionStart { .. } => self.sessions += 1,
            Event::SessionEnd { .. } => self.sessions -= 1,
            Event::Request {
                stream: Some(stream),
                ..
            } => {
                self.stream(*stream);
            }
            Event::Response {
                method, success, ..
            } if *success && (method == "StartSession" || method == "LoadModel") => {
                self.answered(at_ns, name, book);
            }
            Event::StreamStart {
                stream,
                session,
                model,
                ..
            } => {
                let stream = self.stream(*stream);
                stream.session.clone_from(session);
                stream.model = Some(model.clone());
            }
            Event::Text { stream, .. } => self.stream(*stream).text(at_ns),
            Event::Frame {
                stream,
                bytes,
                is_final,
                ..
            } => self.stream(*stream).frame(at_ns, *bytes > 0, *is_final),
            Event::FrameDropped { .. } => {
                let labels = [("worker", name), ("reason", "backpressure")];
                book.count("worker_audio_frame_drops_total", &labels);
            }
            Event::StreamEnd { stream, reason, .. } => self.stream(*stream).end(at_ns, reason),
            Event::ControlReceived {
                control,
                session,
                command,
            } => {
                let labels = [("worker", name), ("command", command.as_str())];
                book.count("worker_control_commands_total", &labels);
                self.controls.insert(*control, at_ns);
                self.hold(session, command, at_ns);
            }
            Event::ControlAnswered {
                control, command, ..
            } => {
                if let Some(received_ns) = self.controls.remove(control) {
                    let labels = [("worker", name), ("command", command.as_str())];
                    book.latency("worker_control_latency_ms", &labels, received_ns, at_ns);
                }
            }
            Event::ModelLoadEnd { model, duration_ns } => {
                self.resident += 1;
                if !self.reloading.remove(model) {
                    self.warming.insert(model.clone(), at_ns);
                }
                let labels = [("worker", name), ("model_id", model.as_str())];
                book.count("worker_model_manager_loads_total", &labels);
                let metric = "worker_model_manager_load_duration_ms";
                book.latency(metric, &labels, 0, *duration_ns);
            }
            Event::ModelUnload { model, reason } => {
                self.resident -= 1;
                // A RELOAD is a command.
                let reason = if reason == "reload" {
                    self.reloading.insert(model.clone());
                    "manual"
                } else {
                    reason
                };
                let labels = [
                    ("worker", name),
                    ("model_id", model.as_str()),
                    ("reason", reason),
                ];
                book.count("worker_model_manager_unloads_total", &labels);
            }
            _ => {}
        }
    }

    fn stream(&mut self, number: u64) -> &mut Stream {
        self.streams.entry(number).or_default()
    }

    fn hold(&mut self, session: &str, command: &str, at_ns: u64) {
        let paused = match command {
            "PAUSE" => true,
            "RESUME" | "STOP" => false,
            _ => return,
        };
        let held = self.streams.values_mut();
        for stream in held.filter(|stream| stream.session == session) {
            stream.pause(at_ns, paused);
        }
    }

    /// The worker answered for the models it had loaded.
    fn answered(&mut self, at_ns: u64, name: &str, book: &mut Book) {
        for (model, loaded_ns) in std::mem::take(&mut self.warming) {
            let labels = [("worker", name), ("model_id", model.as_str())];
            let metric = "worker_model_manager_warmup_duration_ms";
            book.latency(metric, &labels, loaded_ns, at_ns);
        }
    }

    fn close(&self, name: &str, book: &mut Book) {
        let labels = [("worker", name), ("adapter_type", self.adapter.as_str())];
        book.add("worker_sessions_active", &labels, self.sessions as f64);
        let worker = [("worker", name)];
        let resident = self.resident as f64;
        book.add("worker_model_manager_resident_count", &worker, resident);
        let queued = self.streams.values().filter(|stream| stream.is_queued());
        book.add(
            "worker_inference_queue_depth",
            &worker,
            queued.count() as f64,
        );
        for stream in self.streams.values() {
            stream.close(name, book);
        }
    }
}

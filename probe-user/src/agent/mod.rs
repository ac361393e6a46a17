//! The agent: one thread reads the kernel's records and drives the core; NVML has threads of its
//! own, and the HTTP endpoint another.

mod beat;
mod containers;
mod cost;
mod health;
mod hooks;
mod notices;
mod reload;
mod slice;
mod streams;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use probe_core::{
    diagnose::{Course, Summary},
    interpret::Id,
    metrics::Metrics,
    pipeline::{Pipeline, Tap},
    record::{Evidence, Gpu, GpuSample, KtimeNs, Record},
    trace::Seed,
};

use crate::{
    attach::{AttachError, Attached, Following, Refusal, Tier},
    capture,
    export::otlp::Queue,
    gpu,
    ingest::{Ingest, now},
    settings::Settings,
};
use beat::Beat;
use containers::ContainerInfo;
pub use cost::CostMetrics;
use notices::Notices;
pub use reload::{Next, Reloads};
pub use slice::lengthen as lengthen_slice;
pub use streams::{StreamRow, Streams};

/// How long the agent sleeps when the ring is quiet. The kernel side wakes it earlier only when the ring fills, and for
/// what cannot wait. Without records an agent takes 0.25 % of a CPU at 20 Hz, 0.4 % at 50, and 0.6 % at 100 (a virtual
/// machine).
const PAUSE: Duration = Duration::from_millis(50);

/// Nanoseconds that reading the rest of the ring may take at the end: more than a full ring needs.
const LAST_READ_NS: u64 = 2_000_000_000;

/// What the other threads see of the agent.
#[derive(Clone, Default)]
pub struct Shared {
    /// Everything exported.
    pub metrics: Metrics,
    /// Live streams, renewed every half second.
    pub streams: Streams,
    /// What the diagnosis found so far, renewed with the streams.
    pub diagnosis: Arc<Mutex<Summary>>,
    /// How it went over time, where that is kept; told when the agent ends.
    pub course: Arc<Mutex<Option<Course>>>,
    /// The last readings of each GPU.
    pub gpus: Arc<Mutex<Vec<Gpu>>>,
    /// Whether scheduling is followed.
    pub following: Arc<Mutex<Following>>,
    /// Set when the programs are attached.
    pub ready: Arc<AtomicBool>,
    /// Settings to go by from the next tick on.
    pub next: Next,
    /// Set to end the agent.
    pub stop: Arc<AtomicBool>,
}

/// The agent before it runs: attached, and nothing watched yet.
pub struct Agent {
    settings: Settings,
    shared: Shared,
    ingest: Ingest,
    pipeline: Pipeline,
    cost: CostMetrics,
    containers: Option<ContainerInfo>,
    reloads: Option<Reloads>,
    capture: Option<(capture::Writer, PathBuf)>,
    notices: Option<Notices>,
    traces: Option<Queue>,
}

impl Agent {
    /// Attaches the programs.
    pub fn new(settings: Settings, shared: Shared) -> Result<Self, AttachError> {
        let (mut attached, ring) = Attached::attach(
            settings.hooks,
            settings.log.level.kernel(),
            settings.model_files.roots(),
        )?;
        let cost = CostMetrics::register(shared.metrics.registry());
        let containers = settings
            .container_logs
            .clone()
            .map(|logs| ContainerInfo::register(shared.metrics.registry(), logs));
        attached.leave_unread(settings.profile.unread_fields());
        let profile = Arc::clone(&settings.profile);
        let pipeline = Pipeline::new(profile, settings.model, shared.metrics.clone());
        let ingest = Ingest::new(
            attached,
            ring,
            settings.targets.clone(),
            settings.library_hooks.clone(),
            settings.model_files.clone(),
        );
        Ok(Self {
            settings,
            shared,
            ingest,
            pipeline,
            cost,
            containers,
            reloads: None,
            capture: None,
            notices: None,
            traces: None,
        })
    }

    /// Counts the settings that it takes while it runs.
    pub fn count_reloads(&mut self, reloads: Reloads) {
        self.reloads = Some(reloads);
    }

    /// Also writes what the core is given to a file.
    pub fn record_to(&mut self, path: PathBuf) -> std::io::Result<()> {
        let header = capture::Header::new(&self.settings);
        self.capture = Some((capture::Writer::create(&path, &header)?, path));
        Ok(())
    }

    /// Tells in the log what happens to the voice system, and what the kernel side loses.
    pub fn tell_notices(&mut self) {
        self.pipeline.keep_notices(self.settings.model.objectives);
        self.notices = Some(Notices::new(self.settings.log.events_per_minute));
    }

    /// Leaves traces in a queue, at the rate of the settings.
    pub fn trace_to(&mut self, queue: Queue, seed: Seed) {
        let rate = self.settings.traces.as_ref().map_or(0.0, |it| it.rate);
        let objectives = self.settings.model.objectives;
        self.pipeline.trace(seed, rate, objectives);
        self.traces = Some(queue);
    }

    /// Tells only of this worker's late frames.
    pub fn narrow(&mut self, worker: Id) {
        self.pipeline.diagnosis_mut().narrow(worker);
    }

    /// A report is wanted, with or without scheduling.
    pub fn report(&mut self) {
        self.pipeline.diagnosis_mut().want_report();
    }

    /// How sockets are seen.
    pub fn tier(&self) -> Tier {
        self.ingest.tracker.attached().tier
    }

    /// Says in the log how sockets are seen, and what was tried before.
    fn tell_tier(&self) {
        let attached = self.ingest.tracker.attached();
        for Refusal { tier, error } in &attached.refused {
            tracing::info!(%tier, %error, "this way to see sockets cannot be had");
        }
        tracing::info!(tier = %attached.tier, "sockets are seen by {}", attached.tier.hooked());
    }

    /// Whether scheduling is followed.
    fn following(&self) -> &Following {
        &self.ingest.tracker.attached().following
    }

    /// Runs until [`Shared::stop`] is set; then detaches everything.
    ///
    /// # Errors
    /// When the capture file cannot be written. Watching goes on until the end all the same.
    pub fn run(mut self) -> std::io::Result<u64> {
        let (samples, inbox) = mpsc::channel();
        let sampler = self.sample_gpus(samples);
        let mut beat = Beat::new(self.settings.discovery_interval);
        let mut tap = CaptureTap::new(self.capture.take());
        let following = self.following().clone();
        let evidence = Evidence {
            at: now(),
            late_threshold_ms: self.settings.model.late_threshold_ms,
            stretch_ns: match &following {
                Following::On(ns) => Some(*ns),
                Following::Off | Following::Unavailable(_) => None,
            },
        };
        tell(&self.shared.following, following);
        self.tell_tier();
        self.pipeline
            .handle(Record::Evidence(evidence), tap.as_tap());
        self.shared.ready.store(true, Ordering::Release);
        let mut empty = true;
        while !self.shared.stop.load(Ordering::Acquire) {
            if empty {
                self.ingest.wait(PAUSE);
            }
            empty = self.step(&mut beat, &inbox, &mut tap);
        }
        drop(sampler);
        // What was written before the stop still counts; what is written faster than it can be read
        // must not keep the agent from ending.
        let stopped = now();
        while !self.step(&mut beat, &inbox, &mut tap) && now().since(stopped) < LAST_READ_NS {}
        self.pipeline.finish();
        self.hand_on(stopped);
        let found = self.pipeline.diagnosis();
        tell(&self.shared.diagnosis, found.summary().clone());
        tell(&self.shared.course, found.course().cloned());
        tap.finish()
    }

    /// Reads a batch of records, then sees to the other duties; true when the ring was emptied.
    fn step(
        &mut self,
        beat: &mut Beat,
        inbox: &mpsc::Receiver<GpuSample>,
        tap: &mut CaptureTap,
    ) -> bool {
        self.reload();
        let Self {
            ingest, pipeline, ..
        } = self;
        let mut last = None;
        let mut out = |record: Record<'_>| {
            if let Record::Chunk(chunk) = &record {
                last = Some(chunk.exit);
            }
            pipeline.handle(record, tap.as_tap());
        };
        let empty = ingest.drain(&mut out);
        let now = now();
        let due = beat.due(now);
        if due.tick {
            ingest.handle_tick(now, due.look_over, &mut out);
            for sample in inbox.try_iter() {
                tell(&self.shared.gpus, sample.gpus.clone());
                out(Record::Gpus(sample));
            }
            // With records left to read, the core's time is theirs: what they hold is not late yet.
            let at = if empty {
                now
            } else {
                last.map_or(now, |last| last.min(now))
            };
            pipeline.handle(Record::Tick { at }, tap.as_tap());
        }
        while let Some(connection) = pipeline.poll_unwanted() {
            ingest.tracker.ignore(connection);
        }
        while let Some(registered) = pipeline.poll_registered() {
            ingest.tracker.registered(&registered, &mut |record| {
                pipeline.handle(record, tap.as_tap());
            });
        }
        if due.publish {
            self.cost.update(ingest);
            if let Some(containers) = &mut self.containers {
                containers.update(&ingest.tracker);
            }
            if let Some(notices) = &mut self.notices {
                notices.tell_losses(ingest.losses().into_iter(), now);
            }
            self.shared.streams.publish(pipeline.model());
            if pipeline.diagnosis().is_on() {
                tell(
                    &self.shared.diagnosis,
                    pipeline.diagnosis().summary().clone(),
                );
            }
        }
        self.hand_on(now);
        empty
    }

    /// Hands on what the core has to tell: traces to their queue, notices to the log.
    fn hand_on(&mut self, now: KtimeNs) {
        if let Some(queue) = &self.traces {
            while let Some(trace) = self.pipeline.poll_trace() {
                queue.push(trace);
            }
        }
        if let Some(notices) = &mut self.notices {
            while let Some(notice) = self.pipeline.poll_notice() {
                notices.tell(&notice, now);
            }
        }
    }

    fn sample_gpus(&self, samples: mpsc::Sender<GpuSample>) -> gpu::Handle {
        let watched = self.ingest.tracker.watched();
        gpu::start(
            self.settings.gpu.clone(),
            move |pid| watched.root_of(pid),
            now,
            // The agent is ending when nobody receives.
            move |sample| drop(samples.send(sample)),
        )
    }
}

/// Puts a value where other threads see it.
fn tell<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

/// Writes records to the capture file, if there is one; stops at the first error.
struct CaptureTap {
    capture: Option<(capture::Writer, PathBuf)>,
    failure: Option<std::io::Error>,
}

impl CaptureTap {
    fn new(capture: Option<(capture::Writer, PathBuf)>) -> Self {
        Self {
            capture,
            failure: None,
        }
    }

    fn as_tap(&mut self) -> Option<&mut dyn Tap> {
        self.capture.is_some().then_some(self as &mut dyn Tap)
    }

    fn finish(self) -> std::io::Result<u64> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let Some((writer, _)) = self.capture else {
            return Ok(0);
        };
        let records = writer.records();
        writer.finish()?;
        Ok(records)
    }
}

impl Tap for CaptureTap {
    fn record(&mut self, record: &Record<'_>) {
        let Some((writer, path)) = &mut self.capture else {
            return;
        };
        if let Err(error) = writer.record(record) {
            tracing::error!(path = %path.display(), %error, "capture cannot be written; it ends here");
            self.capture = None;
            self.failure = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_on_a_full_disk_fails() {
        let path = PathBuf::from("/dev/full");
        let writer =
            capture::Writer::create(&path, &capture::Header::default()).expect("the device opens");
        let mut tap = CaptureTap::new(Some((writer, path)));
        // A sequence that does not compress, so that the file is written to before its end.
        for at in 0..100_000_u64 {
            let at = KtimeNs(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            if tap.as_tap().is_none() {
                break;
            }
            tap.record(&Record::Tick { at });
        }
        assert!(tap.as_tap().is_none(), "it ended at the first error");
        let error = tap.finish().expect_err("what was lost is told");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

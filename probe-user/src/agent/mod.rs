//! The agent: one thread reads the kernel's records and drives the core; NVML has threads of its
//! own, and the HTTP endpoint another.

mod beat;
mod cost;
mod streams;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use probe_core::{
    metrics::Metrics,
    pipeline::{Pipeline, Tap},
    record::{GpuSample, Record},
};

use crate::{
    attach::{AttachError, Attached},
    capture, gpu,
    ingest::{Ingest, now},
    settings::Settings,
};
use beat::Beat;
pub use cost::CostMetrics;
pub use streams::{StreamRow, Streams};

/// How long the agent sleeps when the ring is quiet. The kernel side wakes it earlier only when the
/// ring fills; at 100 Hz an idle agent costs a tenth of a percent of a core.
const PAUSE: Duration = Duration::from_millis(10);

/// What the other threads see of the agent.
#[derive(Clone, Default)]
pub struct Shared {
    /// Everything exported.
    pub metrics: Metrics,
    /// Live streams, renewed every half second.
    pub streams: Streams,
    /// Set when the programs are attached.
    pub ready: Arc<AtomicBool>,
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
    capture: Option<(capture::Writer, PathBuf)>,
}

impl Agent {
    /// Attaches the programs.
    pub fn new(settings: Settings, shared: Shared) -> Result<Self, AttachError> {
        let (attached, ring) = Attached::attach(settings.attachment, settings.log.level.kernel())?;
        let cost = CostMetrics::register(shared.metrics.registry());
        let profile = Arc::clone(&settings.profile);
        let pipeline = Pipeline::new(profile, settings.model, shared.metrics.clone());
        let ingest = Ingest::new(attached, ring, settings.targets.clone());
        Ok(Self {
            settings,
            shared,
            ingest,
            pipeline,
            cost,
            capture: None,
        })
    }

    /// Also writes what the core is given to a file.
    pub fn record_to(&mut self, path: PathBuf) -> std::io::Result<()> {
        let header = capture::Header::new(&self.settings);
        self.capture = Some((capture::Writer::create(&path, &header)?, path));
        Ok(())
    }

    /// Runs until [`Shared::stop`] is set; then detaches everything.
    ///
    /// # Errors
    /// When the capture file cannot be written. Watching goes on until the end all the same.
    pub fn run(mut self) -> std::io::Result<u64> {
        let (samples, inbox) = mpsc::channel();
        let sampler = self.sample_gpus(samples);
        let mut beat = Beat::new(self.settings.discovery_interval);
        let mut tap = CaptureTap(self.capture.take());
        self.shared.ready.store(true, Ordering::Release);
        let mut empty = true;
        while !self.shared.stop.load(Ordering::Acquire) {
            if empty {
                self.ingest.wait(PAUSE);
            }
            empty = self.step(&mut beat, &inbox, &mut tap);
        }
        drop(sampler);
        // What was written before the stop still counts.
        while !self.step(&mut beat, &inbox, &mut tap) {}
        tap.finish()
    }

    /// Reads a batch of records, then sees to the other duties; true when the ring was emptied.
    fn step(
        &mut self,
        beat: &mut Beat,
        inbox: &mpsc::Receiver<GpuSample>,
        tap: &mut CaptureTap,
    ) -> bool {
        let Self {
            ingest, pipeline, ..
        } = self;
        let mut out = |record: Record<'_>| pipeline.handle(record, tap.as_tap());
        let empty = ingest.drain(&mut out);
        let now = now();
        let due = beat.due(now);
        if due.tick {
            ingest.handle_tick(now, due.look_over, &mut out);
            for sample in inbox.try_iter() {
                out(Record::Gpus(sample));
            }
            out(Record::Tick { at: now });
        }
        while let Some(connection) = pipeline.poll_unwanted() {
            ingest.tracker.ignore(connection);
        }
        if due.publish {
            self.cost.update(ingest);
            self.shared.streams.publish(pipeline.model());
        }
        empty
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

/// Writes records to the capture file, if there is one; stops at the first error.
struct CaptureTap(Option<(capture::Writer, PathBuf)>);

impl CaptureTap {
    fn as_tap(&mut self) -> Option<&mut dyn Tap> {
        self.0.is_some().then_some(self as &mut dyn Tap)
    }

    fn finish(self) -> std::io::Result<u64> {
        let Some((writer, _)) = self.0 else {
            return Ok(0);
        };
        let records = writer.records();
        writer.finish()?;
        Ok(records)
    }
}

impl Tap for CaptureTap {
    fn record(&mut self, record: &Record<'_>) {
        let Some((writer, path)) = &mut self.0 else {
            return;
        };
        if let Err(error) = writer.record(record) {
            tracing::error!(path = %path.display(), %error, "capture cannot be written; it ends here");
            self.0 = None;
        }
    }
}

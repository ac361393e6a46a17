//! A worker whose thread 11 sends a stream's frames every 20 ms, told in milliseconds.

use crate::diagnose::{Cause, Diagnosis, Finding};
use crate::flow::CallId;
use crate::interpret::Id;
use crate::metrics::{Limits, Metrics};
use crate::model::LateFrame;
use crate::record::{
    Chunk, ConnectionId, Direction, Evidence, GpuSample, KtimeNs, Left, Process, Role, Sched,
    Short, Tgid, Thread, Wait,
};

pub(super) const WORKER: Tgid = Tgid(10);
pub(super) const SENDER: u32 = 11;
pub(super) const HELPER: u32 = 12;

/// The interval of the late frame begins here, after a second of frames in time.
pub(super) const START: f64 = 1_000.0;

pub(super) fn at(ms: f64) -> KtimeNs {
    KtimeNs((ms * 1e6).round() as u64)
}

/// A wait of a thread: off the CPU at `off`, woken at `wake`, on a CPU again at `on`.
pub(super) fn wait(tid: u32, off: f64, wake: f64, on: f64) -> Sched {
    Sched {
        tgid: WORKER,
        tid,
        since: at(off),
        short: Short::default(),
        run: at(off),
        off: at(off),
        wake: at(wake),
        at: at(on),
        left: Left::Sleeping,
        wait: Wait::Readiness,
        syscall: Some(232),
        deadline: None,
        refused: None,
        waker: None,
        waker_in: Wait::User,
        runner: None,
        cpu: 0,
    }
}

pub(super) fn thread(tgid: Tgid, tid: u32, comm: &str) -> Thread {
    let comm = comm.to_owned();
    Thread { tgid, tid, comm }
}

/// A wait that its own time-out ends.
pub(super) fn timed(tid: u32, off: f64, deadline: f64, on: f64) -> Sched {
    Sched {
        deadline: Some(at(deadline)),
        ..wait(tid, off, on, on)
    }
}

/// Ready after 20 ms, on a CPU after 80.
pub(super) fn contended() -> Sched {
    Sched {
        wake: at(START + 20.0),
        runner: Some((thread(Tgid(99), 99, "hog"), 58_000_000)),
        ..timed(SENDER, START + 0.2, START + 20.0, START + 80.0)
    }
}

pub(super) struct Story {
    pub(super) diagnosis: Diagnosis,
    pub(super) metrics: Metrics,
    /// The reading of GPUs that comes after the frame.
    pub(super) after: Option<GpuSample>,
    /// End of each thread's last record.
    ends: Vec<(u32, KtimeNs)>,
}

impl Story {
    /// A second of frames in time, each after a timed wait of nearly 20 ms.
    pub(super) fn new() -> Self {
        let metrics = Metrics::new(Limits::default());
        let mut diagnosis = Diagnosis::new(&metrics);
        diagnosis.start(&Evidence {
            at: at(0.0),
            late_threshold_ms: 20,
            stretch_ns: Some(1_000_000),
        });
        diagnosis.handle_process(&Process {
            tgid: WORKER,
            at: at(0.0),
            role: Role::Worker,
            name: "w".into(),
            adapter: "a".into(),
        });
        let mut story = Self {
            diagnosis,
            metrics,
            after: None,
            ends: Vec::new(),
        };
        for frame in 0..50 {
            let sent = f64::from(frame) * 20.0;
            story.tell(timed(SENDER, sent + 0.2, sent + 20.0, sent + 20.0));
        }
        story
    }

    /// The next record of a thread: it joins the one before, with the time between on a CPU.
    pub(super) fn tell(&mut self, mut sched: Sched) {
        let end = self.ends.iter_mut().find(|(tid, _)| *tid == sched.tid);
        match end {
            Some((_, end)) => {
                sched.since = *end;
                sched.run = *end;
                *end = sched.at;
            }
            None => self.ends.push((sched.tid, sched.at)),
        }
        self.diagnosis.handle_sched(&sched);
    }

    /// A frame that should have come 20 ms after [`START`] and came at `sent`.
    pub(super) fn frame(sent: f64) -> LateFrame {
        LateFrame {
            call: CallId {
                connection: ConnectionId(1),
                stream: 1,
            },
            process: WORKER,
            worker: Id::new("w").expect("a name"),
            session: None,
            frame: 51,
            previous: at(START),
            at: at(sent),
            excess_ns: at(sent - START - 20.0).0,
            underrun_ns: 0,
            text: None,
            starting_ns: None,
            paused_ns: 0,
        }
    }

    /// The sender sends the frame; gives what the diagnosis makes of it.
    pub(super) fn judge(&mut self, late: LateFrame) -> Finding {
        self.send(late.at);
        let due = late.at.plus(super::super::JUDGED_AFTER_NS);
        let sent = late.at;
        self.diagnosis.handle_late(late);
        self.diagnosis.handle_tick(due);
        if let Some(sample) = &self.after {
            self.diagnosis.handle_gpus(sample);
        }
        self.diagnosis
            .handle_tick(sent.plus(super::super::GPU_WAIT_NS));
        let worst = &self.diagnosis.summary().worst;
        worst.first().expect("a finding").clone()
    }

    pub(super) fn send(&mut self, enter: KtimeNs) {
        self.diagnosis.handle_chunk(&Chunk {
            connection: ConnectionId(1),
            direction: Direction::Sent,
            tid: SENDER,
            offset: 0,
            enter,
            exit: enter,
            length: 0,
            bytes: vec![].into(),
            holes: vec![].into(),
        });
    }

    /// Asserts the cause, in the finding and in the metrics.
    #[track_caller]
    pub(super) fn assert(&mut self, late: LateFrame, cause: Cause) -> Finding {
        let finding = self.judge(late);
        assert_eq!(finding.verdict.cause, cause, "{finding:#?}");
        let counted = self
            .metrics
            .worker
            .late_frames
            .with(&["w", cause.label()])
            .get();
        assert_eq!(counted, 1, "voxprobe_late_frames_total");
        finding
    }
}

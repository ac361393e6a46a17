//! What happens to the voice system and to the probe, as lines of the log.

use probe_core::{
    interpret::Id,
    model::{Objective, SessionChange, SessionStory},
    notice::{GpuNotice, Notice, Severity, ViolationNotice},
    record::KtimeNs,
};

use super::health::{Health, Loss};
use crate::telemetry::Limiter;

/// Kinds of lines, as they are told where some are left out.
const SESSION: &str = "session";
const VIOLATION: &str = "violation";
const GPU: &str = "gpu";
const LOSS: &str = "loss";

/// Writes notices, as many as may be.
pub(super) struct Notices {
    limiter: Limiter,
    health: Health,
}

/// Writes a line at a level that is not known beforehand.
macro_rules! report {
    ($severity:expr, $($field:tt)+) => {
        match $severity {
            Severity::Info => tracing::info!($($field)+),
            Severity::Warning => tracing::warn!($($field)+),
            Severity::Error => tracing::error!($($field)+),
        }
    };
}

impl Notices {
    /// At most this many lines of one kind in a minute.
    pub(super) fn new(most: u32) -> Self {
        Self {
            limiter: Limiter::new(most),
            health: Health::default(),
        }
    }

    /// Another bound from now on.
    pub(super) fn set_limit(&mut self, most: u32) {
        self.limiter.set_most(most);
    }

    /// Tells what the core noticed.
    pub(super) fn tell(&mut self, notice: &Notice, now: KtimeNs) {
        match notice {
            Notice::Session(story) if self.limiter.admit(SESSION, now) => session(story),
            Notice::Violation(notice) if self.limiter.admit(VIOLATION, now) => violation(notice),
            Notice::Gpu(notice) if self.limiter.admit(GPU, now) => gpu(notice),
            Notice::LeftOut(lines) => self.limiter.add_left_out(VIOLATION, *lines, now),
            Notice::Session(_) | Notice::Violation(_) | Notice::Gpu(_) => {}
        }
    }

    /// Tells what the kernel side lost since the last time, and that it loses nothing more.
    pub(super) fn tell_losses(
        &mut self,
        losses: impl Iterator<Item = (&'static str, u64)>,
        now: KtimeNs,
    ) {
        for change in self.health.look(losses, now) {
            match change {
                Loss::Began { reason, count } => {
                    if self.limiter.admit(LOSS, now) {
                        tracing::warn!(
                            reason,
                            count,
                            "degraded: records were lost; what depends on them is unknown"
                        );
                    }
                }
                Loss::Ended { count } => {
                    tracing::info!(count, "nothing was lost for a minute");
                }
            }
        }
        for left_out in self.limiter.poll(now) {
            tracing::warn!(
                kind = left_out.kind,
                count = left_out.lines,
                "lines of the log were left out"
            );
        }
    }
}

fn session(story: &SessionStory) {
    let (pid, role) = (story.process.0, story.role.as_str());
    let session_id = text(story.session.as_ref());
    let model_id = text(story.model.as_ref());
    let worker = text(story.worker.as_ref());
    let transport = story.transport;
    match story.change {
        SessionChange::Started => tracing::info!(
            pid,
            role,
            worker,
            session_id,
            model_id,
            transport,
            "session started"
        ),
        SessionChange::Ended(reason) => tracing::info!(
            pid,
            role,
            worker,
            session_id,
            model_id,
            transport,
            reason,
            "session ended"
        ),
    }
}

fn violation(notice: &ViolationNotice) {
    let pid = notice.process.0;
    let worker = text(notice.worker.as_ref());
    let session_id = text(notice.session.as_ref());
    let model_id = text(notice.model.as_ref());
    let trace_id = notice.trace.map(|trace| trace.to_string());
    let trace_id = trace_id.as_deref();
    let limit_ms = notice.violation.limit_ms;
    let value_ms = rounded(notice.violation.value_ms);
    match notice.violation.objective {
        Objective::FirstAudio => tracing::warn!(
            pid,
            worker,
            session_id,
            model_id,
            trace_id,
            slo = "first_audio",
            fal_ms = value_ms,
            limit_ms,
            "objective missed: first audio came late"
        ),
        Objective::BargeIn => tracing::warn!(
            pid,
            worker,
            session_id,
            model_id,
            trace_id,
            slo = "barge_in",
            barge_in_ms = value_ms,
            limit_ms,
            "objective missed: audio went on after an interruption"
        ),
        Objective::FrameJitter => tracing::warn!(
            pid,
            worker,
            session_id,
            model_id,
            trace_id,
            slo = "frame_jitter",
            worst_ms = value_ms,
            limit_ms,
            share = notice.violation.share,
            "objective missed: too many frames were sent off their time"
        ),
    }
}

fn gpu(notice: &GpuNotice) {
    report!(
        notice.severity,
        gpu_id = notice.gpu.as_deref(),
        xid = notice.xid,
        count = notice.count,
        reason = notice.reason.as_deref(),
        "{}",
        notice.message
    );
}

fn text(id: Option<&Id>) -> Option<&str> {
    id.map(Id::as_str)
}

/// To the microsecond.
fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

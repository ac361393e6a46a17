//! What changed about GPUs from one reading to the next.

use std::collections::BTreeMap;

use crate::diagnose::harmful;
use crate::metrics::throttle_reasons;
use crate::record::{Gpu, GpuSample, GpuState, NvmlState};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is well again.
    Info,
    /// It does less than it could.
    Warning,
    /// It failed.
    Error,
}

/// A change of a GPU, or of NVML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuNotice {
    /// Label `gpu_id`; `None` for NVML itself.
    pub gpu: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What happened.
    pub message: &'static str,
    /// XID (NVIDIA's error number).
    pub xid: Option<u64>,
    /// How many of them.
    pub count: Option<u64>,
    /// In whose words: the driver's, or the reasons for slower clocks.
    pub reason: Option<String>,
}

/// The last readings.
#[derive(Debug, Default)]
pub(super) struct Gpus {
    nvml: NvmlState,
    gpus: BTreeMap<String, Seen>,
}

/// What is remembered of one GPU.
#[derive(Debug, Default)]
struct Seen {
    state: GpuState,
    xids: BTreeMap<u64, u64>,
    uncorrected: Option<u64>,
    /// NVML's reasons for slower clocks that hurt.
    throttle: u64,
}

impl Gpus {
    /// What changed since the sample before.
    pub(super) fn changes(&mut self, sample: &GpuSample) -> Vec<GpuNotice> {
        let mut notices: Vec<_> = nvml(&self.nvml, &sample.nvml).into_iter().collect();
        self.nvml = sample.nvml.clone();
        // The shell lists every GPU it ever saw, so that none is forgotten here.
        for gpu in &sample.gpus {
            let seen = self.gpus.entry(gpu.id.clone()).or_default();
            seen.take(gpu, &mut notices);
        }
        notices
    }
}

impl Seen {
    fn take(&mut self, gpu: &Gpu, notices: &mut Vec<GpuNotice>) {
        let say = |severity, message| GpuNotice {
            gpu: Some(gpu.id.clone()),
            severity,
            message,
            xid: None,
            count: None,
            reason: None,
        };
        if self.state != gpu.state {
            let mut notice = match &gpu.state {
                GpuState::Ok => say(Severity::Info, "GPU answers again"),
                GpuState::Lost => say(Severity::Error, "GPU is lost"),
                GpuState::Vanished => say(Severity::Error, "GPU is no longer listed"),
                GpuState::Failing(_) => say(Severity::Error, "GPU cannot be read"),
            };
            if let GpuState::Failing(reason) = &gpu.state {
                notice.reason = Some(reason.clone());
            }
            // One failure after another is one failure.
            let both = matches!(
                (&self.state, &gpu.state),
                (GpuState::Failing(_), GpuState::Failing(_))
            );
            if !both {
                notices.push(notice);
            }
            self.state = gpu.state.clone();
        }
        for (xid, count) in &gpu.xids {
            let before = self.xids.insert(*xid, *count).unwrap_or(0);
            let new = count.saturating_sub(before);
            if new > 0 {
                let mut notice = say(Severity::Error, "GPU reports an error (XID)");
                (notice.xid, notice.count) = (Some(*xid), Some(new));
                notices.push(notice);
            }
        }
        if let Some(errors) = gpu.readings.ecc_uncorrected {
            // Errors from before the first reading are old.
            let before = self.uncorrected.replace(errors).unwrap_or(errors);
            let new = errors.saturating_sub(before);
            if new > 0 {
                let mut notice = say(Severity::Error, "GPU memory has uncorrected errors");
                notice.count = Some(new);
                notices.push(notice);
            }
        }
        if gpu.readings.throttle_reasons.is_some() {
            let reasons = harmful(gpu);
            if self.throttle == 0 && reasons != 0 {
                let mut notice = say(Severity::Warning, "GPU runs below its clock");
                let names: Vec<_> = throttle_reasons(reasons).collect();
                notice.reason = Some(names.join(", "));
                notices.push(notice);
            } else if self.throttle != 0 && reasons == 0 {
                notices.push(say(Severity::Info, "GPU runs at its clock again"));
            }
            self.throttle = reasons;
        }
    }
}

fn nvml(before: &NvmlState, now: &NvmlState) -> Option<GpuNotice> {
    let say = |severity, message, reason: Option<&String>| GpuNotice {
        gpu: None,
        severity,
        message,
        xid: None,
        count: None,
        reason: reason.cloned(),
    };
    match (before, now) {
        _ if before == now => None,
        (NvmlState::Failed(_), NvmlState::Failed(_)) | (_, NvmlState::Off) => None,
        (_, NvmlState::Failed(reason)) => Some(say(Severity::Error, "NVML fails", Some(reason))),
        // A host without a GPU is no trouble.
        (NvmlState::Off, NvmlState::Unavailable(reason)) => {
            Some(say(Severity::Info, "GPUs are not read", Some(reason)))
        }
        (_, NvmlState::Unavailable(reason)) => Some(say(
            Severity::Warning,
            "GPUs are not read any more",
            Some(reason),
        )),
        (_, NvmlState::Active { driver }) => {
            Some(say(Severity::Info, "GPUs are read", Some(driver)))
        }
    }
}

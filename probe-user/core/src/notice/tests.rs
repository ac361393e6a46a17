//! Samples and stories to notices.

use super::*;
use crate::model::{InterruptionStory, Objective};
use crate::record::{Gpu, GpuState, NvmlState};

fn gpu(change: impl FnOnce(&mut Gpu)) -> GpuSample {
    let mut gpu = Gpu {
        id: "0".to_owned(),
        ..Gpu::default()
    };
    change(&mut gpu);
    GpuSample {
        gpus: vec![gpu],
        nvml: NvmlState::Active {
            driver: "550".to_owned(),
        },
        ..GpuSample::default()
    }
}

/// What each sample changes, in short.
fn told(samples: &[GpuSample]) -> Vec<Vec<(Severity, &'static str, Option<u64>)>> {
    let mut notices = Notices::new(Objectives::default());
    let mut told = Vec::new();
    for sample in samples {
        notices.handle_gpus(sample);
        let of_sample = std::iter::from_fn(|| notices.poll()).map(|notice| match notice {
            Notice::Gpu(it) => (it.severity, it.message, it.xid.or(it.count)),
            other => panic!("{other:?}"),
        });
        told.push(of_sample.collect());
    }
    // The first one says that NVML answers.
    told.split_off(1)
}

#[test]
fn gpu_that_fails_is_an_error_once_and_well_again_once() {
    let failing = |reason: &str| gpu(|gpu| gpu.state = GpuState::Failing(reason.to_owned()));
    let well = || gpu(|_| {});
    let samples = [
        well(),
        failing("one"),
        failing("another"),
        gpu(|gpu| gpu.state = GpuState::Lost),
        well(),
        well(),
    ];
    let expected: [&[_]; 5] = [
        &[(Severity::Error, "GPU cannot be read", None)],
        &[],
        &[(Severity::Error, "GPU is lost", None)],
        &[(Severity::Info, "GPU answers again", None)],
        &[],
    ];
    assert_eq!(told(&samples), expected);
}

#[test]
fn new_errors_are_told_and_old_ones_are_not() {
    let errors = |xids: u64, memory: u64| {
        gpu(|gpu| {
            gpu.xids.extend((xids > 0).then_some((79, xids)));
            gpu.readings.ecc_uncorrected = Some(memory);
        })
    };
    let samples = [errors(0, 4), errors(1, 4), errors(1, 4), errors(3, 6)];
    let xid = (Severity::Error, "GPU reports an error (XID)", Some(79));
    let memory = (
        Severity::Error,
        "GPU memory has uncorrected errors",
        Some(2),
    );
    let expected: [&[_]; 3] = [&[xid], &[], &[xid, memory]];
    assert_eq!(told(&samples), expected);
}

#[test]
fn slower_clocks_are_a_warning_where_the_reason_hurts() {
    // nvmlClocksThrottleReason…: GpuIdle, HwThermalSlowdown.
    let (idle, heat) = (0x1, 0x40);
    let clocks = |reasons| gpu(|gpu| gpu.readings.throttle_reasons = Some(reasons));
    let samples = [clocks(idle), clocks(idle | heat), clocks(heat), clocks(0)];
    let expected: [&[_]; 3] = [
        &[(Severity::Warning, "GPU runs below its clock", None)],
        &[],
        &[(Severity::Info, "GPU runs at its clock again", None)],
    ];
    assert_eq!(told(&samples), expected);
    let mut notices = Notices::new(Objectives::default());
    notices.handle_gpus(&samples[1]);
    let mut reasons = std::iter::from_fn(|| notices.poll()).filter_map(|notice| match notice {
        Notice::Gpu(it) => it.reason,
        _ => None,
    });
    assert!(reasons.any(|reason| reason == "hw_thermal_slowdown"));
}

#[test]
fn host_without_gpu_is_no_trouble_and_driver_that_goes_is() {
    let nvml = |nvml| GpuSample {
        nvml,
        ..GpuSample::default()
    };
    let unavailable = || NvmlState::Unavailable("no library".to_owned());
    let mut notices = Notices::new(Objectives::default());
    let mut severity = |state| {
        notices.handle_gpus(&nvml(state));
        std::iter::from_fn(|| notices.poll())
            .map(|notice| match notice {
                Notice::Gpu(it) => it.severity,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(severity(unavailable()), [Severity::Info]);
    assert_eq!(severity(unavailable()), []);
    let driver = "550".to_owned();
    assert_eq!(severity(NvmlState::Active { driver }), [Severity::Info]);
    assert_eq!(severity(unavailable()), [Severity::Warning]);
    let failed = NvmlState::Failed("hangs".to_owned());
    assert_eq!(severity(failed), [Severity::Error]);
}

#[test]
fn missed_objective_is_told_with_its_numbers_and_trace() {
    let interruption = |latency_ms| {
        Story::Interruption(InterruptionStory {
            utterance: None,
            trace: None,
            process: Tgid(7),
            session: Id::new("ws-1"),
            model: None,
            trigger: "vad",
            latency_ms,
        })
    };
    let mut notices = Notices::new(Objectives::default());
    notices.handle(&interruption(50.0), None);
    assert_eq!(notices.poll(), None, "at the limit");
    let trace = Some(TraceId([7; 16]));
    notices.handle(&interruption(51.0), trace);
    let Some(Notice::Violation(notice)) = notices.poll() else {
        panic!("nothing is told");
    };
    assert_eq!(notice.violation.objective, Objective::BargeIn);
    assert_eq!(
        (notice.violation.value_ms, notice.violation.limit_ms),
        (51.0, 50)
    );
    assert_eq!((notice.session, notice.trace), (Id::new("ws-1"), trace));
    notices.set_objectives(Objectives {
        barge_in_ms: 60,
        ..Objectives::default()
    });
    notices.handle(&interruption(51.0), None);
    assert_eq!(notices.poll(), None);
}

#[test]
fn notices_that_nobody_takes_are_bounded_and_counted() {
    let mut notices = Notices::new(Objectives::default());
    for count in 0..MAX_NOTICES as u64 + 5 {
        notices.handle_gpus(&gpu(|gpu| {
            gpu.xids.insert(79, count + 1);
        }));
    }
    let told: Vec<_> = std::iter::from_fn(|| notices.poll()).collect();
    assert_eq!(told.len(), MAX_NOTICES + 1);
    // One of them was NVML's.
    assert_eq!(told.last(), Some(&Notice::LeftOut(6)));
}

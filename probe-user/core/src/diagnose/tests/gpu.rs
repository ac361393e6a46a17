//! What a GPU did to its worker.

use super::story::{SENDER, START, Story, WORKER, at, contended, wait};
use crate::diagnose::Cause;
use crate::record::{Gpu, GpuProcess, GpuReadings, GpuSample, Sched, Wait};

/// One GPU of the worker, with these reasons for slower clocks and this share of a neighbour.
fn gpu(reasons: u64, neighbour: u32) -> GpuSample {
    let process = |pid, watched, percent| GpuProcess {
        pid,
        watched,
        memory_bytes: None,
        sm_percent: Some(percent),
    };
    GpuSample {
        at: at(START + 50.0),
        gpus: vec![Gpu {
            id: "0".into(),
            readings: GpuReadings {
                throttle_reasons: Some(reasons),
                ..GpuReadings::default()
            },
            processes: vec![process(10, Some(WORKER), 20), process(77, None, neighbour)],
            ..Gpu::default()
        }],
        ..GpuSample::default()
    }
}

#[test]
fn driver_wait_is_the_gpus_where_nvml_says_why() {
    let blocked = || Sched {
        wait: Wait::Ioctl,
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    };
    for (sample, cause) in [
        (gpu(0x40, 5), Cause::GpuThrottle),
        (gpu(0x1, 70), Cause::GpuNeighbour),
        // Idle clocks and a quiet neighbour are no reason; two reasons are none either.
        (gpu(0x1, 5), Cause::Unexplained),
        (gpu(0x40, 70), Cause::Unexplained),
    ] {
        let mut story = Story::new();
        story.diagnosis.handle_gpus(&sample);
        story.tell(blocked());
        story.assert(Story::frame(START + 90.1), cause);
    }
}

#[test]
fn error_of_the_gpu_within_the_interval_is_the_cause() {
    let sample = |ms: f64, errors: u64, neighbour: u32| {
        let mut sample = gpu(0x40, neighbour);
        sample.at = at(START + ms);
        sample.gpus[0].xids = [(31, errors)].into();
        sample
    };
    for (before, neighbour, cause) in [
        (0, 5, Cause::GpuError),
        // From before.
        (1, 5, Cause::GpuThrottle),
        // It may be the neighbour's.
        (0, 70, Cause::Unexplained),
    ] {
        let mut story = Story::new();
        story
            .diagnosis
            .handle_gpus(&sample(-10.0, before, neighbour));
        story.after = Some(sample(600.0, 1, neighbour));
        story.tell(Sched {
            wait: Wait::Ioctl,
            ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
        });
        story.assert(Story::frame(START + 90.1), cause);
    }
}

#[test]
fn throttled_gpu_does_not_excuse_a_busy_cpu() {
    let mut story = Story::new();
    story.diagnosis.handle_gpus(&gpu(0x40, 5));
    story.tell(contended());
    story.assert(Story::frame(START + 80.5), Cause::CpuContention);
}

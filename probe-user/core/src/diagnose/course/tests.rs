//! What is drawn, and that it is bounded.

use super::*;
use crate::diagnose::{Account, BlockedTime, Verdict};
use crate::model::LateFrame;
use crate::record::{ConnectionId, Gpu, GpuProcess, GpuReadings, NvmlState, Tgid};

fn ms(ms: u64) -> KtimeNs {
    KtimeNs(ms * 1_000_000)
}

fn call(stream: u32) -> CallId {
    let connection = ConnectionId(1);
    CallId { connection, stream }
}

fn send(course: &mut Course, stream: u32, at: u64, interval: u64) {
    let worker = Id::new("w").expect("a name");
    course.add_frame(&SentFrame {
        call: call(stream),
        worker: &worker,
        session: None,
        at: ms(at),
        interval_ns: Some(interval * 1_000_000),
        is_burst: false,
    });
}

fn late(stream: u32, at: u64, excess: u64) -> Finding {
    Finding {
        late: LateFrame {
            call: call(stream),
            process: Tgid(1),
            worker: Id::new("w").expect("a name"),
            session: None,
            frame: 1,
            previous: ms(0),
            at: ms(at),
            excess_ns: excess * 1_000_000,
            underrun_ns: 0,
            text: None,
            starting_ns: None,
            paused_ns: 0,
        },
        verdict: Verdict {
            cause: Cause::Lock,
            shares: Vec::new(),
            gpus: Vec::new(),
            tcp: None,
            blocked: BlockedTime::default(),
        },
        thread: None,
        account: None::<Account>,
    }
}

#[test]
fn a_long_watch_has_wider_columns_and_keeps_its_late_frames() {
    let mut course = Course::new(ms(0));
    for frame in 0..3_000 {
        send(&mut course, 1, frame * 20, 20);
    }
    send(&mut course, 1, 60_100, 300);
    course.add_late(&late(1, 60_100, 280));
    // 60 s in 256 columns: 20 ms doubled four times.
    assert_eq!(course.width_ns(), 320_000_000);
    let streams = course.streams();
    let [stream] = streams.as_slice() else {
        panic!("{streams:?}");
    };
    assert_eq!((stream.frames, stream.late_frames), (3_001, 1));
    let columns = stream.columns();
    assert_eq!(columns.len(), 60_100 / 320 + 1);
    let last = columns.last().expect("a column");
    assert_eq!(last.longest_ns, Some(300_000_000));
    assert_eq!(last.late, Some((280_000_000, Cause::Lock)));
    assert!(columns.iter().all(|column| column.longest_ns.is_some()));
    let counts = course.intervals().counts();
    assert_eq!(counts.first(), Some(&(20_000_000, 3_000)));
    assert_eq!(counts.last(), Some(&(288_000_000, 1)));
}

#[test]
fn streams_beyond_the_bound_are_counted() {
    let mut course = Course::new(ms(0));
    for stream in 0..300 {
        send(&mut course, stream, 1, 20);
        send(&mut course, stream, 21, 20);
    }
    course.add_late(&late(7, 30, 9));
    assert_eq!(course.streams().len(), MAX_STREAMS);
    assert_eq!(course.streams_beyond(), 300 - MAX_STREAMS as u64);
    let streams = course.streams();
    assert_eq!(streams.first().map(|first| first.late_frames), Some(1));
}

#[test]
fn gpus_of_watched_processes_only() {
    let process = |watched| GpuProcess {
        pid: 7,
        watched,
        memory_bytes: None,
        sm_percent: Some(40),
    };
    let gpu = |id: &str, watched| Gpu {
        id: id.to_owned(),
        readings: GpuReadings {
            utilization_percent: Some(90),
            throttle_reasons: Some(0x1 | 0x20),
            ..GpuReadings::default()
        },
        processes: vec![process(watched), process(None)],
        ..Gpu::default()
    };
    let mut course = Course::new(ms(0));
    course.add_sample(&GpuSample {
        at: ms(250),
        nvml: NvmlState::default(),
        gpus: vec![gpu("0", None), gpu("1", Some(Tgid(7)))],
        calls: std::collections::BTreeMap::new(),
    });
    let [one] = course.gpus() else {
        panic!("{:?}", course.gpus());
    };
    assert_eq!(one.id, "1");
    let expected = Readings {
        busy_percent: Some(90),
        others_percent: Some(40),
        clock_hertz: None,
        throttle_reasons: 0x20,
    };
    assert_eq!(one.columns().last(), Some(&expected));
}

#[test]
fn senseless_times_end() {
    let mut course = Course::new(ms(1_000));
    for at in [0, 1, u64::MAX / 1_000_000] {
        send(&mut course, 1, at, 20);
    }
    let streams = course.streams();
    assert!(
        streams
            .iter()
            .all(|stream| stream.columns().len() <= COLUMNS)
    );
}

//! The programs of the voicelab against each other: what one says it did is what the other saw.

#![allow(clippy::unwrap_used, reason = "a step that fails must fail the test")]
#![allow(
    clippy::float_cmp,
    reason = "counts are whole numbers: f64 holds them exactly"
)]

mod orchestra;
mod program;

use std::collections::BTreeMap;

use voicelab::truth::{Event, Line};

use self::program::Lab;

const MS: u64 = 1_000_000;

/// When and with which number each frame passed, by session.
type Frames = BTreeMap<String, Vec<(u64, i64)>>;

fn frames(truth: &[Line]) -> Frames {
    let mut frames = Frames::new();
    for line in truth {
        if let Event::Frame {
            session, sequence, ..
        }
        | Event::FrameReceived {
            session, sequence, ..
        } = &line.event
        {
            frames
                .entry(session.clone())
                .or_default()
                .push((line.t_ns, *sequence));
        }
    }
    frames
}

fn numbers(frames: &Frames) -> BTreeMap<&str, Vec<i64>> {
    frames
        .iter()
        .map(|(session, frames)| {
            (
                session.as_str(),
                frames.iter().map(|(_, sequence)| *sequence).collect(),
            )
        })
        .collect()
}

fn intervals(frames: &[(u64, i64)]) -> Vec<u64> {
    let mut intervals: Vec<u64> = frames
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .collect();
    intervals.sort_unstable();
    intervals
}

fn median(sorted: &[u64]) -> u64 {
    sorted[sorted.len() / 2]
}

fn stream_ends(truth: &[Line]) -> Vec<&str> {
    truth
        .iter()
        .filter_map(|line| match &line.event {
            Event::StreamEnd { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn paced_worker_and_client_agree_on_every_frame() {
    let lab = Lab::new();
    let worker = lab.server("worker", &["--load-ms", "20"]);
    let args = [
        "--sessions",
        "3",
        "--text-length",
        "20",
        "--connection-per-session",
        "--inspect",
    ];
    let client = lab.client(&worker.target, &args);
    let worker = worker.terminate();

    assert!(worker.status.success());
    // 20 characters of 60 ms are 60 frames of 20 ms.
    let (sent, received) = (frames(&worker.truth), frames(&client.truth));
    let expected: Vec<i64> = (1..=60).collect();
    assert_eq!(numbers(&sent), numbers(&received));
    assert_eq!(sent.len(), 3);
    for frames in sent.values() {
        assert_eq!(
            frames
                .iter()
                .map(|(_, sequence)| *sequence)
                .collect::<Vec<_>>(),
            expected
        );
        let typical = median(&intervals(frames));
        assert!(
            typical.abs_diff(20 * MS) < MS,
            "median interval {typical} ns"
        );
    }
    for (sent, received) in sent.values().flatten().zip(received.values().flatten()) {
        assert!(
            sent.0 <= received.0,
            "frame {} received before it was sent",
            sent.1
        );
    }
    assert_eq!(
        worker.summary.frames_by_session,
        client.summary.frames_by_session
    );
    assert_eq!(worker.summary.calls, client.summary.calls);
    assert_eq!(worker.summary.calls.get("LoadModel"), Some(&1));
    assert_eq!(
        (client.summary.failed_calls, client.summary.refused_calls),
        (0, 0)
    );
    assert_eq!(stream_ends(&worker.truth), ["finished"; 3]);
}

#[test]
fn burst_worker_sends_groups_of_25_frames_back_to_back() {
    let lab = Lab::new();
    let worker = lab.server("worker", &["--mode", "burst", "--load-ms", "20"]);
    let args = [
        "--sessions",
        "2",
        "--text-length",
        "36",
        "--chunk-length",
        "36",
    ];
    let client = lab.client(&worker.target, &args);
    let worker = worker.terminate();

    let sent = frames(&worker.truth);
    assert_eq!(numbers(&sent), numbers(&frames(&client.truth)));
    for frames in sent.values() {
        assert_eq!(frames.len(), 108);
        let typical = median(&intervals(frames));
        assert!(
            (MS / 4..MS).contains(&typical),
            "median interval {typical} ns"
        );
        // 108 frames are 4 whole bursts and a rest: the model thinks before each, 30 ms or more
        // less the time that the burst before it took to send, 12.5 ms at most.
        for last in [25, 50, 75, 100] {
            let wait = frames[last].0 - frames[last - 1].0;
            assert!(wait > 10 * MS, "waited {wait} ns after frame {last}");
        }
    }
}

#[test]
fn controls_take_effect_and_both_sides_count_them() {
    let lab = Lab::new();
    let worker = lab.server("worker", &["--load-ms", "20"]);
    let args = [
        "--sessions",
        "5",
        "--text-length",
        "16",
        "--controls",
        "--pause-hold-ms",
        "250",
    ];
    let client = lab.client(&worker.target, &args);
    let worker = worker.terminate();

    assert_eq!(
        worker.summary.control_commands,
        client.summary.control_commands
    );
    let commands: Vec<(&str, u64)> = worker
        .summary
        .control_commands
        .iter()
        .map(|(name, n)| (name.as_str(), *n))
        .collect();
    assert_eq!(
        commands,
        [("PAUSE", 2), ("RELOAD", 1), ("RESUME", 1), ("STOP", 2)]
    );

    let effect = |wanted_session: &str, wanted_command: &str| {
        worker.truth.iter().find_map(|line| match &line.event {
            Event::ControlEffective {
                session, command, ..
            } if session == wanted_session && command == wanted_command => Some(line.t_ns),
            _ => None,
        })
    };
    // Session 0 pauses and resumes, session 1 stops.
    let sent = frames(&worker.truth);
    let (paused, resumed) = (
        effect("lab-0", "PAUSE").unwrap(),
        effect("lab-0", "RESUME").unwrap(),
    );
    assert!(
        resumed - paused >= 240 * MS,
        "held for {} ns",
        resumed - paused
    );
    // One frame may already be on its way to the transport.
    let held = sent["lab-0"]
        .iter()
        .filter(|(t_ns, _)| (paused..resumed).contains(t_ns))
        .count();
    assert!(held <= 1, "{held} frames during the pause");
    assert_eq!(sent["lab-0"].len(), 48);

    let stopped = effect("lab-1", "STOP").unwrap();
    let late = sent["lab-1"]
        .iter()
        .filter(|(t_ns, _)| *t_ns > stopped)
        .count();
    assert!(late <= 1, "{late} frames after the stop");
    assert!(sent["lab-1"].len() < 48);
    assert_eq!(worker.summary.stream_ends.get("stopped"), Some(&2));
    assert_eq!(worker.summary.model_unloads.get("reload"), Some(&1));
}

#[test]
fn cancelled_call_ends_the_stream_and_not_the_session() {
    let lab = Lab::new();
    let worker = lab.server("worker", &["--load-ms", "20"]);
    let args = [
        "--utterances",
        "2",
        "--text-length",
        "12",
        "--cancel-every",
        "2",
    ];
    let client = lab.client(&worker.target, &args);
    let worker = worker.terminate();

    assert_eq!(stream_ends(&worker.truth), ["finished", "cancelled"]);
    assert_eq!(client.summary.cancelled, 1);
    assert_eq!(
        (
            worker.summary.sessions_started,
            worker.summary.sessions_ended
        ),
        (1, 1)
    );
}

#[test]
fn faults_happen_as_switched() {
    let lab = Lab::new();
    let socket = lab.path("fault.sock");
    let worker = lab.server(
        "worker",
        &[
            "--load-ms",
            "20",
            "--fault-socket",
            socket.to_str().unwrap(),
        ],
    );
    for fault in ["drop 3 lab-0", "stall 90 lab-1", "error 13 lab-2"] {
        // One fault of a kind waits at a time, so each is met by its own session.
        lab.fault(fault);
    }
    let client = lab.client(&worker.target, &["--sessions", "3", "--text-length", "20"]);
    lab.fault("abort");
    let worker = worker.join();

    assert_eq!(client.summary.sequence_gaps, 3);
    assert_eq!(client.summary.frames_by_session["lab-0"], 57);
    // The first frame of lab-1 is the one that waits, and the ones behind it catch up.
    let stalled = &frames(&worker.truth)["lab-1"];
    assert!(
        intervals(stalled)[..4]
            .iter()
            .all(|interval| *interval < 2 * MS)
    );
    assert_eq!(stalled.len(), 60);
    assert_eq!(client.summary.failed_calls, 1);
    assert_eq!(
        worker.summary.frames, 0,
        "an aborted worker prints no counts"
    );
    assert!(!worker.status.success());
    assert_eq!(frames(&worker.truth)["lab-0"].len(), 57);
}

#[test]
fn models_leave_by_cap_and_by_time_to_live() {
    let lab = Lab::new();
    let args = [
        "--load-ms",
        "20",
        "--resident-cap",
        "1",
        "--model-ttl-ms",
        "300",
    ];
    let worker = lab.server("worker", &args);
    for model in ["tone-small", "tone-large"] {
        lab.client(&worker.target, &["--models", model, "--text-length", "4"]);
    }
    // Long enough for the time to live and the check that enforces it.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let worker = worker.terminate();

    let unloads: Vec<(&str, &str)> = worker
        .truth
        .iter()
        .filter_map(|line| match &line.event {
            Event::ModelUnload { model, reason } => Some((model.as_str(), reason.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        unloads,
        [
            ("tone-small", "lru_eviction"),
            ("tone-large", "ttl_eviction")
        ]
    );
}

#[test]
fn synthesis_of_an_unknown_session_ends_with_not_found() {
    let lab = Lab::new();
    let worker = lab.server("worker", &[]);
    let client = lab.client(&worker.target, &["--unannounced"]);
    let worker = worker.terminate();
    let status = client.truth.iter().find_map(|line| match &line.event {
        Event::CallEnd { method, status, .. } if method == "Synthesize" => Some(*status),
        _ => None,
    });
    assert_eq!(status, Some(5));
    assert_eq!(stream_ends(&worker.truth), ["unknown_session"]);
}

#[test]
fn unknown_model_is_refused() {
    let lab = Lab::new();
    let worker = lab.server("worker", &[]);
    let client = lab.client(&worker.target, &["--models", "no-such-model"]);
    worker.terminate();
    assert_eq!(
        (
            client.summary.refused_calls,
            client.summary.sessions_started
        ),
        (1, 0)
    );
    assert_eq!(client.summary.synthesis_requests, 0);
}

#[test]
fn stamper_brackets_each_frame_that_the_client_receives() {
    for call in ["write", "writev", "sendto", "sendmsg"] {
        let lab = Lab::new();
        let args = [
            "--frames",
            "20",
            "--streams",
            "2",
            "--interval-ms",
            "10",
            "--call",
            call,
        ];
        let stamper = lab.server("stamper", &args);
        let client = lab.client(&stamper.target, &["--sessions", "2", "--inspect"]);
        let stamper = stamper.join();

        assert!(stamper.status.success());
        assert_eq!(client.summary.frames, 40, "with {call}");
        assert_eq!(
            (client.summary.failed_calls, client.summary.sequence_gaps),
            (0, 0)
        );
        let mut last = BTreeMap::new();
        let mut stamps = 0;
        for line in &stamper.truth {
            if let Event::FrameWrite {
                before_ns,
                after_ns,
                stream,
                sequence,
                bytes,
                ..
            } = line.event
            {
                assert!(before_ns <= after_ns && bytes > 1920);
                let (number, earliest_ns) = last.get(&stream).copied().unwrap_or((0, 0));
                assert_eq!(sequence, number + 1);
                assert!(
                    before_ns >= earliest_ns,
                    "frame {sequence} began inside another write"
                );
                last.insert(stream, (sequence, after_ns));
                stamps += 1;
            }
        }
        assert_eq!(stamps, 40);
    }
}

use super::*;

const MS: u64 = 1_000_000;

fn line(at_ms: u64, event: impl Into<Event>) -> Line {
    Line {
        t_ns: 1_000 * MS + at_ms * MS,
        event: event.into(),
    }
}

fn find(measures: &[Measure], metric: &str, labels: &[(&str, &str)]) -> Option<Reading> {
    let (metric, labels) = series(metric, labels);
    let mut found = measures
        .iter()
        .filter(|measure| measure.metric == metric && measure.labels == labels);
    found.next().map(|measure| measure.reading.clone())
}

fn message(kind: &str, utterance: u64, sent: bool) -> Orchestration {
    let (connection, kind, utterance, sequence) = (1, kind.to_owned(), Some(utterance), None);
    if sent {
        Orchestration::MessageSent {
            connection,
            kind,
            utterance,
            sequence,
        }
    } else {
        Orchestration::MessageReceived {
            connection,
            kind,
            utterance,
            sequence,
        }
    }
}

fn session() -> Vec<Line> {
    vec![
        line(
            0,
            Orchestration::SessionOpened {
                connection: 1,
                transport: "websocket".to_owned(),
                session: "ws-1".to_owned(),
            },
        ),
        line(10, message("TextChunk", 1, false)),
        line(30, message("TextChunk", 1, false)),
        line(70, message("AudioFrame", 1, true)),
        line(80, message("TextChunk", 1, false)),
        line(90, message("AudioFrame", 1, true)),
    ]
}

#[test]
fn first_audio_is_timed_from_the_first_text_and_end_to_end_from_the_last_before_it() {
    let measures = measures(&session(), "w");
    assert_eq!(
        find(
            &measures,
            "orchestrator_latency_fal_ms",
            &[("model_id", "unknown")]
        ),
        Some(Reading::Samples(vec![60.0]))
    );
    assert_eq!(
        find(
            &measures,
            "orchestrator_latency_e2e_ms",
            &[("transport", "websocket")]
        ),
        Some(Reading::Samples(vec![40.0]))
    );
}

#[test]
fn first_end_of_a_session_counts_under_the_model_known_later() {
    let mut lines = session();
    let model = "tone".to_owned();
    lines.push(line(
        95,
        Orchestration::SessionModel {
            connection: 1,
            model,
        },
    ));
    for reason in ["timeout", "error"] {
        lines.push(line(
            99,
            Orchestration::SessionClosed {
                connection: 1,
                reason: reason.to_owned(),
                way: String::new(),
            },
        ));
    }
    let measures = measures(&lines, "w");
    let labels = [("transport", "websocket"), ("model_id", "tone")];
    let value = |metric: &str, labels: &[(&str, &str)]| find(&measures, metric, labels);
    assert_eq!(
        value("orchestrator_sessions_started_total", &labels),
        Some(Reading::Value(1.0))
    );
    assert_eq!(
        value("orchestrator_sessions_active", &labels),
        Some(Reading::Value(0.0))
    );
    let ended = [labels[0], labels[1], ("reason", "timeout")];
    assert_eq!(
        value("orchestrator_sessions_ended_total", &ended),
        Some(Reading::Value(1.0))
    );
}

#[test]
fn message_that_causes_nothing_before_the_next_one_has_no_processing_time() {
    let handled = |received_ms: u64| Orchestration::MessageHandled {
        connection: 1,
        kind: "TextChunk".to_owned(),
        received_ns: (1_000 + received_ms) * MS,
    };
    let lines = [
        line(10, message("TextChunk", 1, false)),
        line(12, message("TextChunk", 1, false)),
        line(15, handled(10)),
        line(16, handled(12)),
    ];
    let measures = orchestrated(&lines);
    let labels = [("message_type", "TextChunk")];
    assert_eq!(
        find(&measures, "orchestrator_message_processing_ms", &labels),
        Some(Reading::Samples(vec![4.0]))
    );
}

fn orchestrated(lines: &[Line]) -> Vec<Measure> {
    let mut all = session();
    all.truncate(1);
    all.extend_from_slice(lines);
    measures(&all, "w")
}

#[test]
fn interruption_without_audio_after_its_trigger_took_effect_at_once() {
    let barge_in = |last_audio_ns, answered_ns| {
        let event = Orchestration::BargeIn {
            connection: 1,
            utterance: 1,
            trigger: "control".to_owned(),
            trigger_ns: 100 * MS,
            last_audio_ns,
            answered_ns,
        };
        let mut lines = session();
        lines.push(line(99, event));
        let labels = [("model_id", "unknown"), ("trigger", "control")];
        find(
            &measures(&lines, "w"),
            "orchestrator_latency_barge_in_ms",
            &labels,
        )
    };
    assert_eq!(
        barge_in(Some(99 * MS), None),
        Some(Reading::Samples(vec![0.0]))
    );
    assert_eq!(
        barge_in(Some(99 * MS), Some(103 * MS)),
        Some(Reading::Samples(vec![3.0]))
    );
    assert_eq!(
        barge_in(Some(105 * MS), Some(103 * MS)),
        Some(Reading::Samples(vec![5.0]))
    );
}

#[test]
fn worker_stream_gives_latency_jitter_and_factor() {
    let stream = |event: &str, rest: &str| -> Event {
        let text = format!(r#"{{"event":"{event}","stream":1,"session":"s"{rest}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let frame = |final_: bool| {
        let rest = format!(r#","sequence":1,"bytes":1920,"is_final":{final_}"#);
        stream("frame", &rest)
    };
    let lines = [
        line(0, stream("stream_start", r#","model":"m","peer":"p""#)),
        line(
            1,
            stream("text", r#","sequence":1,"characters":5,"is_final":true"#),
        ),
        line(31, frame(false)),
        line(51, frame(false)),
        line(72, frame(true)),
        line(
            73,
            stream("stream_end", r#","reason":"finished","frames":3"#),
        ),
        line(
            80,
            Event::Request {
                method: "Synthesize".to_owned(),
                peer: "p".to_owned(),
                stream: Some(2),
                session: None,
                model: None,
            },
        ),
    ];
    let measures = measures(&lines, "w");
    let model = [("worker", "w"), ("model_id", "m")];
    let samples = |metric: &str, labels: &[(&str, &str)]| match find(&measures, metric, labels) {
        Some(Reading::Samples(samples)) => samples,
        other => panic!("{metric}: {other:?}"),
    };
    assert_eq!(samples("worker_inference_latency_ms", &model), [30.0]);
    assert_eq!(samples("worker_synthesis_duration_ms", &model), [71.0]);
    let paced = [("worker", "w"), ("pacing", "paced")];
    assert_eq!(samples("worker_audio_frame_jitter_ms", &paced), [0.0, 1.0]);
    let mode = [model[0], model[1], ("mode", "paced")];
    assert_eq!(samples("worker_inference_rtf", &mode), [0.5]);
    let unknown = [model[0], ("model_id", "unknown")];
    assert_eq!(
        find(&measures, "worker_synthesis_requests_total", &unknown),
        Some(Reading::Value(1.0))
    );
}

#[test]
fn redis_errors_keep_their_code() {
    let command = |error: Option<&str>| Orchestration::RedisCommand {
        command: "HGETALL".to_owned(),
        sent_ns: 1_000 * MS,
        error: error.map(str::to_owned),
    };
    let lines = [line(2, command(None)), line(3, command(Some("WRONGTYPE")))];
    let measures = measures(&lines, "w");
    assert_eq!(
        find(
            &measures,
            "redis_command_latency_ms",
            &[("command", "HGETALL")]
        ),
        Some(Reading::Samples(vec![2.0, 3.0]))
    );
    let labels = [("command", "HGETALL"), ("error_type", "WRONGTYPE")];
    assert_eq!(
        find(&measures, "redis_command_errors_total", &labels),
        Some(Reading::Value(1.0))
    );
}

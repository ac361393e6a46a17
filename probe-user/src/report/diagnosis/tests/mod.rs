//! What the report says of a summary.

use probe_core::diagnose::RULES;
use serde_json::Value;

use super::*;

/// A report of two workers, one of which a hog and the GPU kept from two frames. Names are hostile.
fn report() -> Diagnosis {
    let contention = cause(Cause::CpuContention, 80.5);
    let neighbour = cause(Cause::GpuNeighbour, 30.25);
    let worker = "tts-with-a-very-long-name@0".to_owned();
    let late = FrameRow {
        worker: worker.clone(),
        session: Some("s".repeat(64)),
        process: 4711,
        thread: Some(4712),
        frame: 212,
        at_seconds: 12.5,
        interval_ms: 100.5,
        late_ms: 80.5,
        underrun_ms: 20.5,
        cause: contention.cause,
        shares: vec![ShareRow {
            cause: contention.cause,
            ms: 80.5,
        }],
        evidence: vec![
            part(Kind::Contention, 80.5, Some("stress-ng-cpu")),
            part(Kind::OnCpu, 20.0, None),
        ],
        gpus: Vec::new(),
        tcp: Some(TcpRow {
            resent: 3,
            window_full_ms: 12.5,
            unacknowledged_ms: 40.0,
        }),
        blocked: Some(BlockedRow {
            socket_ms: 0.0,
            stream_window_ms: 10.5,
            connection_window_ms: 0.0,
        }),
    };
    let shared = FrameRow {
        session: Some("<script>alert(1)</script>".to_owned()),
        thread: None,
        frame: 3,
        at_seconds: 20.25,
        interval_ms: 50.25,
        late_ms: 30.25,
        underrun_ms: 0.0,
        cause: neighbour.cause,
        shares: vec![ShareRow {
            cause: neighbour.cause,
            ms: 30.25,
        }],
        evidence: vec![part(Kind::Driver, 48.0, Some("\"/><b>"))],
        gpus: vec![trouble(&GpuTrouble::Shared {
            gpu: "0".to_owned(),
            pid: 99,
            percent: 40,
        })],
        tcp: None,
        blocked: None,
        ..late.clone()
    };
    Diagnosis {
        schema: SCHEMA,
        started_ktime_ns: 1,
        seconds: 30.0,
        scheduling: true,
        unavailable: None,
        frames: 1600,
        late_frames: 2,
        underruns: 1,
        late_ms: 110.75,
        causes: vec![contention.clone(), neighbour.clone()],
        unexplained: vec![UnexplainedRow {
            percent: 3,
            late_frames: 2,
        }],
        workers: vec![
            WorkerRow {
                worker,
                frames: 1500,
                causes: vec![contention, neighbour],
            },
            WorkerRow {
                worker: "tts@1".to_owned(),
                frames: 100,
                causes: Vec::new(),
            },
        ],
        worst: vec![late, shared],
        course: course(),
    }
}

fn cause(cause: Cause, late_ms: f64) -> CauseRow {
    let rule = cause.rule();
    CauseRow {
        cause: rule.label,
        title: rule.title,
        next_step: rule.next_step.to_owned(),
        late_frames: 1,
        underruns: u64::from(late_ms > 60.0),
        late_ms,
    }
}

fn part(kind: Kind, ms: f64, other: Option<&str>) -> EvidenceRow {
    EvidenceRow {
        kind: kind.as_str(),
        ms,
        longest_ms: ms,
        thread: 4712,
        inside: None,
        syscall: None,
        other: other.map(|name| ThreadRow {
            process: 99,
            thread: 99,
            name: name.to_owned(),
        }),
    }
}

fn course() -> CourseRow {
    let stream = |session: &str, longest_ms: Vec<Option<f64>>, late| StreamRow {
        worker: "tts@<1>".to_owned(),
        session: Some(session.to_owned()),
        frames: 212,
        late_frames: 1,
        late_ms: 80.5,
        longest_ms,
        late,
    };
    let late = vec![LateRow {
        column: 2,
        ms: 80.5,
        cause: "cpu_contention",
    }];
    let interval = |(ms, count)| IntervalRow { ms, count };
    CourseRow {
        column_ms: 160.0,
        streams: vec![
            stream("<b>a</b>", vec![None, Some(20.1), Some(100.5)], late),
            stream("b", vec![Some(20.0)], Vec::new()),
        ],
        streams_left_out: 2,
        intervals: [(20.0, 1498), (22.0, 0), (104.0, 1)].map(interval).into(),
        gpus: vec![GpuRow {
            gpu: "0".to_owned(),
            name: "NVIDIA <A100>".to_owned(),
            busy_percent: vec![Some(37), None, Some(90)],
            others_percent: vec![None, None, Some(40)],
            clock_mhz: vec![Some(1410.0), None, Some(765.0)],
            throttle_reasons: vec![0, 0, 0x40],
        }],
    }
}

/// What the text looks like, with two late frames and without scheduling.
#[test]
fn text_is_as_it_was() {
    let mut report = report();
    assert_eq!(report.to_string(), include_str!("late.txt"));
    report.unavailable = Some("scheduling cannot be followed: Linux 5.19 or newer".to_owned());
    report.causes = vec![cause(Cause::Unknown, 110.75)];
    report.workers.remove(0);
    report.worst = Vec::new();
    assert_eq!(report.to_string(), include_str!("unavailable.txt"));
}

#[test]
fn text_answers_in_three_lines_and_fits_80_columns() {
    let text = report().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "2 of 1600 frames late (1 underruns) in 30.0 s: cpu_contention 73 %",
            "Why: other threads had the CPU, 80.5 ms in one frame by stress-ng-cpu (99)",
            "Next: Give the worker CPUs of its own (cpuset, CPU requests), move or limit what",
        ]
    );
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line.trim_end(), *line);
    }
    assert!(text.contains("ran instead: stress-ng-cpu (99)"), "{text}");
}

#[test]
fn no_late_frame_is_one_line() {
    let healthy = Diagnosis::new(&Summary::default(), None);
    assert!(healthy.is_healthy());
    assert_eq!(healthy.to_string(), "No late frames: 0 frames in 0.0 s.\n");
}

#[test]
fn next_steps_of_all_causes_fit_80_columns() {
    for rule in &RULES {
        let mut report = report();
        let row = report.causes.first_mut().unwrap();
        (row.cause, row.title) = (rule.label, rule.title);
        row.next_step = rule.next_step.to_owned();
        report.unavailable = Some("scheduling cannot be followed ".repeat(9));
        for line in report.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

/// The schema, with no key allowed that it does not list: what we write, it has to describe.
fn sealed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(keys) => {
            if keys.contains_key("properties") {
                keys.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            for value in keys.values_mut() {
                *value = sealed(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = sealed(item.take());
            }
        }
        _ => {}
    }
    schema
}

fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler
        .add_resource("diagnosis.json", schema.clone())
        .expect("a resource");
    let index = compiler
        .compile("diagnosis.json", &mut schemas)
        .expect("a schema");
    schemas
        .validate(value, index)
        .map_err(|error| error.to_string())
}

#[test]
fn json_is_what_the_shipped_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../../config/diagnosis.schema.json")).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
    let sealed = sealed(schema.clone());
    for report in [report(), Diagnosis::new(&Summary::default(), None)] {
        let value = serde_json::to_value(report).unwrap();
        check(&sealed, &value).unwrap_or_else(|error| panic!("{error}"));
    }
    // It refuses what it should.
    let mut wrong = serde_json::to_value(report()).unwrap();
    wrong["worst"][0]["cause"] = "the_moon".into();
    assert!(check(&schema, &wrong).is_err());
    let labels: Vec<&str> = RULES.iter().map(|rule| rule.label).collect();
    assert_eq!(schema["$defs"]["cause"]["enum"], serde_json::json!(labels));
    let kinds = Kind::ALL.map(Kind::as_str);
    assert_eq!(schema["$defs"]["kind"]["enum"], serde_json::json!(kinds));
}

/// Elements of the HTML, as a browser that trusts it would make them.
fn elements(html: &str) -> Vec<&str> {
    let starts = html.split('<').skip(1);
    let names = starts.map(|tag| tag.split([' ', '>', '\n', '/']).next().unwrap_or_default());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn html_obeys_no_name_and_fetches_nothing() {
    let html = report().html().to_string();
    let found = elements(&html);
    for element in ["script", "link", "img", "iframe", "object", "base", "form"] {
        assert!(!found.contains(&element), "{element}");
    }
    let named = ["http-equiv", "http2_window"].iter();
    let rest = named.fold(html.clone(), |html, name| html.replace(name, ""));
    for part in ["http", "//", "url(", "@import", "javascript"] {
        assert!(!rest.contains(part), "{part}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(html.contains("NVIDIA &lt;A100&gt;"));
    // One bold word from us in the answer's lines and each frame; none from a session called `<b>`.
    let bold = found.iter().filter(|name| **name == "b").count();
    assert_eq!(bold, 2 + report().worst.len());
}

#[test]
fn html_without_a_late_frame_and_without_a_course_is_whole() {
    let html = Diagnosis::new(&Summary::default(), None).html().to_string();
    assert!(html.contains("No late frames"));
    assert!(html.trim_end().ends_with("</html>"));
    assert!(!html.contains("<svg"));
}

#[test]
fn every_cause_and_kind_has_a_colour() {
    let style = include_str!("../html/style.css");
    let labels = RULES.iter().map(|rule| rule.label);
    for name in labels.chain(Kind::ALL.map(Kind::as_str)) {
        let is_there = style
            .split([' ', ',', '\n'])
            .any(|word| word == format!(".{name}"));
        assert!(is_there, "{name}");
    }
}

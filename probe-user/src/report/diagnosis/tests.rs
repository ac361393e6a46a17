//! What the report says of a summary.

use probe_core::diagnose::RULES;
use serde_json::Value;

use super::*;

/// A report with one late frame.
fn report() -> Diagnosis {
    let rule = Cause::CpuContention.rule();
    let row = CauseRow {
        cause: rule.label,
        title: rule.title,
        next_step: rule.next_step.to_owned(),
        late_frames: 1,
        underruns: 1,
        late_ms: 80.5,
    };
    Diagnosis {
        schema: SCHEMA,
        seconds: 30.0,
        scheduling: true,
        unavailable: None,
        frames: 1500,
        late_frames: 1,
        underruns: 1,
        late_ms: 80.5,
        causes: vec![row.clone()],
        workers: vec![WorkerRow {
            worker: "tts-with-a-very-long-name@0".into(),
            frames: 1500,
            causes: vec![row],
        }],
        worst: vec![FrameRow {
            worker: "tts-with-a-very-long-name@0".into(),
            session: Some("s".repeat(64)),
            process: 4711,
            thread: Some(4712),
            frame: 212,
            at_seconds: 12.5,
            interval_ms: 100.5,
            late_ms: 80.5,
            underrun_ms: 20.5,
            cause: rule.label,
            shares: vec![ShareRow {
                cause: rule.label,
                ms: 80.5,
            }],
            evidence: vec![EvidenceRow {
                kind: Kind::Contention.as_str(),
                ms: 80.5,
                longest_ms: 80.5,
                thread: 4712,
                inside: None,
                syscall: None,
                other: Some(ThreadRow {
                    process: 99,
                    thread: 99,
                    name: "stress-ng-cpu".into(),
                }),
            }],
            gpus: Vec::new(),
        }],
    }
}

#[test]
fn text_answers_in_three_lines_and_fits_80_columns() {
    let text = report().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "1 of 1500 frames late (1 underruns) in 30.0 s: cpu_contention 100 %",
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
    let healthy = Diagnosis::new(&Summary::default());
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

/// The keys of every object are those that the schema requires of it, and no other.
fn assert_matches(value: &Value, schema: &Value, root: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    if let Some(choices) = schema["anyOf"].as_array() {
        if !value.is_null() {
            assert_matches(value, choices.first().unwrap(), root);
        }
        return;
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{value} is not in the schema");
    }
    match value {
        Value::Object(fields) => {
            let required = schema["required"].as_array().unwrap();
            let required: BTreeSet<&str> = required.iter().filter_map(Value::as_str).collect();
            let keys: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
            assert_eq!(keys, required);
            for (key, field) in fields {
                assert_matches(field, &schema["properties"][key], root);
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_matches(item, &schema["items"], root);
            }
        }
        _ => {}
    }
}

#[test]
fn json_is_what_the_shipped_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../config/diagnosis.schema.json")).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
    assert_matches(&serde_json::to_value(report()).unwrap(), &schema, &schema);
    let labels: Vec<&str> = RULES.iter().map(|rule| rule.label).collect();
    assert_eq!(schema["$defs"]["cause"]["enum"], serde_json::json!(labels));
    let kinds = Kind::ALL.map(Kind::as_str);
    assert_eq!(schema["$defs"]["kind"]["enum"], serde_json::json!(kinds));
}

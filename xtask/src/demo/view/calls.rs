//! The orchestrator's sessions by transport and model, their messages, and Redis.

use super::{name, number};
use crate::demo::exposition::{Sample, sum};

const STARTED: &str = "orchestrator_sessions_started_total";
const ENDED: &str = "orchestrator_sessions_ended_total";
const ACTIVE: &str = "orchestrator_sessions_active";
const FIRST_AUDIO: &str = "orchestrator_latency_fal_ms";
const BARGE_IN: &str = "orchestrator_latency_barge_in_ms";
const MESSAGES_IN: &str = "orchestrator_websocket_messages_received_total";
const MESSAGES_OUT: &str = "orchestrator_websocket_messages_sent_total";
const CONNECTIONS: &str = "orchestrator_websocket_connections_active";
const REDIS_CONNECTIONS: &str = "redis_connections_active";
const REDIS_LATENCY: &str = "redis_command_latency_ms";
const REDIS_ERRORS: &str = "redis_command_errors_total";

/// Most rows: one screen of 24 lines holds the streams too.
const MAX_ROWS: usize = 3;
/// Most characters of a transport.
const TRANSPORT_CHARACTERS: usize = 9;
/// Most characters of a model.
const MODEL_CHARACTERS: usize = 11;

/// What the metrics say; nothing where no orchestrator has a session yet.
pub(super) fn lines(metrics: &[Sample]) -> Vec<String> {
    let mut lines = sessions(metrics);
    lines.extend(messages(metrics));
    lines.extend(redis(metrics));
    lines
}

/// A heading, and one row for each transport and model. First audio and barge-in, in milliseconds, are
/// known by model.
fn sessions(metrics: &[Sample]) -> Vec<String> {
    let mut kinds: Vec<(&str, &str)> = metrics
        .iter()
        .filter(|sample| sample.name == STARTED)
        .filter_map(|sample| Some((sample.label("transport")?, sample.label("model_id")?)))
        .collect();
    kinds.sort_unstable();
    if kinds.is_empty() {
        return Vec::new();
    }
    let heading = [
        "transport",
        "model",
        "active",
        "started",
        "ended",
        "first audio",
        "barge-in",
        "interrupted",
    ];
    let rows = kinds.iter().take(MAX_ROWS).map(|(transport, model)| {
        let here = [("transport", *transport), ("model_id", *model)];
        let count = |name: &str| of(metrics, name, &here).to_string();
        let by_model = &here[1..];
        row(&[
            &name(Some(transport), TRANSPORT_CHARACTERS),
            &name(Some(model), MODEL_CHARACTERS),
            &count(ACTIVE),
            &count(STARTED),
            &count(ENDED),
            &number(mean(metrics, FIRST_AUDIO, by_model)),
            &number(mean(metrics, BARGE_IN, by_model)),
            &of(metrics, &format!("{BARGE_IN}_count"), by_model).to_string(),
        ])
    });
    let left = kinds.len().saturating_sub(MAX_ROWS);
    let rest = (left > 0).then(|| format!("… and {left} more"));
    std::iter::once(row(&heading))
        .chain(rows)
        .chain(rest)
        .collect()
}

/// 12 + 11 + 6 + 7 + 7 + 11 + 8 + 11 characters and seven spaces: 80 columns.
fn row(cells: &[&str; 8]) -> String {
    let [
        transport,
        model,
        active,
        started,
        ended,
        audio,
        barge_in,
        interrupted,
    ] = cells;
    format!(
        "{transport:<12} {model:<11} {active:>6} {started:>7} {ended:>7} {audio:>11} {barge_in:>8} \
         {interrupted:>11}"
    )
}

fn messages(metrics: &[Sample]) -> Option<String> {
    let connections = sum(metrics, CONNECTIONS)?;
    Some(format!(
        "WebSocket: {connections} connections, {} messages in, {} out",
        of(metrics, MESSAGES_IN, &[]),
        of(metrics, MESSAGES_OUT, &[]),
    ))
}

/// Nothing where no command was seen.
fn redis(metrics: &[Sample]) -> Option<String> {
    let commands = sum(metrics, &format!("{REDIS_LATENCY}_count"))?;
    Some(format!(
        "Redis: {} connections, {commands} commands in {} ms each, {} errors",
        of(metrics, REDIS_CONNECTIONS, &[]),
        mean(metrics, REDIS_LATENCY, &[])
            .map_or_else(|| "-".to_string(), |mean| format!("{mean:.2}")),
        of(metrics, REDIS_ERRORS, &[]),
    ))
}

/// Sum over the samples of a name with these labels; 0 where there is none.
fn of(metrics: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    metrics
        .iter()
        .filter(|sample| sample.name == name)
        .filter(|sample| {
            labels
                .iter()
                .all(|(label, value)| sample.label(label) == Some(*value))
        })
        .map(|sample| sample.value)
        .fold(0.0, |sum, value| sum + value)
}

/// Mean of a histogram; `None` where it is empty.
fn mean(metrics: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let count = of(metrics, &format!("{name}_count"), labels);
    (count > 0.0).then(|| of(metrics, &format!("{name}_sum"), labels) / count)
}

#[cfg(test)]
mod tests {
    use super::super::tests::COLUMNS;
    use super::*;
    use crate::demo::exposition::parse;

    const METRICS: &str = "\
        orchestrator_sessions_started_total{transport=\"websocket\",model_id=\"small\"} 9\n\
        orchestrator_sessions_started_total{transport=\"websocket\",model_id=\"large\"} 7\n\
        orchestrator_sessions_ended_total{transport=\"websocket\",model_id=\"small\",reason=\"normal\"} 4\n\
        orchestrator_sessions_ended_total{transport=\"websocket\",model_id=\"small\",reason=\"error\"} 2\n\
        orchestrator_sessions_active{transport=\"websocket\",model_id=\"small\"} 3\n\
        orchestrator_latency_fal_ms_sum{model_id=\"small\"} 500\n\
        orchestrator_latency_fal_ms_count{model_id=\"small\"} 8\n\
        orchestrator_latency_barge_in_ms_sum{model_id=\"small\",trigger=\"control\"} 9\n\
        orchestrator_latency_barge_in_ms_count{model_id=\"small\",trigger=\"control\"} 2\n\
        orchestrator_latency_barge_in_ms_count{model_id=\"small\",trigger=\"grpc\"} 1\n\
        orchestrator_websocket_connections_active 3\n\
        orchestrator_websocket_messages_received_total{message_type=\"TextChunk\"} 30\n\
        orchestrator_websocket_messages_received_total{message_type=\"Control\"} 5\n\
        redis_connections_active 2\n\
        redis_command_latency_ms_sum{command=\"GET\"} 1.5\n\
        redis_command_latency_ms_count{command=\"GET\"} 4\n\
        redis_command_latency_ms_count{command=\"KEYS\"} 2\n";

    fn cells(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn row_has_the_sessions_and_latencies_of_its_model() {
        let lines = lines(&parse(METRICS));
        assert_eq!(
            cells(&lines[2]),
            ["websocket", "small", "3", "9", "6", "62.5", "3.0", "3"]
        );
    }

    #[test]
    fn latency_that_nobody_measured_is_a_dash() {
        let lines = lines(&parse(METRICS));
        assert_eq!(
            cells(&lines[1]),
            ["websocket", "large", "0", "7", "0", "-", "-", "0"]
        );
    }

    #[test]
    fn messages_and_commands_are_sums() {
        let lines = lines(&parse(METRICS));
        assert_eq!(
            lines[3..],
            [
                "WebSocket: 3 connections, 35 messages in, 0 out",
                "Redis: 2 connections, 6 commands in 0.25 ms each, 0 errors"
            ]
        );
    }

    #[test]
    fn system_without_orchestrator_and_redis_has_no_line() {
        assert_eq!(lines(&[]), Vec::<String>::new());
    }

    #[test]
    fn widest_row_fits_the_columns_and_hostile_names_stay_out() {
        let long = "\u{1b}[2J".repeat(40);
        let metrics = parse(&format!(
            "{STARTED}{{transport=\"{long}\",model_id=\"{long}\"}} 9999999\n"
        ));
        for line in lines(&metrics) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }

    #[test]
    fn many_models_are_cut() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for model in 0..MAX_ROWS + 2 {
            writeln!(
                text,
                "{STARTED}{{transport=\"websocket\",model_id=\"{model}\"}} 1"
            )
            .expect("string");
        }
        let lines = lines(&parse(&text));
        assert_eq!(lines.len(), 1 + MAX_ROWS + 1);
        assert_eq!(lines.last().map(String::as_str), Some("… and 2 more"));
    }
}

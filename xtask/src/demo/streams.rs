//! The live view: one row for each audio stream, from the agent's `/streams`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Most rows of the view: one screen.
const MAX_ROWS: usize = 20;
/// Most characters of a name in the view.
const NAME_CHARACTERS: usize = 16;

/// Columns of the view; times in milliseconds.
const HEADING: [&str; 11] = [
    "worker",
    "session",
    "model",
    "pacing",
    "frames",
    "interval",
    "jit p50",
    "jit p95",
    "late",
    "underruns",
    "state",
];

/// One audio stream, as the agent reports it. What it does not know is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    worker: Option<String>,
    session: Option<String>,
    model: Option<String>,
    pacing: Option<String>,
    frames: u64,
    interval_ms: Option<f64>,
    jitter_p50_ms: Option<f64>,
    jitter_p95_ms: Option<f64>,
    lateness_ms: Option<f64>,
    underruns: u64,
    state: Option<String>,
}

/// Reads the body of `/streams`.
pub(super) fn parse(text: &str) -> Result<Vec<Stream>> {
    serde_json::from_str(text).context("read the streams")
}

/// The view. On a terminal each picture replaces the one before it; elsewhere each second is one
/// plain line, with the whole table at notes and at the end.
#[derive(Debug)]
pub(super) struct View {
    terminal: bool,
    /// Lines of the picture on the terminal.
    drawn: usize,
    last: Vec<Stream>,
}

impl View {
    pub(super) fn new(terminal: bool) -> Self {
        Self {
            terminal,
            drawn: 0,
            last: Vec::new(),
        }
    }

    /// Shows the streams at a time since the start.
    pub(super) fn show(&mut self, elapsed: Duration, streams: &[Stream]) {
        if self.terminal {
            let picture = format!("{}\n{}", summary(elapsed, streams), table(streams));
            if self.drawn > 0 {
                // Up by that many lines, then clear to the end of the screen.
                print!("\x1b[{}A\x1b[J", self.drawn);
            }
            println!("{picture}");
            self.drawn = picture.lines().count();
        } else {
            println!("{}", summary(elapsed, streams));
        }
        self.last = streams.to_vec();
    }

    /// Says why there is no picture of this second.
    pub(super) fn show_failure(&mut self, elapsed: Duration, error: &anyhow::Error) {
        println!("{:>4} s  no view: {error:#}", elapsed.as_secs());
        self.drawn = 0;
    }

    /// Puts a line between the pictures.
    pub(super) fn note(&mut self, text: &str) {
        if !self.terminal {
            println!("{}", table(&self.last));
        }
        println!("{text}");
        self.drawn = 0;
    }

    /// Leaves the last picture standing.
    pub(super) fn finish(&mut self) {
        if !self.terminal {
            println!("{}", table(&self.last));
        }
    }
}

/// All streams on one line.
fn summary(elapsed: Duration, streams: &[Stream]) -> String {
    let frames: u64 = streams.iter().map(|stream| stream.frames).sum();
    let underruns: u64 = streams.iter().map(|stream| stream.underruns).sum();
    let worst = |value: fn(&Stream) -> Option<f64>| {
        number(streams.iter().filter_map(value).max_by(f64::total_cmp))
    };
    format!(
        "{:>4} s  {} streams  {frames} frames  worst jitter p95 {} ms  worst lateness {} ms  \
         {underruns} underruns",
        elapsed.as_secs(),
        streams.len(),
        worst(|stream| stream.jitter_p95_ms),
        worst(|stream| stream.lateness_ms),
    )
}

/// A heading, and one row for each stream.
fn table(streams: &[Stream]) -> String {
    let heading = row(HEADING.map(str::to_string));
    let rows = streams.iter().take(MAX_ROWS).map(|stream| {
        row([
            name(stream.worker.as_ref()),
            name(stream.session.as_ref()),
            name(stream.model.as_ref()),
            name(stream.pacing.as_ref()),
            stream.frames.to_string(),
            number(stream.interval_ms),
            number(stream.jitter_p50_ms),
            number(stream.jitter_p95_ms),
            number(stream.lateness_ms),
            stream.underruns.to_string(),
            name(stream.state.as_ref()),
        ])
    });
    let left = streams.len().saturating_sub(MAX_ROWS);
    let rest = (left > 0).then(|| format!("… and {left} more"));
    let lines: Vec<String> = std::iter::once(heading).chain(rows).chain(rest).collect();
    lines.join("\n")
}

fn row(cells: [String; HEADING.len()]) -> String {
    let [
        worker,
        session,
        model,
        pacing,
        frames,
        interval,
        p50,
        p95,
        late,
        underruns,
        state,
    ] = cells;
    format!(
        "{worker:<16} {session:<16} {model:<16} {pacing:<7} {frames:>7} {interval:>9} {p50:>8} \
         {p95:>8} {late:>8} {underruns:>9} {state}"
    )
}

/// A name made safe for a terminal: it comes from the wire.
fn name(name: Option<&String>) -> String {
    match name {
        Some(name) => name
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME_CHARACTERS)
            .collect(),
        None => "-".to_string(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"[
        {"worker": "tts@0", "session": "a", "model": "m", "pacing": "paced", "frames": 50,
         "interval_ms": 20.0, "jitter_p50_ms": 0.1, "jitter_p95_ms": 0.4, "lateness_ms": 0,
         "underruns": 0, "state": "streaming"},
        {"worker": "tts@0", "session": "b", "frames": 7, "lateness_ms": 340.5, "underruns": 1,
         "jitter_p95_ms": null}
    ]"#;

    #[test]
    fn summary_names_the_worst_stream() {
        let line = summary(Duration::from_secs(3), &parse(TWO).expect("streams"));
        assert!(line.contains("2 streams  57 frames"), "{line}");
        assert!(
            line.contains("p95 0.40 ms  worst lateness 340.50 ms  1 underruns"),
            "{line}"
        );
    }

    #[test]
    fn unknown_value_is_a_dash() {
        let table = table(&parse(TWO).expect("streams"));
        let second = table.lines().nth(2).expect("second row");
        let cells: Vec<&str> = second.split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "tts@0", "b", "-", "-", "7", "-", "-", "-", "340.50", "1", "-"
            ]
        );
    }

    #[test]
    fn many_streams_are_cut_to_one_screen() {
        let streams = vec![Stream::default(); MAX_ROWS + 3];
        let table = table(&streams);
        assert_eq!(table.lines().count(), 1 + MAX_ROWS + 1);
        assert!(table.ends_with("… and 3 more"));
    }

    #[test]
    fn escape_sequence_in_a_name_does_not_reach_the_terminal() {
        let hostile = "\x1b[2Jname".to_string();
        assert_eq!(name(Some(&hostile)), "[2Jname");
    }

    #[test]
    fn answer_that_is_no_list_is_an_error() {
        assert!(parse("{}").is_err());
        assert!(parse("").is_err());
    }
}

//! One row for each open audio stream.

use super::{name, number};
use crate::demo::streams::Stream;

/// Most rows: one screen of 24 lines, with the lines around the table.
const MAX_ROWS: usize = 13;
/// Most characters of a session.
const SESSION_CHARACTERS: usize = 12;
/// Most characters of a model.
const MODEL_CHARACTERS: usize = 11;

/// A heading, and one row for each stream; times in milliseconds.
pub(super) fn lines(streams: &[Stream]) -> Vec<String> {
    let heading = [
        "session",
        "model",
        "pacing",
        "frames",
        "jit p50",
        "jit p95",
        "late",
        "underruns",
        "state",
    ];
    let rows = streams.iter().take(MAX_ROWS).map(|stream| {
        row(&[
            &name(stream.session.as_deref(), SESSION_CHARACTERS),
            &name(stream.model.as_deref(), MODEL_CHARACTERS),
            &name(stream.pacing.as_deref(), 6),
            &stream.frames.to_string(),
            &number(stream.jitter_p50_ms),
            &number(stream.jitter_p95_ms),
            &number(stream.lateness_ms),
            &stream.underruns.to_string(),
            &name(stream.state.as_deref(), 8),
        ])
    });
    let left = streams.len().saturating_sub(MAX_ROWS);
    let rest = (left > 0).then(|| format!("… and {left} more"));
    std::iter::once(row(&heading))
        .chain(rows)
        .chain(rest)
        .collect()
}

/// 12 + 11 + 6 + 6 + 7 + 7 + 6 + 9 + 8 characters and eight spaces: 80 columns.
fn row(cells: &[&str; 9]) -> String {
    let [
        session,
        model,
        pacing,
        frames,
        p50,
        p95,
        late,
        underruns,
        state,
    ] = cells;
    format!(
        "{session:<12} {model:<11} {pacing:<6} {frames:>6} {p50:>7} {p95:>7} {late:>6} \
         {underruns:>9} {state}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{COLUMNS, TWO};
    use super::*;
    use crate::demo::streams::parse;

    #[test]
    fn unknown_value_is_a_dash() {
        let table = lines(&parse(TWO).expect("streams"));
        let cells: Vec<&str> = table[2].split_whitespace().collect();
        assert_eq!(cells, ["b", "-", "-", "7", "-", "-", "340.5", "1", "-"]);
    }

    #[test]
    fn widest_row_fits_the_columns() {
        let long = || Some("x".repeat(100));
        let stream = Stream {
            session: long(),
            model: long(),
            pacing: long(),
            frames: 999_999,
            jitter_p50_ms: Some(99_999.94),
            jitter_p95_ms: Some(99_999.94),
            lateness_ms: Some(9_999.94),
            margin_ms: None,
            underruns: 999_999_999,
            state: long(),
        };
        for line in lines(&[stream]) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn many_streams_are_cut_to_one_screen() {
        let streams = vec![Stream::default(); MAX_ROWS + 3];
        let table = lines(&streams);
        assert_eq!(table.len(), 1 + MAX_ROWS + 1);
        assert_eq!(table.last().map(String::as_str), Some("… and 3 more"));
    }
}

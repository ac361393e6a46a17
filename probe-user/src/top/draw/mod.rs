//! One picture of the board, for a terminal of any size.

use probe_core::{
    diagnose::harmful,
    record::{Gpu, GpuState},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Row, Table},
};

use super::board::{Board, REMEMBERED};
use crate::agent::StreamRow;

/// The least that shows anything of use.
const LEAST: (u16, u16) = (40, 8);

/// Columns from which on model and state are shown.
const WIDE: u16 = 110;

/// Columns of the causes' table; the rest is for GPUs.
const CAUSES: u16 = 44;

/// Most rows of the lower half, its heading included.
const LOWER: u16 = 9;

/// Jitter that fills the line, milliseconds: two usual frames.
const FULL_MS: f64 = 40.0;

/// Bytes in a gibibyte.
const GIB: f64 = 1_073_741_824.0;

const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const HEADING: Style = Style::new().add_modifier(Modifier::BOLD);
const BAD: Style = Style::new().fg(Color::Red);

pub(super) fn draw(board: &mut Board, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("voxprobe: the terminal is too small"), area);
        return;
    }
    let causes = board.moment.summary.by_cause().len();
    let lower = causes.max(board.moment.gpus.len()).max(1) + 1;
    let lower = u16::try_from(lower)
        .unwrap_or(LOWER)
        .min(LOWER)
        .min(area.height / 3);
    let rows = [
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(lower),
        Constraint::Length(1),
    ];
    let [top, streams, lower, bottom] = Layout::vertical(rows).areas(area);
    frame.render_widget(summary(board), top);
    table(board, frame, streams);
    let halves = [Constraint::Length(CAUSES), Constraint::Min(0)];
    let [left, right] = Layout::horizontal(halves).spacing(2).areas(lower);
    why(board, frame, left);
    gpus(board, frame, right);
    let keys = "q quit   s sort by the next column   r reverse   ↑ ↓ PgUp PgDn scroll";
    frame.render_widget(Line::styled(keys, FAINT), bottom);
}

fn summary(board: &Board) -> Line<'static> {
    let moment = &board.moment;
    let frames: u64 = moment.summary.frames.values().sum();
    let late = moment.summary.late_frames();
    let reversed = if board.is_reversed { " reversed" } else { "" };
    let style = if late > 0 { BAD } else { Style::new() };
    Line::from(vec![
        Span::styled("voxprobe top", HEADING),
        Span::raw(format!(
            "  {} s  {} streams  {frames} frames  ",
            moment.elapsed.as_secs(),
            moment.streams.len()
        )),
        Span::styled(format!("{late} late"), style),
        Span::raw(format!("  by {}{reversed}", board.sort.name())),
    ])
}

fn table(board: &mut Board, frame: &mut Frame<'_>, area: Rect) {
    board.fit(usize::from(area.height.saturating_sub(1)));
    if board.moment.streams.is_empty() {
        let workers = board.moment.summary.frames.len();
        let text = format!("No open stream of {workers} workers.");
        frame.render_widget(Paragraph::new(text).style(FAINT), area);
        return;
    }
    let is_wide = area.width >= WIDE;
    let line = if is_wide {
        REMEMBERED.min(usize::from(area.width) - 100)
    } else {
        12
    };
    let mut widths = vec![
        Constraint::Min(10),
        Constraint::Length(if is_wide { 20 } else { 14 }),
    ];
    let mut heading = vec!["session", "worker"];
    if is_wide {
        widths.extend([Constraint::Length(14), Constraint::Length(8)]);
        heading.extend(["model", "state"]);
    }
    widths.extend([6, 6, line as u16, 6, 4, 18].map(Constraint::Length));
    heading.extend(["frames", "p95 ms", "jitter", "late", "gaps", "last cause"]);
    let shown = board.moment.streams.iter().skip(board.above);
    let rows = shown
        .take(usize::from(area.height))
        .map(|stream| row(board, stream, is_wide, line));
    let table = Table::new(rows, widths).header(Row::new(heading).style(HEADING));
    frame.render_widget(table, area);
}

fn row(board: &Board, stream: &StreamRow, is_wide: bool, line: usize) -> Row<'static> {
    let mut cells = vec![name(stream.session.as_deref()), name(Some(&stream.worker))];
    if is_wide {
        cells.extend([name(stream.model.as_deref()), stream.state.to_owned()]);
    }
    let jitters: Vec<f64> = board.jitters(stream.call).collect();
    let cause = board.cause(stream.call);
    cells.extend([
        format!("{:>6}", stream.frames),
        number(stream.jitter_p95_ms),
        sparkline(&jitters, line),
        number(stream.lateness_ms),
        format!("{:>4}", stream.underruns),
        cause.map_or("", |cause| cause.label()).to_owned(),
    ]);
    let style = if stream.lateness_ms.is_some_and(|ms| ms > 0.0) {
        BAD
    } else {
        Style::new()
    };
    Row::new(cells).style(style)
}

fn why(board: &Board, frame: &mut Frame<'_>, area: Rect) {
    let rows = board
        .moment
        .summary
        .by_cause()
        .into_iter()
        .map(|(cause, tally)| {
            Row::new([
                cause.label().to_owned(),
                format!("{:>6}", tally.frames),
                format!("{:>6}", tally.underruns),
                format!("{:>9.0}", tally.excess_ns as f64 / 1e6),
            ])
        });
    let widths = [18, 6, 6, 9].map(Constraint::Length);
    let heading = Row::new(["late because of", "frames", " heard", "    ms"]).style(HEADING);
    frame.render_widget(Table::new(rows, widths).header(heading), area);
}

fn gpus(board: &Board, frame: &mut Frame<'_>, area: Rect) {
    let heading = Line::styled("GPUs", HEADING);
    let lines = board.moment.gpus.iter().map(gpu_line);
    let text: Vec<Line<'_>> = std::iter::once(heading).chain(lines).collect();
    frame.render_widget(Paragraph::new(text), area);
}

fn gpu_line(gpu: &Gpu) -> Line<'static> {
    let readings = &gpu.readings;
    let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let gib = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |it| format!("{:.0}", it as f64 / GIB))
    };
    let text = format!(
        "{} {:>3} % {:>3} °C {}/{} GiB ",
        gpu.id,
        number(readings.utilization_percent),
        number(readings.temperature_celsius),
        gib(readings.memory_used_bytes),
        gib(readings.memory_total_bytes)
    );
    let trouble = match gpu.state {
        GpuState::Ok if harmful(gpu) != 0 => "throttled",
        GpuState::Ok => "",
        _ => "does not answer",
    };
    Line::from(vec![Span::raw(text), Span::styled(trouble, BAD)])
}

/// A name from the wire, without what a terminal would obey.
fn name(text: Option<&str>) -> String {
    let text = text.unwrap_or("-");
    text.chars()
        .map(|one| if one.is_control() { '·' } else { one })
        .collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>6}", "-"), |value| format!("{value:>6.1}"))
}

/// The last values as a line of blocks.
fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skipped = values.len().saturating_sub(width);
    let shown = values.iter().skip(skipped);
    shown
        .map(|value| {
            let level = (value / FULL_MS * 7.0).round().clamp(0.0, 7.0) as usize;
            BLOCKS.get(level).copied().unwrap_or(' ')
        })
        .collect()
}

#[cfg(test)]
mod tests;

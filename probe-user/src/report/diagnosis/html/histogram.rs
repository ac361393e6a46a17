//! How long the intervals between frames were.

use std::fmt::{self, Formatter};

use crate::report::diagnosis::{Diagnosis, IntervalRow};

/// Pixels of the drawing, of the counts at its left, and of its bars and axis.
const WIDTH: f64 = 1000.0;
const COUNTS: f64 = 60.0;
const HEIGHT: f64 = 160.0;
const AXIS: f64 = 26.0;

/// Pixels that a length's name needs.
const LENGTH: f64 = 52.0;

pub(super) fn draw(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    let intervals = &report.course.intervals;
    let Some(most) = intervals.iter().map(|one| one.count).max() else {
        return Ok(());
    };
    writeln!(
        f,
        "<section id=\"intervals\">\n<h2>Intervals between frames</h2>\n<p>Of paced streams, by length; each \
         line across is ten times the one below it.</p>\n<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-label=\"Histogram of intervals\">",
        HEIGHT + AXIS
    )?;
    let decades = (most as f64).log10().floor() + 1.0;
    // A single interval has a bar as well.
    let high = |count: f64| (count.log10() + 0.3) / (decades + 0.3) * (HEIGHT - 10.0);
    let mut count = 1.0;
    while count <= most as f64 {
        let y = HEIGHT - high(count);
        writeln!(
            f,
            "<path class=\"grid\" d=\"M{COUNTS} {y:.1}H{WIDTH}\"/><text class=\"axis\" x=\"{:.0}\" \
             y=\"{:.1}\">{count:.0}</text>",
            COUNTS - 24.0,
            y + 4.0
        )?;
        count *= 10.0;
    }
    bars(intervals, high, f)?;
    writeln!(
        f,
        "<path class=\"base\" d=\"M{COUNTS} {HEIGHT}H{WIDTH}\"/>\n</svg>\n</section>"
    )
}

fn bars(
    intervals: &[IntervalRow],
    high: impl Fn(f64) -> f64,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let width = (WIDTH - COUNTS) / intervals.len().max(1) as f64;
    let every = (LENGTH / width).ceil().max(1.0) as usize;
    for (index, interval) in intervals.iter().enumerate() {
        let x = COUNTS + index as f64 * width;
        if interval.count > 0 {
            let height = high(interval.count as f64);
            writeln!(
                f,
                "<rect class=\"count\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
                 <title>{} of about {} ms</title></rect>",
                x + width * 0.1,
                HEIGHT - height,
                (width * 0.8).min(40.0),
                interval.count,
                interval.ms
            )?;
        }
        if index % every == 0 {
            writeln!(
                f,
                "<text class=\"axis\" x=\"{:.1}\" y=\"{:.0}\">{} ms</text>",
                x + (width * 0.5).min(24.0),
                HEIGHT + 16.0,
                interval.ms
            )?;
        }
    }
    Ok(())
}

//! Streams and GPUs on one time axis.

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};

use super::escape::{Text, short};
use super::{Chip, duration};
use crate::report::diagnosis::{Diagnosis, GpuRow, StreamRow};

/// Pixels of the drawing, its names, and what is left for time.
const WIDTH: f64 = 1000.0;
const NAMES: f64 = 190.0;
const PLOT: f64 = WIDTH - NAMES - 10.0;

/// Pixels of a lane, and of what is drawn in it.
const LANE: f64 = 38.0;
const HEIGHT: f64 = 28.0;

/// Pixels of the axis.
const AXIS: f64 = 26.0;

/// Least pixels of a late frame's bar.
const SEEN: f64 = 5.0;

/// The least interval that fills a lane, milliseconds: regular frames stay small.
const FULL_MS: f64 = 80.0;

/// For how long a GPU reading stands when none follows, milliseconds.
const READING_MS: f64 = 2_000.0;

/// Marks on the axis at most.
const MARKS: f64 = 12.0;

/// Characters of a name.
const NAME: usize = 26;

pub(super) fn draw(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    let course = &report.course;
    if course.streams.is_empty() {
        return Ok(());
    }
    let axis = Axis::of(report);
    let lanes = course.streams.len() + course.gpus.len();
    let height = lanes as f64 * LANE + AXIS;
    let full = longest(&course.streams).max(FULL_MS);
    writeln!(
        f,
        "<section id=\"timeline\">\n<h2>Over time</h2>\n<p>Longest interval between two frames of each \
         stream, {} from top to bottom (by its square root); late frames are in the colour of their cause.{}</p>\n<p>{}</p>\n\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Streams and GPUs over time\">",
        duration(full),
        LeftOut(course.streams_left_out),
        Legend(report)
    )?;
    axis.draw(height - AXIS, f)?;
    for (index, stream) in course.streams.iter().enumerate() {
        lane(stream, &axis, index as f64 * LANE, full, f)?;
    }
    for (index, gpu) in course.gpus.iter().enumerate() {
        let top = (course.streams.len() + index) as f64 * LANE;
        gpu_lane(gpu, &axis, top, f)?;
    }
    writeln!(f, "</svg>\n</section>")
}

/// Time, from left to right.
struct Axis {
    column_ms: f64,
    columns: usize,
}

impl Axis {
    fn of(report: &Diagnosis) -> Self {
        let course = &report.course;
        let streams = course.streams.iter().map(|one| one.longest_ms.len());
        let gpus = course.gpus.iter().map(|one| one.busy_percent.len());
        Self {
            column_ms: course.column_ms.max(1.0),
            columns: streams.chain(gpus).max().unwrap_or(0).max(1),
        }
    }

    fn column(&self) -> f64 {
        PLOT / self.columns as f64
    }

    fn x(&self, column: usize) -> f64 {
        NAMES + column as f64 * self.column()
    }

    fn draw(&self, bottom: f64, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.columns as f64 * self.column_ms / 1e3;
        let step = round_step(seconds / MARKS);
        let mut mark = 0.0;
        while mark <= seconds {
            let x = NAMES + mark / seconds * PLOT;
            writeln!(
                f,
                "<path class=\"grid\" d=\"M{x:.1} 0V{bottom:.0}\"/><text class=\"axis\" x=\"{x:.1}\" \
                 y=\"{:.0}\">{} s</text>",
                bottom + 16.0,
                Figure(mark)
            )?;
            mark += step;
        }
        Ok(())
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-3).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// Without needless digits.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.fract().abs() < 1e-6 {
            write!(f, "{:.0}", self.0)
        } else {
            write!(f, "{:.1}", self.0)
        }
    }
}

fn longest(streams: &[StreamRow]) -> f64 {
    let all = streams.iter().flat_map(|stream| &stream.longest_ms);
    all.flatten().copied().fold(0.0, f64::max)
}

fn lane(
    stream: &StreamRow,
    axis: &Axis,
    top: f64,
    full: f64,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let bottom = top + HEIGHT + 4.0;
    let session = stream.session.as_deref().unwrap_or("-");
    let width = axis.column();
    name(
        session,
        &format!("{} · {} frames", stream.worker, stream.frames),
        top,
        f,
    )?;
    // By its root: regular frames are seen beside one that was late by much.
    let high = |ms: f64| (ms / full).sqrt() * HEIGHT;
    write!(f, "<path class=\"frames\" d=\"")?;
    for (column, ms) in stream.longest_ms.iter().enumerate() {
        if let Some(ms) = ms {
            let x = axis.x(column);
            write!(
                f,
                "M{x:.1} {bottom:.0}v-{0:.1}h{width:.1}v{0:.1}z",
                high(*ms)
            )?;
        }
    }
    writeln!(f, "\"/>")?;
    for late in &stream.late {
        let interval = stream.longest_ms.get(late.column).copied().flatten();
        let height = high(interval.unwrap_or(late.ms).max(late.ms)).max(SEEN);
        writeln!(
            f,
            "<rect class=\"{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
             <title>{}, {:.1} s: {} late, {}</title></rect>",
            late.cause,
            axis.x(late.column),
            bottom - height,
            width.max(2.0),
            Text(session),
            late.column as f64 * axis.column_ms / 1e3,
            duration(late.ms),
            late.cause
        )?;
    }
    writeln!(
        f,
        "<path class=\"base\" d=\"M{NAMES} {bottom:.0}h{PLOT}\"/>"
    )
}

fn gpu_lane(gpu: &GpuRow, axis: &Axis, top: f64, f: &mut Formatter<'_>) -> fmt::Result {
    let bottom = top + HEIGHT + 4.0;
    name(&format!("GPU {}", gpu.gpu), &gpu.name, top, f)?;
    let reach = (READING_MS / axis.column_ms).ceil() as usize;
    for (class, percents) in [("busy", &gpu.busy_percent), ("others", &gpu.others_percent)] {
        write!(f, "<path class=\"{class}\" d=\"")?;
        for (column, columns, percent) in held(percents, reach) {
            let high = f64::from(percent.min(100)) / 100.0 * HEIGHT;
            let width = axis.column() * columns as f64;
            write!(
                f,
                "M{:.1} {bottom:.0}v-{high:.1}h{width:.1}v{high:.1}z",
                axis.x(column)
            )?;
        }
        writeln!(f, "\"/>")?;
    }
    write!(f, "<path class=\"gpu_throttle\" d=\"")?;
    let throttled = gpu.throttle_reasons.iter().zip(&gpu.busy_percent);
    let throttled: Vec<_> = throttled
        .map(|(reasons, read)| read.map(|_| u32::from(*reasons != 0)))
        .collect();
    for (column, columns, _) in held(&throttled, reach).filter(|(_, _, is)| *is > 0) {
        let width = axis.column() * columns as f64;
        write!(
            f,
            "M{:.1} {top:.0}h{width:.1}v3h-{width:.1}z",
            axis.x(column)
        )?;
    }
    writeln!(
        f,
        "\"/><path class=\"base\" d=\"M{NAMES} {bottom:.0}h{PLOT}\"/>"
    )
}

/// Each reading with its column, and for how many columns it stands: until the next one, or for
/// `reach` columns.
fn held(readings: &[Option<u32>], reach: usize) -> impl Iterator<Item = (usize, usize, u32)> + '_ {
    let read = readings.iter().enumerate();
    read.filter_map(move |(column, reading)| {
        let after = readings.iter().skip(column + 1);
        let next = after.clone().position(Option::is_some);
        let columns = next.map_or(usize::MAX, |next| next + 1).min(reach.max(1));
        Some((column, columns.min(readings.len() - column), (*reading)?))
    })
}

fn name(first: &str, second: &str, top: f64, f: &mut Formatter<'_>) -> fmt::Result {
    let (short_first, short_second) = (short(first, NAME), short(second, NAME + 4));
    writeln!(
        f,
        "<g><title>{} · {}</title><text x=\"0\" y=\"{:.0}\">{}</text>\
         <text class=\"small\" x=\"0\" y=\"{:.0}\">{}</text></g>",
        Text(first),
        Text(second),
        top + 16.0,
        Text(&short_first),
        top + 30.0,
        Text(&short_second)
    )
}

struct LeftOut(u64);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            streams => write!(f, " {streams} streams that were less late are left out."),
        }
    }
}

struct Legend<'a>(&'a Diagnosis);

impl fmt::Display for Legend<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let streams = &self.0.course.streams;
        let late = streams.iter().flat_map(|stream| &stream.late);
        let causes: BTreeSet<&'static str> = late.map(|late| late.cause).collect();
        for cause in causes {
            write!(f, "{} ", Chip(cause))?;
        }
        if !self.0.course.gpus.is_empty() {
            write!(
                f,
                "<span class=\"chip busy\">GPU busy</span> <span class=\"chip others\">of it other \
                 processes</span> <span class=\"chip gpu_throttle\">GPU throttled</span>"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        for (least, step) in [
            (0.02, 0.02),
            (0.3, 0.5),
            (2.6, 5.0),
            (7.0, 10.0),
            (61.0, 100.0),
        ] {
            assert!((round_step(least) - step).abs() < 1e-9, "{least}");
        }
    }

    #[test]
    fn readings_stand_until_the_next_one_and_not_for_ever() {
        let readings = [Some(1), None, Some(2), None, None, None, None];
        let held: Vec<_> = held(&readings, 3).collect();
        assert_eq!(held, [(0, 2, 1), (2, 3, 2)]);
    }
}

//! The frames that were late by most, each with its evidence.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::{Chip, duration};
use crate::report::diagnosis::{Diagnosis, FrameRow};

/// Lateness by a cause that is told: what rounds to nothing is not.
const SHOWN_MS: f64 = 0.05;

pub(super) fn list(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    if report.worst.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "<section id=\"worst\">\n<h2>Worst frames</h2>\n<p>What the threads did since the frame before.</p>"
    )?;
    for (index, frame) in report.worst.iter().enumerate() {
        one(frame, index == 0, f)?;
    }
    writeln!(f, "</section>")
}

fn one(frame: &FrameRow, is_open: bool, f: &mut Formatter<'_>) -> fmt::Result {
    let heard = if frame.underrun_ms > 0.0 {
        ", heard"
    } else {
        ""
    };
    writeln!(
        f,
        "<details{}>\n<summary>{} <b>{} late</b> of {}{heard}: {}, frame {}, at {:.2} s</summary>",
        if is_open { " open" } else { "" },
        Chip(frame.cause),
        duration(frame.late_ms),
        duration(frame.interval_ms),
        Text(frame.session.as_deref().unwrap_or("-")),
        frame.frame,
        frame.at_seconds
    )?;
    let thread = frame.thread.map_or_else(
        || "an unknown thread".to_owned(),
        |thread| format!("thread {thread}"),
    );
    writeln!(
        f,
        "<p>{}, process {}, sent by {thread}. Lateness: {}.</p>",
        Text(&frame.worker),
        frame.process,
        Shares(frame)
    )?;
    evidence(frame, f)?;
    for circumstance in &frame.circumstances() {
        writeln!(f, "<p>{}</p>", Text(circumstance))?;
    }
    writeln!(f, "</details>")
}

fn evidence(frame: &FrameRow, f: &mut Formatter<'_>) -> fmt::Result {
    if frame.evidence.is_empty() {
        return writeln!(f, "<p>The evidence is missing.</p>");
    }
    write!(f, "<div class=\"parts\">")?;
    for part in &frame.evidence {
        let percent = part.ms / frame.interval_ms.max(0.001) * 100.0;
        write!(
            f,
            "<span class=\"{0}\" style=\"width:{1:.2}%\" title=\"{0} {2}\"></span>",
            part.kind,
            percent.min(100.0),
            duration(part.ms)
        )?;
    }
    writeln!(
        f,
        "</div>\n<table>\n<thead><tr><th>time went to</th><th class=\"n\">in all</th>\
         <th class=\"n\">longest</th><th>thread</th></tr></thead>\n<tbody>"
    )?;
    for part in &frame.evidence {
        let who = part.who();
        writeln!(
            f,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            Chip(part.kind),
            duration(part.ms),
            duration(part.longest_ms),
            Text(&who)
        )?;
    }
    writeln!(f, "</tbody>\n</table>")
}

/// Lateness by cause.
struct Shares<'a>(&'a FrameRow);

impl fmt::Display for Shares<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let told = self.0.shares.iter().filter(|share| share.ms >= SHOWN_MS);
        for (index, share) in told.enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", share.cause, duration(share.ms))?;
        }
        Ok(())
    }
}

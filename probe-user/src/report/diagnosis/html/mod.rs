//! The report as one HTML file: charts are inline SVG, there is no script, and nothing is fetched.

mod escape;
mod histogram;
mod timeline;
mod worst;

use std::fmt::{self, Display, Formatter};

use super::words::duration;
use super::{CauseRow, Diagnosis};
use escape::Text;

const STYLE: &str = include_str!("style.css");

/// What the file may load: nothing. Its own style is in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Diagnosis {
    /// The report as an HTML file.
    pub fn html(&self) -> impl Display + '_ {
        Page(self)
    }
}

struct Page<'a>(&'a Diagnosis);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let title = report.headline();
        writeln!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>",
            Text(&title)
        )?;
        answer(report, f)?;
        causes(report, f)?;
        timeline::draw(report, f)?;
        histogram::draw(report, f)?;
        worst::list(report, f)?;
        workers(report, f)?;
        writeln!(
            f,
            "<footer>voxprobe {} · {} · times in milliseconds unless said otherwise</footer>\n\
             </main>\n</body>\n</html>",
            env!("CARGO_PKG_VERSION"),
            report.schema
        )
    }
}

fn answer(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    let headline = report.headline();
    writeln!(
        f,
        "<header>\n<p class=\"what\">voxprobe diagnose</p>\n<h1>{}</h1>",
        Text(&headline)
    )?;
    if let Some(first) = report.causes.first() {
        let example = report.example(first);
        writeln!(
            f,
            "<p><b>Why:</b> {}{}</p>\n<p><b>Next:</b> {}</p>",
            Text(first.title),
            Text(&example),
            Text(&first.next_step)
        )?;
    }
    if let Some(reason) = &report.unavailable {
        writeln!(f, "<p class=\"note\"><b>Note:</b> {}</p>", Text(reason))?;
    }
    writeln!(f, "</header>")
}

fn causes(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    if report.causes.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "<section id=\"causes\">\n<h2>Causes</h2>\n<table>\n<thead><tr><th>cause</th><th>what it means</th>\
         <th class=\"n\">late</th><th class=\"n\">heard</th><th class=\"n\">late by</th><th class=\"share\">share</th>\
         </tr></thead>\n<tbody>"
    )?;
    for row in &report.causes {
        writeln!(
            f,
            "<tr><td>{}</td><td>{}<br><small>{}</small></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"share\"><span class=\"bar {}\" style=\"width:{:.1}%\"></span></td></tr>",
            Chip(row.cause),
            Text(row.title),
            Text(&row.next_step),
            row.late_frames,
            row.underruns,
            duration(row.late_ms),
            row.cause,
            report.percent(row)
        )?;
    }
    writeln!(f, "</tbody>\n</table>\n</section>")
}

fn workers(report: &Diagnosis, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "<section id=\"workers\">\n<h2>Workers</h2>\n<table>\n<thead><tr><th>worker</th><th class=\"n\">frames</th>\
         <th>cause</th><th class=\"n\">late</th><th class=\"n\">heard</th><th class=\"n\">late by</th></tr></thead>\n<tbody>"
    )?;
    for worker in &report.workers {
        let name = Text(&worker.worker);
        if worker.causes.is_empty() {
            writeln!(
                f,
                "<tr><td>{name}</td><td class=\"n\">{}</td><td>none late</td><td></td><td></td><td></td></tr>",
                worker.frames
            )?;
        }
        for row in &worker.causes {
            worker_row(&name, worker.frames, row, f)?;
        }
    }
    writeln!(f, "</tbody>\n</table>\n</section>")
}

fn worker_row(name: &Text<'_>, frames: u64, row: &CauseRow, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "<tr><td>{name}</td><td class=\"n\">{frames}</td><td>{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
        Chip(row.cause),
        row.late_frames,
        row.underruns,
        duration(row.late_ms)
    )
}

/// A cause, or a kind of evidence, in its colour. Both are of closed lists.
struct Chip(&'static str);

impl Display for Chip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"chip {0}\">{0}</span>", self.0)
    }
}

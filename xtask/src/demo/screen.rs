//! Standard output of the demo: a terminal whose lines can be drawn over, or plain lines.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

/// Columns of a terminal that does not tell its size, and of everything that is no terminal.
const DEFAULT_COLUMNS: usize = 80;

/// Where the demo writes. A closed pipe is an error of kind `BrokenPipe`.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    /// Lines of the picture that the next one replaces.
    drawn: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Whether pictures replace one another.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes lines that stay.
    pub(super) fn say(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.drawn = 0;
        write(text.as_ref())
    }

    /// Writes lines that stay, each broken between words where it is too long for 80 columns; what
    /// follows a break is as deep as the line began.
    pub(super) fn explain(&mut self, text: impl AsRef<str>) -> Result<()> {
        let broken: Vec<String> = text
            .as_ref()
            .lines()
            .flat_map(|line| wrap(line, DEFAULT_COLUMNS))
            .collect();
        self.say(broken.join("\n"))
    }

    /// Writes a picture in place of the one before, unless lines were said in between.
    pub(super) fn draw(&mut self, picture: &[String]) -> Result<()> {
        let columns = self.columns();
        let mut text = String::new();
        if self.terminal && self.drawn > 0 {
            // Up by that many lines, then clear to the end of the screen.
            text = format!("\x1b[{}A\x1b[J", self.drawn);
        }
        let cut: Vec<String> = picture.iter().map(|line| shorten(line, columns)).collect();
        text.push_str(&cut.join("\n"));
        self.drawn = picture.len();
        write(&text)
    }

    /// Longer lines would wrap, and the next picture would start too low.
    fn columns(&self) -> usize {
        if !self.terminal {
            return DEFAULT_COLUMNS;
        }
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
            .unwrap_or(DEFAULT_COLUMNS)
    }
}

fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("write to standard output")
}

/// Whether the error is that nobody reads the output any more.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The first characters of a line.
fn shorten(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}

/// The line, broken between words; a word that is too long stays whole.
fn wrap(line: &str, columns: usize) -> Vec<String> {
    let words = line.trim_start_matches(' ');
    let depth = " ".repeat(line.len() - words.len());
    let mut lines = Vec::new();
    let mut current = depth.clone();
    for word in words.split(' ') {
        let begun = current.len() > depth.len();
        if begun && current.chars().count() + 1 + word.chars().count() > columns {
            lines.push(std::mem::replace(&mut current, depth.clone() + word));
        } else {
            if begun {
                current.push(' ');
            }
            current.push_str(word);
        }
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_broken_between_words_at_its_own_depth() {
        assert_eq!(
            wrap("  one two three-and-more four", 10),
            ["  one two", "  three-and-more", "  four"]
        );
        assert_eq!(wrap("short", 10), ["short"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn line_is_cut_at_characters_not_bytes() {
        assert_eq!(shorten("61 °C", 4), "61 °");
        assert_eq!(shorten("ab", 80), "ab");
    }

    #[test]
    fn closed_pipe_is_told_from_other_errors() {
        let pipe = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed(&pipe.context("write to standard output")));
        assert!(!is_closed(&anyhow::anyhow!("no port")));
    }
}

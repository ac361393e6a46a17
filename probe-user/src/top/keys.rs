//! What a key asks for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that is known.
    Nothing,
    /// The end.
    Quit,
    /// The next column to sort by.
    Sort,
    /// The other direction.
    Reverse,
    /// So many rows down; up where negative.
    Scroll(isize),
}

/// Rows of a page: less than the smallest screen has.
const PAGE: isize = 10;

pub(super) fn asked(key: KeyEvent) -> Asked {
    if key.kind == KeyEventKind::Release {
        return Asked::Nothing;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Asked::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Asked::Quit,
        KeyCode::Char('s') => Asked::Sort,
        KeyCode::Char('r') => Asked::Reverse,
        KeyCode::Down | KeyCode::Char('j') => Asked::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Asked::Scroll(-1),
        KeyCode::PageDown => Asked::Scroll(PAGE),
        KeyCode::PageUp => Asked::Scroll(-PAGE),
        KeyCode::Home => Asked::Scroll(isize::MIN),
        _ => Asked::Nothing,
    }
}

//! The live terminal view: open streams with their jitter, what made frames late, and GPUs.
//!
//! Takes what the agent publishes ([`Shared`]); never waits for the agent, nor the agent for it.

mod board;
mod draw;
mod keys;

use std::{
    io,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use crate::agent::Shared;
use board::{Board, Moment};
use keys::Asked;

/// Between two looks at what the agent published: it publishes as often.
const LOOK: Duration = Duration::from_millis(500);

/// Longest wait for a key, so that the end of the agent is noticed soon.
const WAIT: Duration = Duration::from_millis(100);

/// Shows the view until `q` or Ctrl-C is typed, or the agent is told to stop. The terminal is as it
/// was afterwards, also after a panic of any thread.
///
/// # Errors
/// When the terminal cannot be read or written.
pub fn show(shared: &Shared) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let result = run(&mut terminal, shared);
    ratatui::try_restore()?;
    result
}

fn run(terminal: &mut DefaultTerminal, shared: &Shared) -> io::Result<()> {
    let started = Instant::now();
    let mut board = Board::default();
    let mut looked: Option<Instant> = None;
    while !shared.stop.load(Ordering::Acquire) {
        if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            board.look(moment(shared, started.elapsed()));
        }
        terminal.draw(|frame| draw::draw(&mut board, frame))?;
        if event::poll(WAIT)?
            && let Event::Key(key) = event::read()?
            && board.obey(keys::asked(key)) == Asked::Quit
        {
            break;
        }
    }
    Ok(())
}

fn moment(shared: &Shared, elapsed: Duration) -> Moment {
    let summary = shared.diagnosis.lock();
    let summary = summary.unwrap_or_else(PoisonError::into_inner).clone();
    let gpus = shared.gpus.lock();
    let gpus = gpus.unwrap_or_else(PoisonError::into_inner).clone();
    Moment {
        elapsed,
        streams: shared.streams.rows(),
        summary,
        gpus,
    }
}

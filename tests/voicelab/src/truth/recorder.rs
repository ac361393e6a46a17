//! Collects truth events cheaply and writes them from a thread of its own.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use super::{Event, Line, Summary};
use crate::clock::monotonic_ns;

/// How long an event may stay in memory; the file is flushed as often.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Where events go. Clones share one file.
#[derive(Clone)]
pub(crate) struct Truth {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    writer: Mutex<Option<JoinHandle<anyhow::Result<Summary>>>>,
}

#[derive(Default)]
struct State {
    pending: Vec<Line>,
    closing: bool,
}

impl Truth {
    /// Starts the writer. Without a path events are only counted.
    pub(crate) fn start(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path
            .map(|path| File::create(path).with_context(|| format!("create {}", path.display())))
            .transpose()?
            .map(BufWriter::new);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            writer: Mutex::new(None),
        });
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("truth".to_owned())
            .spawn(move || write_lines(&writing, file))
            .context("start the truth writer")?;
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Ok(Self { shared })
    }

    /// Records an event that happens now.
    pub(crate) fn record(&self, event: Event) {
        self.record_at(monotonic_ns(), event);
    }

    /// Records an event whose time was read before.
    pub(crate) fn record_at(&self, t_ns: u64, event: Event) {
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.pending.push(Line { t_ns, event });
    }

    /// Writes what is pending and gives the counts. Events recorded afterwards are lost.
    pub(crate) fn finish(&self) -> anyhow::Result<Summary> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closing = true;
        self.shared.wake.notify_all();
        let writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let writer = writer.context("the truth was already closed")?;
        writer
            .join()
            .map_err(|_| anyhow::anyhow!("the truth writer panicked"))?
    }
}

fn write_lines(shared: &Shared, mut file: Option<BufWriter<File>>) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    loop {
        let (lines, closing) = {
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut state, _) = shared
                .wake
                .wait_timeout_while(state, FLUSH_INTERVAL, |state| !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut state.pending), state.closing)
        };
        for line in &lines {
            summary.observe(&line.event);
            if let Some(file) = &mut file {
                serde_json::to_writer(&mut *file, line).context("write the truth file")?;
                file.write_all(b"\n").context("write the truth file")?;
            }
        }
        if let Some(file) = &mut file {
            file.flush().context("flush the truth file")?;
        }
        if closing {
            return Ok(summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_writes_every_event_in_order_and_counts_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truth.jsonl");
        let truth = Truth::start(Some(&path)).unwrap();
        for session in ["a", "b"] {
            truth.record(Event::SessionEnd {
                session: session.to_owned(),
            });
        }
        assert_eq!(truth.finish().unwrap().sessions_ended, 2);

        let lines: Vec<Line> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.windows(2).all(|pair| pair[0].t_ns <= pair[1].t_ns));
        assert_eq!(
            lines[1].event,
            Event::SessionEnd {
                session: "b".to_owned()
            }
        );
    }

    #[test]
    fn finish_twice_is_an_error() {
        let truth = Truth::start(None).unwrap();
        truth.finish().unwrap();
        assert!(truth.finish().is_err());
    }
}

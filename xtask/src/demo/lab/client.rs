//! Clients that talk to the worker themselves.

use std::cell::RefCell;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{CLIENT_MARGIN, MODELS, Worker, expect_running};
use crate::demo::process::Process;

/// Characters in one utterance: 7 seconds of audio.
const TEXT_LENGTH: &str = "120";

/// What a client does beside speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Habit {
    /// Nothing.
    Listen,
    /// Pauses, resumes and stops, and loads and unloads a model at its start.
    Control,
}

/// A client that keeps several sessions busy.
#[derive(Debug)]
pub(in crate::demo) struct Client {
    process: RefCell<Process>,
}

impl Client {
    /// Starts it; its sessions are called `NAME-0`, `NAME-1`, ….
    pub(in crate::demo) fn start(
        worker: &Worker,
        name: &str,
        sessions: u8,
        habit: Habit,
        duration: Duration,
    ) -> Result<Self> {
        let seconds = (duration + CLIENT_MARGIN).as_secs().to_string();
        let mut command = Command::new(&worker.voicelab);
        command.args(["client", "--target", &format!("127.0.0.1:{}", worker.port)]);
        command.args(["--sessions", &sessions.to_string()]);
        command.args(["--session-prefix", name, "--models", MODELS]);
        command.args(["--text-length", TEXT_LENGTH]);
        command.args(["--duration", &seconds, "--give-up", &seconds]);
        if habit == Habit::Control {
            command.args(["--controls", "--inspect"]);
        }
        let process = Process::start(&format!("client-{name}"), &mut command, &worker.directory)?;
        Ok(Self {
            process: RefCell::new(process),
        })
    }

    pub(in crate::demo) fn still_runs(&self) -> Result<()> {
        expect_running("a client", &mut self.process.borrow_mut())
    }
}

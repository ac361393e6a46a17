//! The orchestrator in front of the worker, and those who talk to it over WebSocket.

use std::cell::RefCell;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{CLIENT_MARGIN, MODELS, Redis, START_LIMIT, Worker, expect_running};
use crate::demo::process::Process;
use crate::demo::scenario::WORKER;

/// More sessions than the longest demo holds one after the other.
const SESSIONS: &str = "1000000";
/// Sessions at the same time.
const CONCURRENT: &str = "4";
/// Between the starts of two sessions, in milliseconds: they do not all speak and leave together.
const RAMP_MS: &str = "350";
/// Characters in one of the two text messages of an utterance: 2 seconds of audio in all.
const TEXT_LENGTH: &str = "18";
/// How talkers leave, in turn: three ways, so that talkers of both models leave in each.
const ENDS: &str = "client-close,client-close,client-reset";

/// An orchestrator: WebSocket with permessage-deflate in front, gRPC to the worker behind.
#[derive(Debug)]
pub(in crate::demo) struct Orchestrator {
    process: RefCell<Process>,
    port: u16,
}

impl Orchestrator {
    /// Starts it, with its registrations in `redis` where there is one.
    pub(in crate::demo) fn start(worker: &Worker, redis: Option<&Redis>) -> Result<Self> {
        let mut command = Command::new(&worker.voicelab);
        command.args(["orchestrator", "--port", "0", "--deflate", "on"]);
        command.args(["--worker", &format!("{WORKER}=127.0.0.1:{}", worker.port)]);
        if let Some(redis) = redis {
            command.args(["--redis", &redis.address()]);
        }
        let mut process = Process::start("orchestrator", &mut command, &worker.directory)?;
        let port = process
            .wait_for_line("listening ", START_LIMIT)?
            .parse()
            .context("read the orchestrator's port")?;
        Ok(Self {
            process: RefCell::new(process),
            port,
        })
    }

    pub(in crate::demo) fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    pub(in crate::demo) fn still_runs(&self) -> Result<()> {
        expect_running("the orchestrator", &mut self.process.borrow_mut())
    }
}

/// Clients that speak, interrupt what they hear, and leave; others come in their place.
#[derive(Debug)]
pub(in crate::demo) struct Talkers {
    process: RefCell<Process>,
}

impl Talkers {
    pub(in crate::demo) fn start(
        orchestrator: &Orchestrator,
        worker: &Worker,
        duration: Duration,
    ) -> Result<Self> {
        let seconds = (duration + CLIENT_MARGIN).as_secs().to_string();
        let mut command = Command::new(&worker.voicelab);
        command.arg("talker");
        command.args(["--target", &format!("127.0.0.1:{}", orchestrator.port)]);
        command.args(["--sessions", SESSIONS, "--concurrent", CONCURRENT]);
        command.args(["--ramp-ms", RAMP_MS, "--give-up", &seconds]);
        command.args(["--utterances", "2", "--text-length", TEXT_LENGTH]);
        command.args(["--interrupt", "--ends", ENDS, "--models", MODELS]);
        let process = Process::start("talkers", &mut command, &worker.directory)?;
        Ok(Self {
            process: RefCell::new(process),
        })
    }

    pub(in crate::demo) fn still_run(&self) -> Result<()> {
        expect_running("the talkers", &mut self.process.borrow_mut())
    }
}

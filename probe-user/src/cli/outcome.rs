//! How a command ended, and how its exit status says so.

use std::{io, process::ExitCode};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well: exit status 0.
    Healthy,
    /// There is something to look at: exit status 1.
    Findings,
}

impl Outcome {
    /// The exit status of a command. An error is 2, and printed by the caller; a reader that went
    /// away (broken pipe) is no error.
    pub fn exit_code(result: &anyhow::Result<Self>) -> ExitCode {
        match result {
            Ok(Self::Healthy) => ExitCode::SUCCESS,
            Ok(Self::Findings) => ExitCode::from(1),
            Err(error) if is_broken_pipe(error) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        }
    }
}

/// Whether the error is that nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

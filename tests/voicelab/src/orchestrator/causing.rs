//! What a client's message causes: an error message, or a call to a worker.

use std::sync::Arc;

use super::session::{Over, Session};
use super::voice::{Trouble, Voice};
use super::workers::Worker;
use crate::clock::monotonic_ns;
use crate::message::{ErrorCode, FromServer};
use crate::truth::{Orchestration, Truth};

/// The client's message behind what is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Causing {
    /// Its guide's `message_type`.
    pub(crate) kind: &'static str,
    /// When it was received.
    pub(crate) at_ns: u64,
}

impl Causing {
    /// Records what the message causes at `worker`, which is about to be called, once the channel
    /// has written it.
    pub(crate) fn caused_call(self, connection: u64, truth: &Truth, worker: &Worker) {
        let handed_ns = monotonic_ns();
        let (truth, stamps) = (truth.clone(), Arc::clone(&worker.stamps));
        tokio::spawn(async move {
            let sent_ns = stamps.written_since(handed_ns).await;
            let handled = Orchestration::MessageHandled {
                connection,
                kind: self.kind.to_owned(),
                received_ns: self.at_ns,
            };
            truth.record_at(sent_ns, handled.into());
        });
    }
}

impl Session {
    /// Answers a message with an error.
    pub(super) async fn refuse(
        &mut self,
        code: ErrorCode,
        kind: &'static str,
        at_ns: u64,
    ) -> Result<(), Over> {
        let error_type = match code {
            ErrorCode::WorkerUnavailable => "worker_unavailable",
            _ => "internal",
        };
        let sent_ns = self.say_error(code, error_type, None).await?;
        self.caused(Causing { kind, at_ns }, sent_ns);
        Ok(())
    }

    /// Tells the client of trouble with a worker.
    pub(super) async fn report(&mut self, trouble: &Trouble) -> Result<u64, Over> {
        let code = match trouble.error_type() {
            "worker_unavailable" => ErrorCode::WorkerUnavailable,
            _ => ErrorCode::SynthesisFailed,
        };
        let status = Some(trouble.status());
        self.say_error(code, trouble.error_type(), status).await
    }

    pub(super) async fn say_error(
        &mut self,
        code: ErrorCode,
        error_type: &str,
        status: Option<i32>,
    ) -> Result<u64, Over> {
        let error = FromServer::Error {
            message: error_type.replace('_', " "),
            code,
        };
        let sent_ns = self.say(&error, None).await?;
        self.record_at(
            sent_ns,
            Orchestration::SessionError {
                connection: self.connection,
                error_type: error_type.to_owned(),
                code: Some(code.as_str().to_owned()),
                status,
            },
        );
        Ok(sent_ns)
    }

    pub(super) fn caused(&self, causing: Causing, at_ns: u64) {
        self.record_at(
            at_ns,
            Orchestration::MessageHandled {
                connection: self.connection,
                kind: causing.kind.to_owned(),
                received_ns: causing.at_ns,
            },
        );
    }

    pub(super) fn caused_call(&self, causing: Causing, voice: &Voice) {
        causing.caused_call(self.connection, &self.orchestrator.truth, &voice.worker);
    }
}

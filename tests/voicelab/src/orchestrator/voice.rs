//! A session at a worker: its calls, each recorded when it starts and when it ends.

use std::sync::Arc;

use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::Orchestrator;
use super::workers::Worker;
use crate::clock::monotonic_ns;
use crate::proto::tts_service_client::TtsServiceClient;
use crate::proto::{ControlCommand, ControlRequest, EndSessionRequest, StartSessionRequest};
use crate::truth::{Event, Orchestration};

/// Why a worker does not speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No worker can be reached.
    Unavailable,
    /// The worker has no such model.
    ModelNotFound,
    /// The call ended with this gRPC status, or was refused with status 0.
    Failed(i32),
}

impl Trouble {
    /// The guide's `error_type`.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::Unavailable => "worker_unavailable",
            Self::ModelNotFound => "model_not_found",
            Self::Failed(status) if *status == Code::DeadlineExceeded as i32 => "timeout",
            Self::Failed(status) if *status == Code::Unavailable as i32 => "worker_unavailable",
            Self::Failed(_) => "internal",
        }
    }

    /// The gRPC status behind it.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Unavailable => Code::Unavailable.into(),
            Self::ModelNotFound => Code::Ok.into(),
            Self::Failed(status) => *status,
        }
    }
}

/// A session that a worker has taken.
pub(crate) struct Voice {
    pub(crate) worker: Arc<Worker>,
    /// Its name at the worker.
    pub(crate) session: String,
    client: TtsServiceClient<Channel>,
    orchestrator: Arc<Orchestrator>,
}

impl Voice {
    /// Starts session `session` of connection `connection` at a worker; `asking` is called when
    /// the worker is about to be asked.
    pub(crate) async fn start(
        orchestrator: &Arc<Orchestrator>,
        connection: u64,
        session: &str,
        model: &str,
        mut asking: impl FnMut(&Worker),
    ) -> Result<Self, Trouble> {
        let worker = orchestrator.choose_worker(session).await;
        let worker = worker.ok_or(Trouble::Unavailable)?;
        let client = worker.client().await.ok_or(Trouble::Unavailable)?;
        let shared = orchestrator.settings.shared_session.clone();
        let voice = Self {
            worker,
            session: shared.clone().unwrap_or_else(|| session.to_owned()),
            client,
            orchestrator: Arc::clone(orchestrator),
        };
        let known = Orchestration::SessionModel {
            connection,
            model: model.to_owned(),
        };
        if shared.is_some() {
            // Whoever comes second waits for the first, and fails with it.
            let mut users = orchestrator.shared_users.lock().await;
            orchestrator.truth.record(known.into());
            if *users == 0 {
                asking(&voice.worker);
                voice.ask_start(model).await?;
            }
            *users += 1;
        } else {
            orchestrator.truth.record(known.into());
            asking(&voice.worker);
            voice.ask_start(model).await?;
        }
        Ok(voice)
    }

    async fn ask_start(&self, model: &str) -> Result<(), Trouble> {
        let request = StartSessionRequest {
            session_id: self.session.clone(),
            model_id: model.to_owned(),
            options: [("voice".to_owned(), "default".to_owned())].into(),
        };
        let call = self.started("StartSession");
        let answer = self.client().start_session(request).await;
        self.ended(call, "StartSession", &answer, |answer| answer.success);
        match answer.map(Response::into_inner) {
            Ok(answer) if answer.success => Ok(()),
            Ok(answer) if answer.message.contains("model") => Err(Trouble::ModelNotFound),
            Ok(_) => Err(Trouble::Failed(Code::Ok.into())),
            Err(status) if status.code() == Code::NotFound => Err(Trouble::ModelNotFound),
            Err(status) if status.code() == Code::Unavailable => Err(Trouble::Unavailable),
            Err(status) => Err(Trouble::Failed(status.code().into())),
        }
    }

    /// Sends a command; gives when its answer was received, if one was.
    pub(crate) async fn control(&self, command: ControlCommand) -> Option<u64> {
        let request = ControlRequest {
            session_id: self.session.clone(),
            command: command.into(),
        };
        let call = self.started("Control");
        self.orchestrator.truth.record(Event::ControlSent {
            call,
            session: self.session.clone(),
            command: command.as_str_name().to_owned(),
            after_sequence: 0,
        });
        let answer = self.client().control(request).await;
        self.ended(call, "Control", &answer, |answer| answer.success);
        answer.is_ok().then(|| self.worker.stamps.read_ns())
    }

    /// Ends the session, unless others share it.
    pub(crate) async fn end(self) {
        if self.orchestrator.settings.shared_session.is_some() {
            let mut users = self.orchestrator.shared_users.lock().await;
            *users = users.saturating_sub(1);
            if *users > 0 {
                return;
            }
        }
        let request = EndSessionRequest {
            session_id: self.session.clone(),
        };
        let call = self.started("EndSession");
        let answer = self.client().end_session(request).await;
        self.ended(call, "EndSession", &answer, |answer| answer.success);
    }

    /// The stub.
    pub(crate) fn client(&self) -> TtsServiceClient<Channel> {
        self.client.clone()
    }

    /// Numbers a call and records its start.
    pub(crate) fn started(&self, method: &str) -> u64 {
        let call = self.orchestrator.next_call();
        self.orchestrator.truth.record(Event::CallStart {
            call,
            method: method.to_owned(),
            session: self.session.clone(),
        });
        call
    }

    fn ended<T>(
        &self,
        call: u64,
        method: &str,
        answer: &Result<Response<T>, Status>,
        success: impl Fn(&T) -> bool,
    ) {
        let (status, success) = match answer {
            Ok(answer) => (Code::Ok, success(answer.get_ref())),
            Err(status) => (status.code(), false),
        };
        let at_ns = if answer.is_ok() {
            self.worker.stamps.read_ns()
        } else {
            monotonic_ns()
        };
        self.orchestrator.truth.record_at(
            at_ns,
            Event::CallEnd {
                call,
                method: method.to_owned(),
                session: self.session.clone(),
                status: status.into(),
                success,
            },
        );
    }
}

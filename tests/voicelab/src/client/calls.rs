//! Calls of one session, each recorded when it starts and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::proto::tts_service_client::TtsServiceClient;
use crate::proto::{
    ControlCommand, ControlRequest, EndSessionRequest, GetCapabilitiesRequest, ListModelsRequest,
    LoadModelRequest, StartSessionRequest, UnloadModelRequest,
};
use crate::truth::{Event, Truth};

/// The calls of one session.
pub(crate) struct Calls {
    pub(crate) session: String,
    pub(crate) truth: Truth,
    client: TtsServiceClient<Channel>,
    counter: Arc<AtomicU64>,
}

impl Calls {
    /// Calls for `session` over `channel`; `counter` numbers all calls of the client.
    pub(crate) fn new(
        channel: Channel,
        session: String,
        truth: Truth,
        counter: Arc<AtomicU64>,
    ) -> Self {
        Self {
            session,
            truth,
            client: TtsServiceClient::new(channel),
            counter,
        }
    }

    /// The connection's stub, for the streaming call.
    pub(crate) fn client(&self) -> TtsServiceClient<Channel> {
        self.client.clone()
    }

    /// Begins the session; gives whether the worker took it.
    pub(crate) async fn start_session(&self, model_id: &str) -> bool {
        let request = StartSessionRequest {
            session_id: self.session.clone(),
            model_id: model_id.to_owned(),
            options: [("voice".to_owned(), "default".to_owned())].into(),
        };
        let mut client = self.client();
        let call = self.started("StartSession");
        let answer = client.start_session(request).await;
        self.ended(call, "StartSession", &answer, |answer| answer.success)
    }

    /// Ends the session.
    pub(crate) async fn end_session(&self) {
        let request = EndSessionRequest {
            session_id: self.session.clone(),
        };
        let mut client = self.client();
        let call = self.started("EndSession");
        let answer = client.end_session(request).await;
        self.ended(call, "EndSession", &answer, |answer| answer.success);
    }

    /// Sends a control command after frame `after_sequence` was received.
    pub(crate) async fn control(&self, command: ControlCommand, after_sequence: i64) {
        let request = ControlRequest {
            session_id: self.session.clone(),
            command: command.into(),
        };
        let mut client = self.client();
        let call = self.started("Control");
        self.truth.record(Event::ControlSent {
            call,
            session: self.session.clone(),
            command: command.as_str_name().to_owned(),
            after_sequence,
        });
        let answer = client.control(request).await;
        self.ended(call, "Control", &answer, |answer| answer.success);
    }

    /// Lists the models, loads and unloads the last one, and asks for the capabilities.
    pub(crate) async fn inspect_models(&self) {
        let mut client = self.client();
        let call = self.started("ListModels");
        let listed = client.list_models(ListModelsRequest {}).await;
        self.ended(call, "ListModels", &listed, |_| true);
        let models = listed
            .map(|answer| answer.into_inner().models)
            .unwrap_or_default();
        let model_id = models.into_iter().next_back().map(|model| model.model_id);

        if let Some(model_id) = model_id {
            let request = LoadModelRequest {
                model_id: model_id.clone(),
                preload_only: true,
            };
            let call = self.started("LoadModel");
            let answer = client.load_model(request).await;
            self.ended(call, "LoadModel", &answer, |answer| answer.success);

            let call = self.started("UnloadModel");
            let answer = client.unload_model(UnloadModelRequest { model_id }).await;
            self.ended(call, "UnloadModel", &answer, |answer| answer.success);
        }
        let call = self.started("GetCapabilities");
        let answer = client.get_capabilities(GetCapabilitiesRequest {}).await;
        self.ended(call, "GetCapabilities", &answer, |_| true);
    }

    /// Numbers a call and records its start.
    pub(crate) fn started(&self, method: &str) -> u64 {
        let call = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let (method, session) = (method.to_owned(), self.session.clone());
        self.truth.record(Event::CallStart {
            call,
            method,
            session,
        });
        call
    }

    /// Records a call's end.
    pub(crate) fn finished(&self, call: u64, method: &str, status: tonic::Code, success: bool) {
        self.truth.record(Event::CallEnd {
            call,
            method: method.to_owned(),
            session: self.session.clone(),
            status: status.into(),
            success,
        });
    }

    fn ended<T>(
        &self,
        call: u64,
        method: &str,
        answer: &Result<Response<T>, Status>,
        success: impl Fn(&T) -> bool,
    ) -> bool {
        let (status, success) = match answer {
            Ok(answer) => (tonic::Code::Ok, success(answer.get_ref())),
            Err(status) => (status.code(), false),
        };
        self.finished(call, method, status, success);
        success
    }
}

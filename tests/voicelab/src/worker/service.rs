//! The `tts` service: the eight methods of `TTSService`.

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, peer};
use super::engine::{Engine, whole_ms};
use super::frame_stream::FrameStream;
use super::synthesis::Synthesis;
use crate::clock::{monotonic_ns, unix_ms};
use crate::proto::tts_service_server::TtsService;
use crate::proto::{
    Capabilities, ControlCommand, ControlRequest, ControlResponse, EndSessionRequest,
    EndSessionResponse, GetCapabilitiesRequest, GetCapabilitiesResponse, ListModelsRequest,
    ListModelsResponse, LoadModelRequest, LoadModelResponse, ModelInfo, StartSessionRequest,
    StartSessionResponse, TextChunk, UnloadModelRequest, UnloadModelResponse,
};
use crate::truth::Event;

/// Frames between synthesis and the transport, per stream: one, so that a command that takes
/// effect is not followed by frames that were already queued.
const WAITING_FRAMES: usize = 1;

/// What the model calls its family in `ListModels`.
const FAMILY: &str = "tone";

/// Languages every model speaks.
const LANGUAGES: [&str; 2] = ["en", "zh"];

/// The service of one worker.
pub(crate) struct Service {
    engine: Arc<Engine>,
    max_sessions: i32,
}

impl Service {
    /// Serves `engine`.
    pub(crate) fn new(engine: Arc<Engine>, max_sessions: i32) -> Self {
        Self {
            engine,
            max_sessions,
        }
    }

    fn received<T>(
        &self,
        method: &str,
        request: &Request<T>,
        session: Option<&str>,
        model: Option<&str>,
    ) -> Call<'_> {
        Call::received(&self.engine, method, request, session, model)
    }

    async fn start(&self, session: &str, model: &str, peer: &str) -> Result<(), String> {
        self.engine
            .acquire(model)
            .await
            .map_err(|error| error.to_string())?;
        if let Err(error) = self.engine.sessions.start(session, model) {
            self.engine.models().release(model, monotonic_ns());
            return Err(error.to_string());
        }
        self.engine.truth.record(Event::SessionStart {
            session: session.to_owned(),
            model: model.to_owned(),
            peer: peer.to_owned(),
        });
        Ok(())
    }

    async fn obey(&self, session: &str, command: ControlCommand) -> Result<(), String> {
        let sessions = &self.engine.sessions;
        let known = match command {
            ControlCommand::Pause => sessions.pause(session, true),
            ControlCommand::Resume => sessions.pause(session, false),
            ControlCommand::Stop => sessions.stop(session),
            ControlCommand::Reload => match sessions.model(session) {
                None => false,
                Some(model) => {
                    self.engine
                        .reload(&model)
                        .await
                        .map_err(|error| error.to_string())?;
                    true
                }
            },
        };
        if known {
            Ok(())
        } else {
            Err("unknown session".to_owned())
        }
    }

    fn unknown_session(&self, stream: u64, session: Option<String>) -> Status {
        let reason = "unknown_session".to_owned();
        self.engine.truth.record(Event::StreamEnd {
            stream,
            session,
            reason,
            frames: 0,
        });
        Status::not_found("unknown session")
    }
}

#[tonic::async_trait]
impl TtsService for Service {
    type SynthesizeStream = FrameStream;

    async fn start_session(
        &self,
        request: Request<StartSessionRequest>,
    ) -> Result<Response<StartSessionResponse>, Status> {
        let (session, asked) = (&request.get_ref().session_id, &request.get_ref().model_id);
        let model = if asked.is_empty() {
            self.engine.models().default_model().to_owned()
        } else {
            asked.clone()
        };
        let call = self.received("StartSession", &request, Some(session), Some(&model));
        let (success, message) = call.answer(self.start(session, &model, &call.peer).await);
        Ok(Response::new(StartSessionResponse { success, message }))
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        let session = &request.get_ref().session_id;
        let call = self.received("EndSession", &request, Some(session), None);
        let ended = self.engine.sessions.end(session).map(|model| {
            self.engine.models().release(&model, monotonic_ns());
            self.engine.truth.record(Event::SessionEnd {
                session: session.clone(),
            });
        });
        let (success, _) = call.answer(ended.ok_or_else(String::new));
        Ok(Response::new(EndSessionResponse { success }))
    }

    async fn synthesize(
        &self,
        request: Request<Streaming<TextChunk>>,
    ) -> Result<Response<FrameStream>, Status> {
        let stream = self.engine.next_stream();
        let peer = peer(&request);
        self.engine.truth.record(Event::Request {
            method: "Synthesize".to_owned(),
            peer: peer.clone(),
            stream: Some(stream),
            session: None,
            model: None,
        });
        let mut text = request.into_inner();
        let Some(first) = text.message().await.unwrap_or(None) else {
            return Err(self.unknown_session(stream, None));
        };
        let session = first.session_id.clone();
        let Some((model, playback)) = self.engine.sessions.join(&session) else {
            return Err(self.unknown_session(stream, Some(session)));
        };
        self.engine.truth.record(Event::StreamStart {
            stream,
            session: session.clone(),
            model,
            peer,
        });
        let (output, outputs) = mpsc::channel(WAITING_FRAMES);
        let frames = FrameStream::new(outputs, self.engine.truth.clone(), stream, session.clone());
        let synthesis = Synthesis {
            stream,
            session,
            engine: Arc::clone(&self.engine),
        };
        tokio::spawn(synthesis.run(first, text, playback, output));
        Ok(Response::new(frames))
    }

    async fn control(
        &self,
        request: Request<ControlRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let session = request.get_ref().session_id.clone();
        let call = self.received("Control", &request, Some(&session), None);
        let command = ControlCommand::try_from(request.get_ref().command)
            .map_err(|_| Status::invalid_argument("unknown command"))?;
        let control = self.engine.next_control();
        let command_name = command.as_str_name().to_owned();
        call.record_received(Event::ControlReceived {
            control,
            session: session.clone(),
            command: command_name.clone(),
        });
        let (success, message) = call.answer(self.obey(&session, command).await);
        call.record_answered(Event::ControlAnswered {
            control,
            session,
            command: command_name,
            success,
        });
        Ok(Response::new(ControlResponse {
            success,
            message,
            timestamp_ms: unix_ms(),
        }))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let call = self.received("ListModels", &request, None, None);
        let models = {
            let models = self.engine.models();
            let describe = |model: &String| ModelInfo {
                model_id: model.clone(),
                family: FAMILY.to_owned(),
                is_loaded: models.is_resident(model),
                languages: LANGUAGES.map(str::to_owned).to_vec(),
                metadata: [("sample_rate".to_owned(), "48000".to_owned())].into(),
            };
            models.known().iter().map(describe).collect()
        };
        call.answer(Ok(()));
        Ok(Response::new(ListModelsResponse { models }))
    }

    async fn load_model(
        &self,
        request: Request<LoadModelRequest>,
    ) -> Result<Response<LoadModelResponse>, Status> {
        let model = &request.get_ref().model_id;
        let call = self.received("LoadModel", &request, None, Some(model));
        let loaded = self.engine.load(model).await;
        let load_duration_ms = loaded.map_or(0, whole_ms);
        let (success, message) = call.answer(loaded.map(|_| ()).map_err(|error| error.to_string()));
        Ok(Response::new(LoadModelResponse {
            success,
            message,
            load_duration_ms,
        }))
    }

    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let model = &request.get_ref().model_id;
        let call = self.received("UnloadModel", &request, None, Some(model));
        let unloaded = self.engine.unload(model).await;
        let (success, message) = call.answer(unloaded.map_err(|error| error.to_string()));
        Ok(Response::new(UnloadModelResponse { success, message }))
    }

    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        let call = self.received("GetCapabilities", &request, None, None);
        let capabilities = Capabilities {
            streaming: true,
            cpu_ok: true,
            languages: LANGUAGES.map(str::to_owned).to_vec(),
            max_concurrent_sessions: self.max_sessions,
            ..Capabilities::default()
        };
        let resident_models = self.engine.models().resident().map(str::to_owned).collect();
        let sessions = self.engine.sessions.count() as f64;
        let metrics = [("active_sessions".to_owned(), sessions)].into();
        call.answer(Ok(()));
        Ok(Response::new(GetCapabilitiesResponse {
            capabilities: Some(capabilities),
            resident_models,
            metrics,
        }))
    }
}

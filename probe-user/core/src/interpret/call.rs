//! One open call: what its response or its later messages need of what came before.

use super::event::{Failure, What};
use super::{Command, Id, field};
use crate::flow::{CallEnd, Message, Origin};
use crate::profile::{FieldRole, MethodRole};
use crate::record::{KtimeNs, Side};

/// `grpc-status` of success (gRPC over HTTP/2, "Status").
const STATUS_OK: u32 = 0;

/// An open call of a method of the profile.
#[derive(Debug)]
pub(super) struct Call {
    method: MethodRole,
    /// Which end of the connection sees it: what was asked and refused is told at the client's.
    side: Side,
    session: Option<Id>,
    model: Option<Id>,
    command: Command,
    /// When the request arrived in full.
    received: Option<KtimeNs>,
    /// A request was read, or known to be lost.
    requested: bool,
    /// A response was read, or known to be lost.
    responded: bool,
}

impl Call {
    pub(super) fn new(method: MethodRole, side: Side) -> Self {
        Self {
            method,
            side,
            session: None,
            model: None,
            command: Command::Unknown,
            received: None,
            requested: false,
            responded: false,
        }
    }

    /// Whether it streams.
    pub(super) fn is_stream(&self) -> bool {
        self.method == MethodRole::Synthesize
    }

    /// What the opening of the call means.
    pub(super) fn opened(&self) -> Option<What> {
        self.is_stream().then_some(What::StreamOpened)
    }

    /// What a message means.
    pub(super) fn handle_message(
        &mut self,
        at: KtimeNs,
        origin: Origin,
        message: &Message,
        commands: &[(i64, Command)],
        emit: &mut dyn FnMut(What),
    ) {
        if self.method == MethodRole::Synthesize {
            self.handle_stream_message(origin, message, emit);
            return;
        }
        match origin {
            // A unary call has one request and one response: others are a broken peer's.
            Origin::Client if !self.requested => {
                self.handle_request(at, message, commands, emit);
            }
            Origin::Server if !self.responded => self.handle_response(message, emit),
            Origin::Client | Origin::Server => {}
        }
    }

    /// What lost messages mean.
    pub(super) fn handle_lost(&mut self, origin: Origin, emit: &mut dyn FnMut(What)) {
        match (self.method, origin) {
            (MethodRole::Synthesize, Origin::Client) => emit(What::TextLost),
            (MethodRole::Synthesize, Origin::Server) => emit(What::FramesLost),
            (MethodRole::Control, Origin::Client) if !self.requested => {
                self.requested = true;
                emit(What::ControlReceived {
                    session: None,
                    command: Command::Unknown,
                });
            }
            (_, Origin::Client) => self.requested = true,
            (_, Origin::Server) if !self.responded => self.unreadable_response(emit),
            (_, Origin::Server) => {}
        }
    }

    /// What it means that the client will send no more messages.
    pub(super) fn handle_requests_ended(&self, emit: &mut dyn FnMut(What)) {
        if self.method == MethodRole::Synthesize && self.side == Side::Client {
            emit(What::TextEnded);
        }
    }

    /// What the end of the call means.
    pub(super) fn handle_end(&mut self, end: CallEnd, emit: &mut dyn FnMut(What)) {
        if self.method == MethodRole::Synthesize {
            emit(What::StreamEnded(end));
            return;
        }
        if !self.responded {
            self.handle_unanswered(end, emit);
        }
        // A request that was lost was not told.
        if self.needs_model() && self.received.is_some() {
            emit(What::ModelRequestEnded);
        }
    }

    /// Whether the process has to have a model for it: the worker, not who asks it.
    fn needs_model(&self) -> bool {
        self.side == Side::Server
            && matches!(
                self.method,
                MethodRole::StartSession | MethodRole::LoadModel
            )
    }

    fn handle_unanswered(&mut self, end: CallEnd, emit: &mut dyn FnMut(What)) {
        match end {
            // Refused without a message: that is the answer.
            CallEnd::Status(Some(status)) if status != STATUS_OK => {
                if self.method == MethodRole::Control {
                    emit(self.control_answered(Some(false)));
                }
                self.fail(Failure::Ended(end), emit);
            }
            // Nothing was carried out that anybody was told of.
            CallEnd::Reset { .. } | CallEnd::Refused | CallEnd::ConnectionClosed => {
                self.fail(Failure::Ended(end), emit);
            }
            // The response went unseen: it may have said anything.
            CallEnd::Status(_) | CallEnd::Unknown => self.unreadable_response(emit),
        }
    }

    fn handle_stream_message(
        &mut self,
        origin: Origin,
        message: &Message,
        emit: &mut dyn FnMut(What),
    ) {
        if self.session.is_none() {
            self.session = field::id(message, FieldRole::SessionId);
            if let Some(session) = &self.session {
                emit(What::StreamSession(session.clone()));
            }
        }
        emit(match origin {
            Origin::Client => What::Text {
                is_final: field::boolean(message, FieldRole::Final),
                length: field::length(message, FieldRole::Text),
            },
            Origin::Server => What::Frame(field::audio_frame(message)),
        });
    }

    fn handle_request(
        &mut self,
        at: KtimeNs,
        message: &Message,
        commands: &[(i64, Command)],
        emit: &mut dyn FnMut(What),
    ) {
        self.requested = true;
        self.received = Some(at);
        self.session = field::id(message, FieldRole::SessionId);
        self.model = field::id(message, FieldRole::ModelId);
        if self.needs_model() {
            emit(What::ModelRequested {
                model: self.model.clone(),
            });
        }
        if self.side == Side::Client {
            self.tell_asked(emit);
        }
        if self.method == MethodRole::Control {
            self.command = field::command(message, commands);
            emit(What::ControlReceived {
                session: self.session.clone(),
                command: self.command,
            });
        }
    }

    fn handle_response(&mut self, message: &Message, emit: &mut dyn FnMut(What)) {
        self.responded = true;
        let success = field::boolean(message, FieldRole::Success);
        let what = match (self.method, success) {
            (MethodRole::Control, _) => Some(self.control_answered(success)),
            (MethodRole::ListModels | MethodRole::GetCapabilities, _) => {
                Some(listed(field::loaded_models(message)))
            }
            (MethodRole::Synthesize, _) | (_, Some(false)) => None,
            (MethodRole::StartSession, Some(true)) => Some(What::SessionStarted {
                session: self.session.clone(),
                model: self.model.clone(),
            }),
            (MethodRole::StartSession, None) => Some(What::SessionMaybeStarted),
            (MethodRole::EndSession, Some(true)) => Some(What::SessionEnded {
                session: self.session.clone(),
            }),
            (MethodRole::EndSession, None) => Some(What::SessionMaybeEnded),
            (MethodRole::LoadModel, Some(true)) => Some(What::ModelLoaded {
                model: self.model.clone(),
                received: self.received,
                duration: field::load_duration(message),
            }),
            (MethodRole::UnloadModel, Some(true)) => Some(What::ModelUnloaded {
                model: self.model.clone(),
            }),
            (MethodRole::LoadModel | MethodRole::UnloadModel, None) => Some(What::ModelsUnreadable),
        };
        if let Some(what) = what {
            emit(what);
        }
        if success == Some(false) {
            self.fail(Failure::Refused, emit);
        }
    }

    fn tell_asked(&self, emit: &mut dyn FnMut(What)) {
        match self.method {
            MethodRole::StartSession => emit(What::SessionAsked {
                session: self.session.clone(),
                model: self.model.clone(),
            }),
            MethodRole::EndSession => emit(What::SessionEndAsked {
                session: self.session.clone(),
            }),
            _ => {}
        }
    }

    fn fail(&self, failure: Failure, emit: &mut dyn FnMut(What)) {
        let of_session = matches!(
            self.method,
            MethodRole::StartSession | MethodRole::EndSession | MethodRole::Control
        );
        if self.side == Side::Client && of_session {
            emit(What::CallFailed {
                method: self.method,
                session: self.session.clone(),
                model: self.model.clone(),
                failure,
            });
        }
    }

    fn unreadable_response(&mut self, emit: &mut dyn FnMut(What)) {
        self.responded = true;
        match self.method {
            MethodRole::Synthesize => {}
            MethodRole::StartSession => emit(What::SessionMaybeStarted),
            MethodRole::EndSession => emit(What::SessionMaybeEnded),
            MethodRole::Control => {
                self.received = None;
                emit(self.control_answered(None));
            }
            MethodRole::ListModels
            | MethodRole::GetCapabilities
            | MethodRole::LoadModel
            | MethodRole::UnloadModel => emit(What::ModelsUnreadable),
        }
    }

    fn control_answered(&self, success: Option<bool>) -> What {
        What::ControlAnswered {
            session: self.session.clone(),
            command: self.command,
            received: self.received,
            success,
        }
    }
}

fn listed(resident: Option<Vec<Id>>) -> What {
    resident.map_or(What::ModelsUnreadable, |resident| What::ModelsListed {
        resident,
    })
}

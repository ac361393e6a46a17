//! What a WebSocket connection said, in the profile's terms.

use super::{ClientEvent, ClientFields, ClientWhat, Command, Id, MessageKind};
use crate::flow::Origin;
use crate::profile::{MessageRole, WebSocketProfile};
use crate::record::{
    Readability, Side, SocketMessage, SocketMessageForm, Tgid, WebSocketEvent, WebSocketWhat,
};

/// Interprets one event of a connection of `process`.
pub fn client_event(
    process: Tgid,
    profile: &WebSocketProfile,
    event: WebSocketEvent,
) -> ClientEvent {
    let what = match event.what {
        WebSocketWhat::Upgraded { requested } => ClientWhat::Upgraded { requested },
        WebSocketWhat::Message { from, message } => ClientWhat::Message {
            origin: origin(from),
            kind: kind(profile, from, &message),
            fields: fields(profile, &message),
        },
        WebSocketWhat::MessagesLost { from } => ClientWhat::MessagesLost {
            origin: origin(from),
        },
        WebSocketWhat::Closing {
            from,
            code,
            keep_alive_timeout,
        } => ClientWhat::Closing {
            by: origin(from),
            code,
            keep_alive_timeout,
        },
        WebSocketWhat::Ended(end) => ClientWhat::Ended(end),
        WebSocketWhat::Traced(context) => ClientWhat::Traced(context),
    };
    ClientEvent {
        process,
        side: event.side,
        connection: event.connection,
        at: event.at,
        what,
    }
}

fn origin(from: Side) -> Origin {
    match from {
        Side::Client => Origin::Client,
        Side::Server => Origin::Server,
    }
}

fn kind(profile: &WebSocketProfile, from: Side, message: &SocketMessage) -> MessageKind {
    match (message.form, &message.kind) {
        (SocketMessageForm::Unknown, _) => MessageKind::Unknown,
        (SocketMessageForm::Binary, _) => {
            if from == Side::Server && profile.binary_is_audio() {
                MessageKind::AudioFrame
            } else {
                MessageKind::Other
            }
        }
        (SocketMessageForm::Text, Some(kind)) => {
            let role = match from {
                Side::Client => profile.client_message(kind),
                Side::Server => profile.server_message(kind),
            };
            role.map_or(MessageKind::Other, of_role)
        }
        (SocketMessageForm::Text, None) => match message.readability {
            Readability::Whole => MessageKind::Other,
            Readability::Partly => MessageKind::Unknown,
        },
    }
}

fn of_role(role: MessageRole) -> MessageKind {
    match role {
        MessageRole::SessionStarted => MessageKind::SessionStarted,
        MessageRole::Audio => MessageKind::AudioFrame,
        MessageRole::SessionEnded => MessageKind::SessionEnded,
        MessageRole::Error => MessageKind::Error,
        MessageRole::SessionStart => MessageKind::SessionStart,
        MessageRole::Text => MessageKind::TextChunk,
        MessageRole::Control => MessageKind::Control,
    }
}

fn fields(profile: &WebSocketProfile, message: &SocketMessage) -> ClientFields {
    let id = |text: &Option<String>| text.as_deref().and_then(Id::new);
    let command = |said: &String| Command::from_name(profile.command(said));
    ClientFields {
        session: id(&message.session),
        model: id(&message.model),
        is_final: message.is_final,
        command: message.command.as_ref().map(command),
        sequence: message.sequence,
        duration_ms: message.duration_ms,
        code: id(&message.code),
        reason: id(&message.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::record::{ConnectionId, KtimeNs};

    fn interpreted(from: Side, message: SocketMessage) -> (MessageKind, ClientFields) {
        let event = WebSocketEvent {
            connection: ConnectionId(1),
            side: Side::Server,
            at: KtimeNs(5),
            what: WebSocketWhat::Message { from, message },
        };
        let profile = Profile::builtin();
        let event = client_event(Tgid(7), profile.websocket(), event);
        assert_eq!((event.process, event.at), (Tgid(7), KtimeNs(5)));
        let ClientWhat::Message { kind, fields, .. } = event.what else {
            panic!("no message: {event:?}");
        };
        (kind, fields)
    }

    fn text(kind: Option<&str>, readability: Readability) -> SocketMessage {
        SocketMessage {
            form: SocketMessageForm::Text,
            readability,
            kind: kind.map(str::to_owned),
            ..SocketMessage::default()
        }
    }

    #[test]
    fn type_means_what_its_sender_may_say() {
        let kind = |from, kind| interpreted(from, text(Some(kind), Readability::Whole)).0;
        assert_eq!(kind(Side::Server, "audio"), MessageKind::AudioFrame);
        assert_eq!(kind(Side::Client, "audio"), MessageKind::Other);
        assert_eq!(kind(Side::Client, "control"), MessageKind::Control);
        assert_eq!(
            kind(Side::Server, "session_start"),
            MessageKind::SessionStarted
        );
    }

    #[test]
    fn message_without_type_is_unknown_unless_all_of_it_was_read() {
        let kind = |readability| interpreted(Side::Client, text(None, readability)).0;
        assert_eq!(kind(Readability::Whole), MessageKind::Other);
        assert_eq!(kind(Readability::Partly), MessageKind::Unknown);
        let unseen = SocketMessage::default();
        assert_eq!(interpreted(Side::Client, unseen).0, MessageKind::Unknown);
    }

    #[test]
    fn members_become_fields() {
        let message = SocketMessage {
            command: Some("STOP".into()),
            session: Some("ws-1".into()),
            code: Some(String::new()),
            sequence: Some(3),
            ..text(Some("control"), Readability::Whole)
        };
        let (kind, fields) = interpreted(Side::Client, message);
        assert_eq!(kind, MessageKind::Control);
        let expected = ClientFields {
            command: Some(Command::Stop),
            session: Id::new("ws-1"),
            sequence: Some(3),
            ..ClientFields::default()
        };
        assert_eq!(fields, expected);
    }
}

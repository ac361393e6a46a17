//! One WebSocket connection (RFC 6455), with the times at which its messages crossed the socket.
//!
//! With permessage-deflate (RFC 7692, context takeover in both directions) it is `yawc`; without,
//! it is `tungstenite`, which has no extensions: the probe meets both libraries.

mod handshake;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use yawc::{Frame, OpCode, WebSocketError};

pub(crate) use self::handshake::{Accepted, accept, connect};
use crate::stamped::{Stamped, Stamps};

/// Largest message taken, in bytes: 500 times an audio message.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(Bytes),
    Binary(Bytes),
    Ping,
    Pong,
    /// A Close frame and its code; the library has answered it.
    Close(Option<u16>),
    /// The end of the connection.
    End(End),
}

/// How a connection ended without a Close frame of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer sent FIN.
    Eof,
    /// The peer sent RST.
    Reset,
    /// What came is no WebSocket.
    Protocol,
}

/// What goes out.
#[derive(Clone, Debug)]
pub(crate) enum Outgoing {
    Text(String),
    Binary(Bytes),
    Ping,
    Close(u16, &'static str),
}

/// A connection after its handshake.
pub(crate) struct Socket {
    library: Library,
    pub(crate) stamps: Arc<Stamps>,
}

enum Library {
    Deflating(Box<yawc::HttpWebSocket>),
    DeflatingClient(Box<yawc::WebSocket<Stamped>>),
    Plain(Box<WebSocketStream<Stamped>>),
}

impl Socket {
    /// Whether it is the library that deflates.
    pub(crate) fn deflates(&self) -> bool {
        !matches!(self.library, Library::Plain(_))
    }

    /// Waits for the next thing to come; it was received at [`Stamps::read_ns`].
    pub(crate) async fn receive(&mut self) -> Received {
        match &mut self.library {
            Library::Deflating(socket) => of_yawc(socket.next_frame().await),
            Library::DeflatingClient(socket) => of_yawc(socket.next_frame().await),
            Library::Plain(socket) => of_tungstenite(socket.next().await),
        }
    }

    /// Sends, and gives when the system call that carried the last byte was entered.
    pub(crate) async fn send(&mut self, outgoing: Outgoing) -> io::Result<u64> {
        match &mut self.library {
            Library::Deflating(socket) => socket.send(frame(outgoing)).await.map_err(broken)?,
            Library::DeflatingClient(socket) => {
                socket.send(frame(outgoing)).await.map_err(broken)?;
            }
            Library::Plain(socket) => {
                let sent = socket.send(message(outgoing)).await;
                sent.map_err(|error| match error {
                    Error::Io(error) => error,
                    error => io::Error::other(error),
                })?;
            }
        }
        Ok(self.stamps.written_ns())
    }

    /// Sends FIN without a Close frame.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        self.stamps.shut_down()
    }
}

fn broken(error: WebSocketError) -> io::Error {
    match error {
        WebSocketError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

fn frame(outgoing: Outgoing) -> Frame {
    match outgoing {
        Outgoing::Text(text) => Frame::text(text),
        Outgoing::Binary(bytes) => Frame::binary(bytes),
        Outgoing::Ping => Frame::ping(Bytes::new()),
        Outgoing::Close(code, reason) => Frame::close(code.into(), reason),
    }
}

fn message(outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Text(text) => Message::Text(text.into()),
        Outgoing::Binary(bytes) => Message::Binary(bytes),
        Outgoing::Ping => Message::Ping(Bytes::new()),
        Outgoing::Close(code, reason) => Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })),
    }
}

fn of_yawc(read: Result<Frame, WebSocketError>) -> Received {
    match read {
        Ok(frame) => match frame.opcode() {
            OpCode::Text => Received::Text(frame.into_payload()),
            OpCode::Binary | OpCode::Continuation => Received::Binary(frame.into_payload()),
            OpCode::Ping => Received::Ping,
            OpCode::Pong => Received::Pong,
            OpCode::Close => Received::Close(frame.close_code().map(u16::from)),
        },
        Err(WebSocketError::IoError(error)) => Received::End(of_io(&error)),
        Err(WebSocketError::ConnectionClosed) => Received::End(End::Eof),
        Err(_) => Received::End(End::Protocol),
    }
}

fn of_tungstenite(read: Option<Result<Message, Error>>) -> Received {
    match read {
        Some(Ok(Message::Text(text))) => Received::Text(text.into()),
        Some(Ok(Message::Binary(bytes))) => Received::Binary(bytes),
        Some(Ok(Message::Ping(_))) => Received::Ping,
        Some(Ok(Message::Pong(_))) => Received::Pong,
        Some(Ok(Message::Close(close))) => {
            Received::Close(close.map(|close| u16::from(close.code)))
        }
        Some(Err(Error::Io(error))) => Received::End(of_io(&error)),
        None
        | Some(Err(
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
        )) => Received::End(End::Eof),
        // Raw frames are never given by a read.
        Some(Ok(Message::Frame(_)) | Err(_)) => Received::End(End::Protocol),
    }
}

fn of_io(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => End::Protocol,
        _ => End::Eof,
    }
}

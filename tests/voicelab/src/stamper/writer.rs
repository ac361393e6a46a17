//! The writing side of one connection: whole frames, one system call each.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendFlags};

use super::frame::{HEADER_BYTES, PREFIX_BYTES};
use super::window::Windows;
use crate::clock::monotonic_ns;

/// The system call that carries a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SystemCall {
    /// `write`, as uvloop and redis-server do
    Write,
    /// `writev` of two parts, as tonic does
    Writev,
    /// `sendto`, as asyncio does
    Sendto,
    /// `sendmsg` of two parts, as grpcio does
    Sendmsg,
}

/// When a system call was about to start and when it had returned, in monotonic nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) before_ns: u64,
    pub(crate) after_ns: u64,
}

/// Writes frames to one client.
pub(crate) struct Writer {
    socket: TcpStream,
    system_call: SystemCall,
    /// Held during a write, so that frames of different streams do not mix.
    writing: Mutex<()>,
    windows: Mutex<Windows>,
    opened: Condvar,
}

impl Writer {
    /// Writes to `socket`.
    pub(crate) fn new(socket: TcpStream, system_call: SystemCall) -> Self {
        Self {
            socket,
            system_call,
            writing: Mutex::default(),
            windows: Mutex::new(Windows::new()),
            opened: Condvar::new(),
        }
    }

    /// Changes the flow-control windows, and wakes whoever waits for room.
    pub(crate) fn update_windows(&self, update: impl FnOnce(&mut Windows)) {
        update(&mut self.windows.lock().unwrap_or_else(PoisonError::into_inner));
        self.opened.notify_all();
    }

    /// Waits for room for a DATA frame; gives whether the stream is still open.
    pub(crate) fn take_window(&self, stream: u32, frame: &[u8]) -> bool {
        let payload = frame.len().saturating_sub(HEADER_BYTES);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match windows.take(stream, payload) {
                Some(true) => return true,
                None => return false,
                Some(false) => {
                    windows = self
                        .opened
                        .wait(windows)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Writes one whole frame in exactly one system call.
    ///
    /// # Errors
    ///
    /// `WriteZero` if the kernel took only a part: the frame's time would mean nothing.
    pub(crate) fn write(&self, frame: &[u8]) -> io::Result<Stamp> {
        // The two parts that a gRPC library writes: framing and message.
        let (framing, message) = frame.split_at(frame.len().min(HEADER_BYTES + PREFIX_BYTES));
        let parts = [IoSlice::new(framing), IoSlice::new(message)];
        let mut control = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL;
        let _one_frame = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, stamp) = match self.system_call {
            SystemCall::Write => stamped(|| rustix::io::write(&self.socket, frame)),
            SystemCall::Writev => stamped(|| rustix::io::writev(&self.socket, &parts)),
            SystemCall::Sendto => stamped(|| rustix::net::send(&self.socket, frame, flags)),
            SystemCall::Sendmsg => {
                stamped(|| rustix::net::sendmsg(&self.socket, &parts, &mut control, flags))
            }
        };
        if written? == frame.len() {
            Ok(stamp)
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

#[inline]
fn stamped<T>(system_call: impl FnOnce() -> T) -> (T, Stamp) {
    let before_ns = monotonic_ns();
    let result = system_call();
    (
        result,
        Stamp {
            before_ns,
            after_ns: monotonic_ns(),
        },
    )
}

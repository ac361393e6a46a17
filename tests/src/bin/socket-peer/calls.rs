//! Every system call that moves bytes on a stream socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg,
    send, sendmsg,
};

/// A call that sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Send {
    Write,
    Writev,
    Sendto,
    Sendmsg,
    Sendmmsg,
}

/// A call that receives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Receive {
    Read,
    Readv,
    Recvfrom,
    Recvmsg,
    Recvmmsg,
}

impl Send {
    pub(crate) const ALL: [Self; 5] = [
        Self::Write,
        Self::Writev,
        Self::Sendto,
        Self::Sendmsg,
        Self::Sendmmsg,
    ];

    /// Sends in one call, vectors in `parts` parts; gives the bytes taken.
    pub(crate) fn call(self, fd: impl AsFd, bytes: &[u8], parts: usize) -> io::Result<usize> {
        let size = bytes.len().div_ceil(parts).max(1);
        let slices: Vec<IoSlice<'_>> = bytes.chunks(size).map(IoSlice::new).collect();
        let mut control = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL;
        Ok(match self {
            Self::Write => rustix::io::write(fd, bytes)?,
            Self::Writev => rustix::io::writev(fd, &slices)?,
            Self::Sendto => send(fd, bytes, flags)?,
            Self::Sendmsg => sendmsg(fd, &slices, &mut control, flags)?,
            Self::Sendmmsg => return send_messages(fd, bytes),
        })
    }
}

impl Receive {
    pub(crate) const ALL: [Self; 5] = [
        Self::Read,
        Self::Readv,
        Self::Recvfrom,
        Self::Recvmsg,
        Self::Recvmmsg,
    ];

    /// Receives up to `buffer`'s size in one call, vectors in `parts` parts; 0 at the end.
    pub(crate) fn call(self, fd: impl AsFd, buffer: &mut [u8], parts: usize) -> io::Result<usize> {
        let size = buffer.len().div_ceil(parts).max(1);
        let mut control = RecvAncillaryBuffer::default();
        let flags = RecvFlags::empty();
        match self {
            Self::Read => Ok(rustix::io::read(fd, buffer)?),
            Self::Recvfrom => Ok(recv(fd, buffer, flags)?.0),
            Self::Readv => {
                let mut slices: Vec<_> = buffer.chunks_mut(size).map(IoSliceMut::new).collect();
                Ok(rustix::io::readv(fd, &mut slices)?)
            }
            Self::Recvmsg => {
                let mut slices: Vec<_> = buffer.chunks_mut(size).map(IoSliceMut::new).collect();
                let received = recvmsg(fd, &mut slices, &mut control, flags)?;
                assert!(!received.flags.contains(ReturnFlags::TRUNC));
                Ok(received.bytes)
            }
            Self::Recvmmsg => receive_messages(fd, buffer),
        }
    }
}

/// Messages of one `sendmmsg` or `recvmmsg`.
const MESSAGES: usize = 3;

/// `sendmmsg` of up to [`MESSAGES`] parts.
fn send_messages(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let size = bytes.len().div_ceil(MESSAGES).max(1);
    let mut vectors: Vec<libc::iovec> = bytes
        .chunks(size)
        .map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        })
        .collect();
    let mut messages = headers(&mut vectors);
    // SAFETY: the headers point to vectors, and these to `bytes`, all of which outlive the call;
    // the kernel only reads what is sent.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_fd().as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as u32,
            libc::MSG_NOSIGNAL,
        )
    };
    moved(sent, &messages)
}

/// `recvmmsg` into up to [`MESSAGES`] parts.
fn receive_messages(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let size = buffer.len().div_ceil(MESSAGES).max(1);
    let mut vectors: Vec<libc::iovec> = buffer
        .chunks_mut(size)
        .map(|part| libc::iovec {
            iov_base: part.as_mut_ptr().cast(),
            iov_len: part.len(),
        })
        .collect();
    let mut messages = headers(&mut vectors);
    // SAFETY: the headers point to vectors, and these to disjoint parts of `buffer`, all of which
    // outlive the call. `MSG_WAITFORONE` returns with the messages that are there.
    let received = unsafe {
        libc::recvmmsg(
            fd.as_fd().as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as u32,
            libc::MSG_WAITFORONE,
            std::ptr::null_mut(),
        )
    };
    moved(received, &messages)
}

/// A header for each vector.
fn headers(vectors: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: zero is a valid value of each field: null pointers with length 0.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect()
}

/// The bytes of the messages that a call says it moved.
fn moved(result: i32, messages: &[libc::mmsghdr]) -> io::Result<usize> {
    let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    let lengths = messages.iter().take(count);
    Ok(lengths.map(|message| message.msg_len as usize).sum())
}

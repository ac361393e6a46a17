//! Bytes moved through `io_uring`.

use std::io;
use std::os::fd::AsRawFd as _;

use anyhow::Context as _;
use io_uring::{IoUring, opcode, squeue, types};
use probe_tests::report::Report;
use probe_tests::traffic::filler;

use crate::connection::{End, Pair};

/// Bytes of each call.
const BYTES: usize = 1500;

/// Each call of the ring on a TCP and on a unix connection, in both directions.
pub(crate) fn moved() -> anyhow::Result<Vec<Report>> {
    let mut ring = IoUring::new(8).context("make a ring")?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let mut reports = Vec::new();
    for mut pair in [Pair::tcp()?, Pair::unix(&folder.path().join("ring.sock"))?] {
        send(&mut ring, &mut pair.client, false)?;
        receive(&mut ring, &mut pair.server, false)?;
        send(&mut ring, &mut pair.server, true)?;
        receive(&mut ring, &mut pair.client, true)?;
        // A plain call in between is the same connection's.
        pair.client
            .send_all(crate::calls::Send::Write, &filler(BYTES))?;
        pair.server
            .receive_all(crate::calls::Receive::Read, BYTES)?;
        reports.extend(pair.into_reports());
    }
    Ok(reports)
}

/// Sends, with vectors or without.
fn send(ring: &mut IoUring, end: &mut End, vectors: bool) -> anyhow::Result<()> {
    let bytes = filler(BYTES);
    let fd = types::Fd(end.fd.as_raw_fd());
    let parts = halves(&bytes);
    let entry = if vectors {
        opcode::Writev::new(fd, parts.as_ptr(), parts.len() as u32).build()
    } else {
        opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).build()
    };
    let taken = run(ring, &entry)?;
    anyhow::ensure!(taken == BYTES, "{taken} bytes were sent");
    end.report.sent += taken as u64;
    Ok(())
}

/// Receives all of it, with vectors or without.
fn receive(ring: &mut IoUring, end: &mut End, vectors: bool) -> anyhow::Result<()> {
    let mut left = BYTES;
    while left > 0 {
        let mut buffer = vec![0_u8; left];
        let fd = types::Fd(end.fd.as_raw_fd());
        let parts = halves(&buffer);
        let entry = if vectors {
            opcode::Readv::new(fd, parts.as_ptr(), parts.len() as u32).build()
        } else {
            opcode::Recv::new(fd, buffer.as_mut_ptr(), buffer.len() as u32).build()
        };
        let received = run(ring, &entry)?;
        anyhow::ensure!(received > 0, "the connection ended {left} bytes too early");
        end.report.received += received as u64;
        left -= received;
    }
    Ok(())
}

/// A buffer in two parts.
fn halves(bytes: &[u8]) -> [libc::iovec; 2] {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [first, second].map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    })
}

/// Submits one entry and waits for its result.
fn run(ring: &mut IoUring, entry: &squeue::Entry) -> anyhow::Result<usize> {
    // SAFETY: what the entry points to outlives the wait for its completion.
    unsafe { ring.submission().push(entry) }.context("submit")?;
    ring.submit_and_wait(1).context("wait")?;
    let completion = ring.completion().next().context("no completion")?;
    usize::try_from(completion.result())
        .map_err(|_| io::Error::from_raw_os_error(-completion.result()).into())
}

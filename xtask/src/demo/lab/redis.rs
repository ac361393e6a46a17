//! A real Redis server.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{START_LIMIT, expect_running};
use crate::demo::process::Process;
use crate::setup;
use crate::workspace::Workspace;

/// The server, under its own name and under that of the package without its service: it goes by the
/// name it is called by.
const PROGRAMS: [&str; 2] = ["redis-server", "redis-check-rdb"];
/// Between two tries to reach it.
const POLL: Duration = Duration::from_millis(20);

/// A server on a port of its own, which keeps nothing.
#[derive(Debug)]
pub(in crate::demo) struct Redis {
    _process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts it on `port`; `None` where it is not installed.
    pub(in crate::demo) fn start(
        workspace: &Workspace,
        directory: &Path,
        port: u16,
    ) -> Result<Option<Self>> {
        let found = PROGRAMS
            .iter()
            .find_map(|name| setup::program(workspace, name));
        let Some(program) = found else {
            return Ok(None);
        };
        let mut command = Command::new(program);
        command.arg0(PROGRAMS[0]).current_dir(directory);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", ""]);
        let mut process = Process::start("redis", &mut command, directory)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            expect_running("redis-server", &mut process)?;
            if Instant::now() >= deadline {
                bail!("redis-server does not listen on {address}");
            }
            thread::sleep(POLL);
        }
        Ok(Some(Self {
            _process: process,
            address,
        }))
    }

    /// Where it listens, `HOST:PORT`.
    pub(in crate::demo) fn address(&self) -> String {
        self.address.to_string()
    }
}

//! A real Redis server.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::lab::Lab;
use crate::process::{Process, eventually};
use crate::skip::program;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(10);

/// A running Redis server on a port of its own.
pub struct Redis {
    _process: Process,
    /// Port it listens on, of 127.0.0.1.
    pub port: String,
    cli: PathBuf,
}

impl Redis {
    /// Starts one; `None` where it is not installed: that is said.
    pub fn start(lab: &Lab) -> Option<Self> {
        // The package without the service has the server under another name; it goes by its first
        // argument.
        let (server, cli) = (program("redis-check-rdb")?, program("redis-cli")?);
        let port = free_port();
        let mut command = Command::new(server);
        command
            .arg0("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(lab.folder());
        let redis = Self {
            _process: Process::start(&mut command, &lab.fresh("redis.err")),
            port,
            cli,
        };
        let answers = || redis.cli(&["PING"]).trim() == "PONG";
        assert!(eventually(START, answers), "the server does not answer");
        Some(redis)
    }

    /// What `redis-cli` prints for a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.cli)
            .args(["-p", &self.port])
            .args(arguments)
            .output()
            .expect("run redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls the server counted, by command, since its statistics were reset.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        for line in self.cli(&["INFO", "commandstats"]).lines() {
            let Some((name, fields)) = line
                .strip_prefix("cmdstat_")
                .and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            // Subcommands are counted on their own.
            let command = name.split('|').next().unwrap_or(name).to_ascii_uppercase();
            let count = fields
                .split(',')
                .find_map(|field| field.strip_prefix("calls="))
                .and_then(|count| count.parse::<u64>().ok())
                .expect("calls of a command");
            *calls.entry(command).or_default() += count;
        }
        calls
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("bound");
    address.port().to_string()
}

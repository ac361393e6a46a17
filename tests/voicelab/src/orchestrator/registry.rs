//! What an orchestrator keeps in Redis: its workers' registrations, and which worker a session is
//! on. Commands go one after the other on one connection, so that each one's times are its own.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::workers::Worker;
use crate::clock::{monotonic_ns, unix_ms};
use crate::stamped::{Stamped, Stamps};
use crate::truth::{Orchestration, Truth};

/// How long a registration lives, in seconds.
const REGISTRATION_TTL_S: u64 = 30;

/// How long a session's worker is remembered, in seconds.
const AFFINITY_TTL_S: u64 = 300;

/// What a registration says.
#[derive(Serialize)]
struct Registration<'a> {
    name: &'a str,
    addr: String,
    capabilities: Capabilities,
    resident_models: [&'a str; 0],
    metrics: Metrics,
    last_heartbeat_ts: f64,
}

#[derive(Serialize)]
struct Capabilities {
    streaming: bool,
    cpu_ok: bool,
    languages: [&'static str; 1],
}

#[derive(Serialize)]
struct Metrics {}

/// A connection to Redis.
pub(crate) struct Registry {
    connection: Mutex<MultiplexedConnection>,
    stamps: Arc<Stamps>,
    truth: Truth,
}

impl Registry {
    /// Connects to `address`, `HOST:PORT`.
    pub(crate) async fn connect(address: &str, truth: Truth) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to Redis at {address}"))?;
        socket.set_nodelay(true).context("turn off Nagle")?;
        let stamps = Stamps::new();
        let stamped = Stamped::new(socket, Arc::clone(&stamps));
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (connection, driver) = MultiplexedConnection::new_with_config(
            &info,
            stamped,
            AsyncConnectionConfig::default(),
        )
        .await
        .context("set up the connection to Redis")?;
        tokio::spawn(driver);
        truth.record(Orchestration::RedisOpened.into());
        let registry = Self {
            connection: Mutex::new(connection),
            stamps,
            truth,
        };
        registry.ask(&redis::cmd("PING")).await?;
        Ok(registry)
    }

    async fn ask(&self, command: &Cmd) -> io::Result<Value> {
        let mut connection = self.connection.lock().await;
        let answer = connection.send_packed_command(command).await;
        let (sent_ns, answered_ns) = (self.stamps.written_ns(), self.stamps.read_ns());
        drop(connection);
        let answer = answer.and_then(Value::extract_error);
        let error = answer.as_ref().err().map(|error| {
            let code = error.code().unwrap_or("connection_error");
            code.to_owned()
        });
        let at_ns = if answered_ns >= sent_ns {
            answered_ns
        } else {
            monotonic_ns()
        };
        self.truth.record_at(
            at_ns,
            Orchestration::RedisCommand {
                command: name(command),
                sent_ns,
                error,
            }
            .into(),
        );
        answer.map_err(io::Error::other)
    }

    /// Registers `workers` and reads the registrations back; gives the names that are there.
    pub(crate) async fn register(&self, workers: &[Arc<Worker>]) -> io::Result<Vec<String>> {
        for worker in workers {
            let registration = Registration {
                name: &worker.name,
                addr: format!("grpc://{}", worker.address),
                capabilities: Capabilities {
                    streaming: true,
                    cpu_ok: true,
                    languages: ["en"],
                },
                resident_models: [],
                metrics: Metrics {},
                last_heartbeat_ts: unix_ms() as f64 / 1000.0,
            };
            let json = serde_json::to_string(&registration).map_err(io::Error::other)?;
            let mut command = redis::cmd("SETEX");
            command
                .arg(key(&worker.name))
                .arg(REGISTRATION_TTL_S)
                .arg(json);
            self.ask(&command).await?;
        }
        let mut command = redis::cmd("KEYS");
        command.arg("worker:*");
        let keys: Vec<String> =
            redis::from_redis_value(self.ask(&command).await?).map_err(io::Error::other)?;
        for key in &keys {
            let mut command = redis::cmd("GET");
            command.arg(key);
            self.ask(&command).await?;
        }
        let mut command = redis::cmd("HGETALL");
        command.arg("routing:stats");
        self.ask(&command).await?;
        let named = |key: String| key.strip_prefix("worker:").map(str::to_owned);
        Ok(keys.into_iter().filter_map(named).collect())
    }

    /// Removes the registrations.
    pub(crate) async fn unregister(&self, workers: &[Arc<Worker>]) {
        for worker in workers {
            let mut command = redis::cmd("DEL");
            command.arg(key(&worker.name));
            // A registration that stays expires by itself.
            self.ask(&command).await.ok();
        }
        self.truth.record(Orchestration::RedisClosed.into());
    }

    /// The worker that a session is on, if it is remembered.
    pub(crate) async fn affinity(&self, session: &str) -> Option<String> {
        let mut command = redis::cmd("GET");
        command.arg(affinity_key(session));
        let found = self.ask(&command).await.ok()?;
        redis::from_redis_value::<Option<String>>(found)
            .ok()
            .flatten()
    }

    /// Remembers the worker that a session is on.
    pub(crate) async fn remember(&self, session: &str, worker: &str) {
        let mut command = redis::cmd("SETEX");
        command
            .arg(affinity_key(session))
            .arg(AFFINITY_TTL_S)
            .arg(worker);
        // Without it the next session takes the next worker in turn.
        self.ask(&command).await.ok();
    }

    /// Sends a command that Redis refuses: a hash command on a string.
    pub(crate) async fn provoke_error(&self, worker: &str) {
        let mut command = redis::cmd("HGETALL");
        command.arg(key(worker));
        // The error is what is wanted.
        self.ask(&command).await.ok();
    }
}

fn key(worker: &str) -> String {
    format!("worker:{worker}")
}

fn affinity_key(session: &str) -> String {
    format!("routing:affinity:{session}")
}

fn name(command: &Cmd) -> String {
    match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    }
}

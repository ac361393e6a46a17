//! What may be typed in a configuration file. `config/voxprobe.toml` shows every key.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use probe_core::{model::TransportSetting, record::Role};
use serde::Deserialize;

use super::{duration, hook::HookEntry};
use crate::{
    attach,
    discover::{DEFAULT_WEIGHTS, Target, TargetError},
    export::otlp::Protocol,
    telemetry,
};

/// Name of the profile inside the binary.
pub(super) const BUILTIN_PROFILE: &str = "tts";

/// A section whose keys all have defaults.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $key:ident: $type:ty = $default:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $key: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            #[cfg(test)]
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];
        }
    };
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) http: Http,
    pub(super) log: Log,
    pub(super) hooks: Hooks,
    pub(super) discovery: Discovery,
    pub(super) profile: ProfileName,
    pub(super) playout: Playout,
    pub(super) models: Models,
    pub(super) sessions: Sessions,
    pub(super) labels: Labels,
    pub(super) gpu: Gpu,
    pub(super) diagnosis: Diagnosis,
    pub(super) slo: Slo,
    pub(super) traces: Traces,
    /// Replaces the default targets when given.
    pub(super) target: Option<Vec<TargetEntry>>,
    pub(super) hook: Vec<HookEntry>,
}

section! { Http {
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9781)),
    web_config: OptionalPath = OptionalPath(String::new()),
} }
section! { Log {
    level: telemetry::Level = telemetry::Level::Info,
    format: telemetry::Format = telemetry::Format::Json,
    events_per_minute: u32 = telemetry::EVENTS_PER_MINUTE,
} }
section! { Hooks {
    syscalls: attach::Choice = attach::Choice::Auto,
    without_btf: bool = false,
} }
section! { Discovery {
    #[serde(deserialize_with = "duration::deserialize")]
    interval: Duration = Duration::from_secs(10),
    container_logs: OptionalPath = OptionalPath("/var/log/containers".to_owned()),
} }
section! { Playout {
    #[serde(deserialize_with = "duration::deserialize")]
    prebuffer: Duration = Duration::from_millis(60),
} }
section! { Models {
    resident_cap: Cap = Cap(0),
    roots: Vec<String> = Vec::new(),
    id: String = String::new(),
    weights: Vec<String> = DEFAULT_WEIGHTS.map(str::to_owned).to_vec(),
} }
section! { Sessions {
    #[serde(deserialize_with = "duration::deserialize_optional")]
    idle_timeout: Option<Duration> = None,
    transport: Transport = Transport::Auto,
} }
section! { Labels { sessions: usize = 1000, } }
section! { Gpu {
    enabled: bool = true,
    library: OptionalPath = OptionalPath(String::new()),
    #[serde(deserialize_with = "duration::deserialize")]
    interval: Duration = Duration::from_secs(1),
    #[serde(deserialize_with = "duration::deserialize")]
    call_timeout: Duration = Duration::from_millis(500),
} }

section! { Diagnosis {
    enabled: bool = false,
    #[serde(deserialize_with = "duration::deserialize")]
    threshold: Duration = Duration::from_millis(20),
    #[serde(deserialize_with = "duration::deserialize")]
    stretch: Duration = Duration::from_millis(1),
} }

section! { Slo {
    #[serde(deserialize_with = "duration::deserialize")]
    first_audio: Duration = Duration::from_millis(300),
    #[serde(deserialize_with = "duration::deserialize")]
    barge_in: Duration = Duration::from_millis(50),
    #[serde(deserialize_with = "duration::deserialize")]
    frame_jitter: Duration = Duration::from_millis(10),
} }
section! { Traces {
    enabled: bool = false,
    endpoint: String = "http://127.0.0.1:4317".to_owned(),
    protocol: Protocol = Protocol::Grpc,
    headers: BTreeMap<String, String> = BTreeMap::new(),
    ca_file: OptionalPath = OptionalPath(String::new()),
    sample: f64 = 1.0,
    queue: usize = 8192,
    batch: usize = 512,
    #[serde(deserialize_with = "duration::deserialize")]
    interval: Duration = Duration::from_secs(5),
    #[serde(deserialize_with = "duration::deserialize")]
    timeout: Duration = Duration::from_secs(10),
} }

/// Most models a worker keeps; 0 where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Cap(u32);

impl Cap {
    pub(super) fn into_cap(self) -> Option<u32> {
        (self.0 != 0).then_some(self.0)
    }
}

/// How orchestrators talk to their clients.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Transport {
    Auto,
    WebSocket,
    LiveKit,
}

impl From<Transport> for TransportSetting {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Auto => Self::Auto,
            Transport::WebSocket => Self::WebSocket,
            Transport::LiveKit => Self::LiveKit,
        }
    }
}

/// Name or path of the profile.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct ProfileName(String);

impl Default for ProfileName {
    fn default() -> Self {
        Self(BUILTIN_PROFILE.to_owned())
    }
}

impl std::ops::Deref for ProfileName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A path; empty for none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct OptionalPath(String);

impl OptionalPath {
    pub(super) fn into_path(self) -> Option<PathBuf> {
        (!self.0.is_empty()).then(|| self.0.into())
    }
}

/// One `[[target]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TargetEntry {
    role: Option<RoleName>,
    cmdline: Option<String>,
    exe: Option<String>,
    cgroup: Option<String>,
    port: Option<u16>,
    pid: Option<u32>,
    name: Option<String>,
    adapter: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleName {
    Orchestrator,
    Worker,
    Redis,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Orchestrator => Self::Orchestrator,
            RoleName::Worker => Self::Worker,
            RoleName::Redis => Self::Redis,
        }
    }
}

impl TargetEntry {
    pub(super) fn compile(self) -> Result<Target, TargetError> {
        let role = self.role.ok_or(TargetError::NoRole)?.into();
        let regex = |key, pattern: Option<String>| {
            pattern
                .map(|pattern| regex::Regex::new(&pattern))
                .transpose()
                .map_err(|error| TargetError::Pattern(key, error.to_string().replace('\n', " ")))
        };
        let target = Target {
            role,
            cmdline: regex("cmdline", self.cmdline)?,
            exe: regex("exe", self.exe)?,
            cgroup: regex("cgroup", self.cgroup)?,
            port: self.port,
            pid: self.pid,
            started: None,
            name: self.name,
            adapter: self.adapter,
        };
        if target.has_condition() {
            Ok(target)
        } else {
            Err(TargetError::NoCondition)
        }
    }
}

/// The default targets as file entries.
#[cfg(test)]
pub(super) fn default_targets() -> Vec<TargetEntry> {
    crate::discover::DEFAULT_TARGETS
        .iter()
        .map(|(role, cmdline)| TargetEntry {
            role: Some(match role {
                Role::Orchestrator => RoleName::Orchestrator,
                Role::Worker => RoleName::Worker,
                Role::Redis => RoleName::Redis,
            }),
            cmdline: Some((*cmdline).to_owned()),
            ..TargetEntry::default()
        })
        .collect()
}

#[cfg(test)]
impl File {
    pub(super) fn without_targets(self) -> Self {
        Self {
            target: None,
            ..self
        }
    }

    pub(super) fn keys() -> impl Iterator<Item = &'static str> {
        [
            Http::KEYS,
            Log::KEYS,
            Hooks::KEYS,
            Discovery::KEYS,
            Playout::KEYS,
            Models::KEYS,
            Sessions::KEYS,
            Labels::KEYS,
            Gpu::KEYS,
            Diagnosis::KEYS,
            Slo::KEYS,
            Traces::KEYS,
        ]
        .into_iter()
        .flatten()
        .copied()
        .chain([
            "profile", "role", "cmdline", "exe", "cgroup", "port", "pid", "name", "adapter",
        ])
        .chain(HookEntry::KEYS.iter().copied())
    }
}

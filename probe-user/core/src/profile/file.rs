//! A profile as its TOML file has it, before validation.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default)]
    pub(super) service: Vec<Service>,
    #[serde(default)]
    pub(super) message: Vec<Message>,
    #[serde(default, rename = "enum")]
    pub(super) enums: Vec<Enum>,
    pub(super) websocket: Option<WebSocket>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebSocket {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default = "other")]
    pub(super) binary: String,
    #[serde(default)]
    pub(super) members: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) client: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) server: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) commands: BTreeMap<String, String>,
}

fn other() -> String {
    "other".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: String,
    #[serde(default)]
    pub(super) method: Vec<Method>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Method {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) request: String,
    pub(super) response: String,
    #[serde(default)]
    pub(super) client_streaming: bool,
    #[serde(default)]
    pub(super) server_streaming: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) repeated: bool,
    pub(super) role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enum {
    pub(super) name: String,
    pub(super) values: BTreeMap<String, i32>,
}

//! What a voice system says, described and not coded: services, methods, messages, fields and the
//! roles they play. A profile is a TOML file (`config/profiles/`); the guide's `tts` is built in.

mod role;

pub use role::{FieldRole, MethodRole};

//! `[[hook]]`: functions of libraries whose calls are told.

use std::{collections::BTreeSet, time::Duration};

use probe_core::{
    model::MAX_HOOKS,
    record::{Debounce, Hook, HookId, HookKind, HookMeaning, Returns, Sustained},
};
use regex::Regex;
use serde::Deserialize;

use super::{duration, file::RoleName};
use crate::attach::{HookTarget, Location};

/// Bytes of a hook's name, which is a label value.
const MAX_NAME_BYTES: usize = 64;

/// Longest time that a result may have to last: an hour is no debounce.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// One `[[hook]]`. `None` takes the preset's value, or the default.
macro_rules! entry {
    ($($(#[$attribute:meta])* $key:ident: $type:ty,)+) => {
        /// One `[[hook]]`. What is left out is the preset's, or the default.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct HookEntry {
            $($(#[$attribute])* $key: Option<$type>,)+
        }

        impl HookEntry {
            #[cfg(test)]
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

            /// What is left out is the other's.
            fn or(self, other: Self) -> Self {
                Self { $($key: self.$key.or(other.$key),)+ }
            }
        }
    };
}

entry! {
    name: String,
    preset: Preset,
    library: String,
    symbol: String,
    offset: u64,
    reset: String,
    role: RoleName,
    kind: Kind,
    returns: ReturnType,
    positive: Vec<i64>,
    timeouts: Vec<i64>,
    #[serde(deserialize_with = "some_duration")]
    min_positive: Duration,
    #[serde(deserialize_with = "some_duration")]
    min_negative: Duration,
    min_positive_results: u32,
    min_negative_results: u32,
    #[serde(deserialize_with = "some_duration")]
    max_gap: Duration,
    model: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    Webrtcvad,
    Asr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Counter,
    Latency,
    Edge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReturnType {
    I32,
    I64,
    Bool,
    Pointer,
}

/// Why a `[[hook]]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HookError {
    #[error("no name: add name = \"…\", the label `hook` of its metrics")]
    NoName,
    #[error("the name is longer than {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("another hook has this name")]
    SameName,
    #[error("no library: add library = a regular expression on the path of the shared object")]
    NoLibrary,
    #[error("library is no regular expression: {0}")]
    Library(String),
    #[error("no function: add symbol or offset")]
    NoFunction,
    #[error("symbol and offset are two functions: leave one out")]
    TwoFunctions,
    #[error("no kind: add kind = \"counter\", \"latency\" or \"edge\"")]
    NoKind,
    #[error("`{key}` needs {needs}")]
    Misplaced {
        key: &'static str,
        needs: &'static str,
    },
    #[error("`{0}` is longer than an hour")]
    LongDuration(&'static str),
    #[error("more than {MAX_HOOKS} hooks")]
    TooMany,
}

fn some_duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

/// What the entries mean; else which one is wrong and why.
pub(super) fn compile(entries: Vec<HookEntry>) -> Result<Vec<HookTarget>, (String, HookError)> {
    let mut names = BTreeSet::new();
    let mut targets = Vec::new();
    for (id, entry) in (0..).zip(entries) {
        let place = entry.name.as_ref().map_or_else(
            || format!("hook number {}", u64::from(id) + 1),
            |name| format!("hook \"{name}\""),
        );
        let target = entry.compile(HookId(id)).and_then(|target| {
            if targets.len() >= MAX_HOOKS {
                Err(HookError::TooMany)
            } else if names.insert(target.hook.name.clone()) {
                Ok(target)
            } else {
                Err(HookError::SameName)
            }
        });
        targets.push(target.map_err(|error| (place, error))?);
    }
    Ok(targets)
}

impl Preset {
    fn entry(self) -> HookEntry {
        match self {
            // `int WebRtcVad_Process(VadInst*, int, const int16_t*, size_t)`: 1 is speech, 0 is none,
            // -1 an error; `WebRtcVad_Init` starts an instance anew. Source:
            // common_audio/vad/include/webrtc_vad.h. Both are exported from the extension that the
            // packages webrtcvad and webrtcvad-wheels build, stripped or not.
            Self::Webrtcvad => HookEntry {
                library: Some(r"/_webrtcvad[^/]*\.so$".to_owned()),
                symbol: Some("WebRtcVad_Process".to_owned()),
                reset: Some("WebRtcVad_Init".to_owned()),
                kind: Some(Kind::Edge),
                returns: Some(ReturnType::I32),
                positive: Some(vec![1]),
                min_positive_results: Some(3),
                min_negative_results: Some(15),
                max_gap: Some(Duration::from_secs(1)),
                ..HookEntry::default()
            },
            Self::Asr => HookEntry {
                kind: Some(Kind::Latency),
                returns: Some(ReturnType::I32),
                model: Some(probe_core::metrics::UNKNOWN.to_owned()),
                ..HookEntry::default()
            },
        }
    }
}

impl HookEntry {
    fn compile(self, id: HookId) -> Result<HookTarget, HookError> {
        self.check_keys()?;
        let preset = self.preset;
        let entry = match preset {
            Some(preset) => self.or(preset.entry()),
            None => self,
        };
        let name = entry.name.ok_or(HookError::NoName)?;
        if name.is_empty() {
            return Err(HookError::NoName);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(HookError::LongName);
        }
        let library = entry.library.ok_or(HookError::NoLibrary)?;
        let library = Regex::new(&library)
            .map_err(|error| HookError::Library(error.to_string().replace('\n', " ")))?;
        let location = match (entry.symbol, entry.offset) {
            (_, Some(offset)) => Location::Offset(offset),
            (Some(symbol), None) => Location::Symbol(symbol),
            (None, None) => return Err(HookError::NoFunction),
        };
        let sustained = |key, time: Option<Duration>, results: Option<u32>| {
            Ok(Sustained {
                time_ns: nanoseconds(key, time)?,
                results: results.unwrap_or(0),
            })
        };
        let hook = Hook {
            id,
            name,
            role: entry.role.map(Into::into),
            kind: match entry.kind.ok_or(HookError::NoKind)? {
                Kind::Counter => HookKind::Counter,
                Kind::Latency => HookKind::Latency,
                Kind::Edge => HookKind::Edge,
            },
            returns: match entry.returns.unwrap_or(ReturnType::I32) {
                ReturnType::I32 => Returns::I32,
                ReturnType::I64 => Returns::I64,
                ReturnType::Bool => Returns::Bool,
                ReturnType::Pointer => Returns::Pointer,
            },
            positive: entry.positive.unwrap_or_default(),
            timeouts: entry.timeouts.unwrap_or_default(),
            sees_resets: entry.reset.is_some(),
            debounce: Debounce {
                positive: sustained(
                    "min_positive",
                    entry.min_positive,
                    entry.min_positive_results,
                )?,
                negative: sustained(
                    "min_negative",
                    entry.min_negative,
                    entry.min_negative_results,
                )?,
                max_gap_ns: nanoseconds("max_gap", entry.max_gap)?,
            },
            meaning: match preset {
                None => HookMeaning::Generic,
                Some(Preset::Webrtcvad) => HookMeaning::Vad,
                Some(Preset::Asr) => HookMeaning::Asr {
                    model: entry.model.unwrap_or_default(),
                },
            },
        };
        Ok(HookTarget {
            hook,
            library,
            location,
            reset: entry.reset,
        })
    }

    /// Keys that say nothing where they are.
    fn check_keys(&self) -> Result<(), HookError> {
        if self.symbol.is_some() && self.offset.is_some() {
            return Err(HookError::TwoFunctions);
        }
        let kind = self
            .kind
            .or_else(|| self.preset.and_then(|preset| preset.entry().kind));
        let is_edge = kind.is_none_or(|kind| kind == Kind::Edge);
        let returns = kind.is_none_or(|kind| kind != Kind::Counter);
        let edge = "kind = \"edge\"";
        let timed = "kind = \"latency\" or \"edge\"";
        let asr = "preset = \"asr\"";
        let is_asr = self.preset == Some(Preset::Asr);
        let rules = [
            ("min_positive", self.min_positive.is_some(), is_edge, edge),
            ("min_negative", self.min_negative.is_some(), is_edge, edge),
            (
                "min_positive_results",
                self.min_positive_results.is_some(),
                is_edge,
                edge,
            ),
            (
                "min_negative_results",
                self.min_negative_results.is_some(),
                is_edge,
                edge,
            ),
            ("max_gap", self.max_gap.is_some(), is_edge, edge),
            ("positive", self.positive.is_some(), is_edge, edge),
            ("reset", self.reset.is_some(), is_edge, edge),
            ("returns", self.returns.is_some(), returns, timed),
            ("timeouts", self.timeouts.is_some(), returns, timed),
            ("model", self.model.is_some(), is_asr, asr),
        ];
        match rules.iter().find(|(_, given, fits, _)| *given && !fits) {
            Some(&(key, _, _, needs)) => Err(HookError::Misplaced { key, needs }),
            None => match (self.preset, self.kind) {
                (Some(Preset::Webrtcvad), Some(Kind::Counter | Kind::Latency)) => {
                    let needs = "to stay \"edge\" for this preset";
                    Err(HookError::Misplaced { key: "kind", needs })
                }
                (Some(Preset::Asr), Some(Kind::Counter | Kind::Edge)) => {
                    let needs = "to stay \"latency\" for this preset";
                    Err(HookError::Misplaced { key: "kind", needs })
                }
                _ => Ok(()),
            },
        }
    }
}

fn nanoseconds(key: &'static str, duration: Option<Duration>) -> Result<u64, HookError> {
    let duration = duration.unwrap_or_default();
    if duration > MAX_DURATION {
        return Err(HookError::LongDuration(key));
    }
    u64::try_from(duration.as_nanos()).map_err(|_| HookError::LongDuration(key))
}

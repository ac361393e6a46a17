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
const MAX_DURATION: Duration = Duration::from_hours(1);

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
        // Empty where a preset has one and the library has not.
        let reset = entry.reset.filter(|symbol| !symbol.is_empty());
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
            sees_resets: reset.is_some(),
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
            reset,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::file::File;

    fn hooks(text: &str) -> Result<Vec<HookTarget>, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        compile(file.hook).map_err(|(place, error)| format!("{place}: {error}"))
    }

    fn error(text: &str) -> String {
        hooks(text).unwrap_err()
    }

    const FUNCTION: &str = "library = 'x'\nsymbol = \"f\"\n";

    fn generic(more: &str) -> String {
        format!("[[hook]]\nname = \"a\"\n{FUNCTION}{more}")
    }

    #[test]
    fn preset_of_webrtcvad_needs_only_a_name() {
        let hooks = hooks("[[hook]]\nname = \"vad\"\npreset = \"webrtcvad\"\n").unwrap();
        let [target] = hooks.as_slice() else {
            panic!("one hook")
        };
        assert!(
            target
                .library
                .is_match("/x/_webrtcvad.cpython-311-x86_64-linux-gnu.so")
        );
        assert!(!target.library.is_match("/x/webrtcvad.py"));
        let symbol = Location::Symbol("WebRtcVad_Process".to_owned());
        assert_eq!(target.location, symbol);
        assert_eq!(target.reset.as_deref(), Some("WebRtcVad_Init"));
        let hook = &target.hook;
        assert_eq!(
            (hook.kind, &hook.meaning),
            (HookKind::Edge, &HookMeaning::Vad)
        );
        assert!(hook.sees_resets);
        assert_eq!(hook.debounce.positive.results, 3);
        assert_eq!(hook.debounce.max_gap_ns, 1_000_000_000);
    }

    #[test]
    fn given_keys_come_before_the_presets() {
        let text = "[[hook]]\nname = \"vad\"\npreset = \"webrtcvad\"\noffset = 0x40\nreset = \"\"\n\
                    min_positive = \"60ms\"\nmin_positive_results = 1\nrole = \"worker\"\n";
        let hooks = hooks(text).unwrap();
        let target = hooks.first().unwrap();
        assert_eq!(target.location, Location::Offset(0x40));
        assert_eq!(target.reset, None);
        assert!(!target.hook.sees_resets);
        assert_eq!(target.hook.role, Some(probe_core::record::Role::Worker));
        let positive = Sustained {
            time_ns: 60_000_000,
            results: 1,
        };
        assert_eq!(target.hook.debounce.positive, positive);
        assert_eq!(target.hook.debounce.negative.results, 15);
    }

    #[test]
    fn preset_of_a_recogniser_needs_its_function() {
        let text = "[[hook]]\nname = \"asr\"\npreset = \"asr\"\n";
        assert!(error(text).contains("no library"));
        let hooks = hooks(&format!("{text}{FUNCTION}timeouts = [-110]\n")).unwrap();
        let hook = &hooks.first().unwrap().hook;
        assert_eq!(hook.kind, HookKind::Latency);
        let model = "unknown".to_owned();
        assert_eq!(hook.meaning, HookMeaning::Asr { model });
        assert_eq!(hook.timeouts, [-110]);
    }

    #[test]
    fn hook_without_what_it_needs_is_an_error_that_names_it() {
        assert!(
            error("[[hook]]\npreset = \"asr\"\nlibrary = 'x'\nsymbol = \"f\"\n")
                .contains("hook number 1: no name")
        );
        assert!(error(&generic("")).contains("hook \"a\": no kind"));
        assert!(
            error("[[hook]]\nname = \"a\"\nlibrary = 'x'\nkind = \"counter\"\n")
                .contains("no function")
        );
        assert!(error(&generic("kind = \"counter\"\noffset = 1\n")).contains("two functions"));
        assert!(error(&generic("library = '('\n")).contains("library"));
        let twice = generic("kind = \"counter\"\n").repeat(2);
        assert!(error(&twice).contains("another hook has this name"));
        let long = "x".repeat(65);
        let text = format!("[[hook]]\nname = \"{long}\"\n{FUNCTION}kind = \"counter\"\n");
        assert!(error(&text).contains("longer than 64"));
    }

    #[test]
    fn key_that_says_nothing_where_it_is_is_an_error() {
        for (key, kind) in [
            ("min_positive = \"1s\"", "latency"),
            ("min_negative_results = 1", "counter"),
            ("positive = [1]", "latency"),
            ("reset = \"g\"", "latency"),
            ("returns = \"i32\"", "counter"),
            ("timeouts = [1]", "counter"),
            ("model = \"m\"", "edge"),
        ] {
            let text = error(&generic(&format!("{key}\nkind = \"{kind}\"\n")));
            let name = key.split(' ').next().unwrap();
            assert!(
                text.contains(&format!("`{name}`")) && text.contains("needs"),
                "{text}"
            );
        }
        let text = "[[hook]]\nname = \"vad\"\npreset = \"webrtcvad\"\nkind = \"counter\"\n";
        assert!(error(text).contains("`kind`"));
    }

    #[test]
    fn unknown_key_and_value_list_the_valid_ones() {
        assert!(error(&generic("kindd = \"edge\"\n")).contains("unknown field `kindd`"));
        assert!(error(&generic("kind = \"edges\"\n")).contains("unknown variant `edges`"));
        assert!(error(&generic("kind = \"edge\"\nmax_gap = 5\n")).contains("invalid type"));
        assert!(error(&generic("kind = \"edge\"\nmax_gap = \"2h\"\n")).contains("max_gap"));
    }

    #[test]
    fn hooks_stay_within_what_the_core_follows() {
        let mut text = String::new();
        for index in 0..=MAX_HOOKS {
            let name = format!("[[hook]]\nname = \"{index}\"\n");
            text += &(name + FUNCTION + "kind = \"counter\"\n");
        }
        assert!(error(&text).contains("more than"));
    }
}

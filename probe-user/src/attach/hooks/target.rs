//! What the configuration says of a library hook.

use probe_core::record::Hook;
use regex::Regex;

/// A configured hook.
#[derive(Clone, Debug)]
pub struct HookTarget {
    /// What its calls mean.
    pub hook: Hook,
    /// On the path of a mapped file, as its process sees it.
    pub library: Regex,
    /// The function.
    pub location: Location,
    /// Symbol of the function that makes an instance start anew.
    pub reset: Option<String>,
}

impl HookTarget {
    /// Whether both are the same but for their numbers.
    pub fn is_same(&self, other: &Self) -> bool {
        let hook = Hook {
            id: other.hook.id,
            ..self.hook.clone()
        };
        hook == other.hook
            && self.library.as_str() == other.library.as_str()
            && self.location == other.location
            && self.reset == other.reset
    }
}

/// Where a function is in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// By its symbol.
    Symbol(String),
    /// By its offset in the file, in bytes.
    Offset(u64),
}

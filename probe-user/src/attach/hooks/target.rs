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

/// Where a function is in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// By its symbol.
    Symbol(String),
    /// By its offset in the file, in bytes.
    Offset(u64),
}

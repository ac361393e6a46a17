//! Errors in the configuration: one line that names the place and the remedy.

use std::path::Path;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self(format!(
            "{}: cannot be read ({error}): give the path of a readable file, or leave it out for \
             the defaults",
            path.display()
        ))
    }

    pub(super) fn value(path: &Path, place: &str, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{}: {place}: {error}", path.display()))
    }

    pub(super) fn invalid(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map_or(1, |span| {
            text.get(..span.start)
                .unwrap_or(text)
                .bytes()
                .filter(|byte| *byte == b'\n')
                .count()
                + 1
        });
        let message = error.message().trim().replace('\n', " ");
        let remedy =
            nearest(&message).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Self(format!("{}:{line}: {message}{remedy}", path.display()))
    }
}

/// Of "unknown field `x`, expected one of `a`, `b`" the expected name nearest to the given one.
fn nearest(message: &str) -> Option<String> {
    let mut names = message.split('`').skip(1).step_by(2);
    let given = names.next()?;
    if !message.starts_with("unknown ") {
        return None;
    }
    names
        .max_by(|a, b| strsim::jaro_winkler(given, a).total_cmp(&strsim::jaro_winkler(given, b)))
        .map(str::to_owned)
}

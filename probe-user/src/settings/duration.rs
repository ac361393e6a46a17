//! Durations with units (`"500ms"`, `"1s"`).

use std::time::Duration;

use serde::{Deserialize as _, Deserializer};

/// Reads a duration; a bare number is refused, since its unit would be a guess.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// Reads a duration, or an empty string where there is none.
pub(super) fn deserialize_optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text).map(Some)
}

fn parse<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    let duration = humantime::parse_duration(text).map_err(|error| {
        E::custom(format!(
            "`{text}` is no duration ({error}); write it like \"500ms\""
        ))
    })?;
    if duration.is_zero() {
        return Err(E::custom("the duration must be longer than zero"));
    }
    Ok(duration)
}

//! Durations with units (`"500ms"`, `"1s"`).

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, de::Error as _};

/// Reads a duration; a bare number is refused, since its unit would be a guess.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!(
            "`{text}` is no duration ({error}); write it like \"500ms\""
        ))
    })?;
    if duration.is_zero() {
        return Err(D::Error::custom("the duration must be longer than zero"));
    }
    Ok(duration)
}

//! What must not be written: e-mail addresses, social security numbers, voice-pack paths.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// Patterns of the guide with their replacements. The e-mail pattern takes any top-level domain.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (
            r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b",
            "[EMAIL]",
        ),
        (r"\b\d{3}-\d{2}-\d{4}\b", "[SSN]"),
        (r#"/voicepacks/[^\s"',]*"#, "/voicepacks/[REDACTED]"),
    ]
    .into_iter()
    .filter_map(|(pattern, replacement)| Some((Regex::new(pattern).ok()?, replacement)))
    .collect()
});

/// The text without what must not be written.
pub fn redact(text: &str) -> Cow<'_, str> {
    PATTERNS
        .iter()
        .fold(Cow::Borrowed(text), |text, (pattern, replacement)| {
            if pattern.is_match(&text) {
                Cow::Owned(pattern.replace_all(&text, *replacement).into_owned())
            } else {
                text
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_replaced() {
        assert_eq!(PATTERNS.len(), 3, "every pattern compiles");
        assert_eq!(
            redact("from jane.doe+x@mail.example.org now"),
            "from [EMAIL] now"
        );
        assert_eq!(redact("ssn 123-45-6789"), "ssn [SSN]");
        assert_eq!(
            redact("open /voicepacks/acme/jane/ref/a.wav ok"),
            "open /voicepacks/[REDACTED] ok"
        );
        assert_eq!(
            redact("worker tts-cosy@0 on port 7001"),
            "worker tts-cosy@0 on port 7001"
        );
    }
}

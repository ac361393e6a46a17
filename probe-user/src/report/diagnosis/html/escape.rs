//! What came from the host or the wire, made harmless.

use std::fmt::{self, Display, Formatter, Write as _};

/// Text within an element or a quoted attribute, at most [`MAX_CHARS`] of it.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

/// Characters of one text. The longest that is honest is a sentence.
const MAX_CHARS: usize = 500;

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(MAX_CHARS) {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Names of threads may hold any byte; these would be invisible, or reverse the line.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                character if character.is_control() => f.write_char('\u{fffd}')?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// The first characters of a text, with a sign where some are left out.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_invisible_characters_are_shown_and_not_obeyed() {
        let text = Text("<b a=\"1\" c='2'>&\n\u{202e}ü").to_string();
        assert_eq!(
            text,
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;\u{fffd}\u{fffd}ü"
        );
        assert_eq!(Text(&"x".repeat(1_000)).to_string().len(), MAX_CHARS);
    }

    #[test]
    fn long_names_are_cut_with_a_sign() {
        assert_eq!(short("session", 7), "session");
        assert_eq!(short("session-1", 7), "sessio…");
    }
}

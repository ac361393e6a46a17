//! The value of a `traceparent` header (W3C Trace Context, 3.2): `version-trace id-parent id-flags`.

use crate::record::{SpanId, TraceContext, TraceId};

/// Bytes of version 00: 2 + 32 + 16 + 2 hexadecimal digits and three hyphens.
const LENGTH: usize = 55;

/// Bit of the flags that says `sampled` (3.2.2.5.1).
const SAMPLED: u8 = 1;

/// What the headers of one request say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    context: Option<TraceContext>,
    is_said: bool,
}

impl Said {
    /// Nothing yet.
    pub const NOTHING: Self = Self {
        context: None,
        is_said: false,
    };

    /// One more header. Two of them say nothing.
    pub fn add(&mut self, value: &[u8]) {
        let is_first = !std::mem::replace(&mut self.is_said, true);
        self.context = parse(value).filter(|_| is_first);
    }

    /// The trace, where one header says it.
    pub fn context(self) -> Option<TraceContext> {
        self.context
    }
}

/// What a value says; `None` for one that every reader must ignore (3.2.2, 4.3).
pub fn parse(value: &[u8]) -> Option<TraceContext> {
    let (head, more) = value.split_at_checked(LENGTH)?;
    let mut parts = head.split(|byte| *byte == b'-');
    let version: [u8; 1] = digits(parts.next()?)?;
    let trace: [u8; 16] = digits(parts.next()?)?;
    let parent: [u8; 8] = digits(parts.next()?)?;
    let [flags] = digits(parts.next()?)?;
    let complete = match version {
        [0] => more.is_empty(),
        // Reserved (3.2.2.1).
        [0xff] => false,
        // A later version may say more, behind another hyphen (3.2.4).
        _ => more.first().is_none_or(|byte| *byte == b'-'),
    };
    let named = trace != [0; 16] && parent != [0; 8];
    (complete && named && parts.next().is_none()).then_some(TraceContext {
        trace: TraceId(trace),
        parent: SpanId(parent),
        sampled: flags & SAMPLED != 0,
    })
}

/// Lower-case hexadecimal digits, exactly as many as fill `N` bytes.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of W3C Trace Context, 3.2.3.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn said(text: &str) -> Option<String> {
        let context = parse(text.as_bytes())?;
        let flags = u8::from(context.sampled);
        Some(format!("{}-{}-{flags:02}", context.trace, context.parent))
    }

    #[test]
    fn example_of_the_specification_is_read() {
        assert_eq!(said(EXAMPLE).as_deref(), EXAMPLE.get(3..));
        let unsampled = EXAMPLE.replace("-01", "-fe");
        assert!(!parse(unsampled.as_bytes()).unwrap().sampled);
    }

    #[test]
    fn later_version_may_say_more_and_this_one_may_not() {
        let later = EXAMPLE.replace("00-4b", "cc-4b");
        assert!(said(&later).is_some());
        assert!(said(&format!("{later}-what-the-future")).is_some());
        assert_eq!(said(&format!("{later}.more")), None);
        assert_eq!(said(&format!("{EXAMPLE}-01")), None);
    }

    #[test]
    fn value_that_must_be_ignored_is_none() {
        for (from, to) in [
            ("00-4b", "ff-4b"),
            ("4bf92f", "4BF92F"),
            ("4bf92f", "4bf92g"),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736",
                "00000000000000000000000000000000",
            ),
            ("00f067aa0ba902b7", "0000000000000000"),
            ("-01", "-1"),
            ("-01", "-0 "),
            ("6-0", "60-"),
            ("00-4b", "0-04b"),
        ] {
            assert_eq!(said(&EXAMPLE.replacen(from, to, 1)), None, "{from} as {to}");
        }
        assert_eq!(parse(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_ignored(value in prop::collection::vec(any::<u8>(), 0..80)) {
            parse(&value);
        }

        #[test]
        fn what_is_read_is_what_was_written(trace in 1..u128::MAX, parent in 1..u64::MAX, flags: u8) {
            let text = format!("00-{trace:032x}-{parent:016x}-{flags:02x}");
            let context = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(context.trace, TraceId(trace.to_be_bytes()));
            prop_assert_eq!(context.parent, SpanId(parent.to_be_bytes()));
            prop_assert_eq!(context.sampled, flags & 1 == 1);
        }
    }
}

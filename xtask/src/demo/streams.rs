//! The audio streams that are open, from the agent's `/streams`.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Frames after which a stream is under way: its listener's buffer is full and the rhythm known.
const UNDER_WAY_FRAMES: u64 = 25;

/// One audio stream, as the agent reports it. What it does not know is absent. Times are
/// milliseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    pub(super) session: Option<String>,
    pub(super) model: Option<String>,
    pub(super) pacing: Option<String>,
    pub(super) frames: u64,
    pub(super) jitter_p50_ms: Option<f64>,
    pub(super) jitter_p95_ms: Option<f64>,
    pub(super) lateness_ms: Option<f64>,
    pub(super) margin_ms: Option<f64>,
    pub(super) underruns: u64,
    pub(super) state: Option<String>,
}

/// Reads the body of `/streams`.
pub(super) fn parse(text: &str) -> Result<Vec<Stream>> {
    serde_json::from_str(text).context("read the streams")
}

/// The session, of those with this prefix, whose stream is under way and has most left to say: one
/// whose late frame a listener would hear. With it the milliseconds of audio that its listener has
/// in hand.
pub(super) fn speaking<'a>(streams: &'a [Stream], prefix: &str) -> Option<(&'a str, f64)> {
    streams
        .iter()
        .filter(|stream| {
            stream.frames >= UNDER_WAY_FRAMES && stream.state.as_deref() == Some("speaking")
        })
        .filter_map(|stream| Some((stream.frames, stream.session.as_deref()?, stream.margin_ms?)))
        .filter(|(_, session, _)| session.starts_with(prefix))
        .min_by_key(|(frames, _, _)| *frames)
        .map(|(_, session, margin)| (session, margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_is_no_list_is_an_error() {
        assert!(parse("{}").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn absent_value_is_unknown() {
        let streams = parse(r#"[{"worker": "w", "model": null, "frames": 7}]"#).expect("streams");
        assert_eq!(streams[0].frames, 7);
        assert_eq!(streams[0].model, None);
        assert_eq!(streams[0].jitter_p95_ms, None);
    }

    #[test]
    fn stream_with_most_left_to_say_is_chosen() {
        let stream = |session: &str, frames, state: &str| Stream {
            session: Some(session.to_string()),
            frames,
            state: Some(state.to_string()),
            margin_ms: Some(60.0),
            ..Stream::default()
        };
        let streams = [
            stream("later-0", 190, "speaking"),
            stream("later-1", 60, "speaking"),
            stream("later-2", 3, "speaking"),
            stream("later-3", 40, "paused"),
            stream("other-0", 30, "speaking"),
        ];
        assert_eq!(speaking(&streams, "later"), Some(("later-1", 60.0)));
        assert_eq!(speaking(&streams, "absent"), None);
    }
}

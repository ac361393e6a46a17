//! What a session says and does: the same for the same seed.

use std::time::Duration;

/// Words that texts are made of.
const WORDS: [&str; 12] = [
    "hello", "listen", "river", "morning", "seven", "window", "quiet", "number", "garden",
    "please", "answer", "yellow",
];

/// Frames received before a client acts on a stream: 100 to 400 ms into the audio.
const ACT_AFTER_FRAMES: std::ops::RangeInclusive<i64> = 5..=20;

/// The shape of a client's speech.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Characters in one utterance.
    pub(crate) text_length: usize,
    /// Characters in one text chunk.
    pub(crate) chunk_length: usize,
    /// Time between text chunks, a third more or less.
    pub(crate) chunk_interval: Duration,
    /// Whether control commands are used.
    pub(crate) controls: bool,
    /// Every how many utterances one is cancelled; 0 is never.
    pub(crate) cancel_every: u64,
    /// Longest pause before an utterance.
    pub(crate) idle: Duration,
    /// Where every pseudo-random choice starts.
    pub(crate) seed: u64,
}

/// What a client does to a stream that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Hears it out.
    Listen,
    /// PAUSE, and RESUME a while later.
    Pause,
    /// STOP.
    Stop,
    /// PAUSE and at once STOP, as on a barge-in.
    BargeIn,
    /// RELOAD.
    Reload,
    /// Lets go of the call (`RST_STREAM`).
    Cancel,
}

/// One part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// How long after the chunk before it.
    pub(crate) delay: Duration,
    pub(crate) text: String,
    pub(crate) is_final: bool,
}

/// One Synthesize call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Utterance {
    /// How long after the one before it.
    pub(crate) pause: Duration,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) act: Act,
    /// The act follows this many frames.
    pub(crate) after_frames: i64,
}

/// Utterance `index` of session number `session`, both from 0.
pub(crate) fn utterance(style: &Style, session: u64, index: u64) -> Utterance {
    let mut random = fastrand::Rng::with_seed(
        style.seed.rotate_left(32) ^ session.rotate_left(16) ^ index.wrapping_add(1),
    );
    let chunks = chunks(style, &mut random);
    Utterance {
        chunks,
        act: act(style, session, index),
        after_frames: random.i64(ACT_AFTER_FRAMES),
        pause: style.idle.mul_f64(random.f64()),
    }
}

fn act(style: &Style, session: u64, index: u64) -> Act {
    if style.cancel_every > 0 && (index + 1).is_multiple_of(style.cancel_every) {
        return Act::Cancel;
    }
    if !style.controls {
        return Act::Listen;
    }
    match (session + index) % 5 {
        0 => Act::Pause,
        1 => Act::Stop,
        2 => Act::Listen,
        3 => Act::BargeIn,
        _ => Act::Reload,
    }
}

fn chunks(style: &Style, random: &mut fastrand::Rng) -> Vec<Chunk> {
    let text = text(style.text_length, random);
    let mut rest = text.as_str();
    let mut chunks = Vec::new();
    while !rest.is_empty() || chunks.is_empty() {
        // The words are ASCII, so that a byte is a character.
        let (part, left) = rest.split_at(rest.len().min(style.chunk_length.max(1)));
        rest = left;
        let delay = if chunks.is_empty() {
            Duration::ZERO
        } else {
            style
                .chunk_interval
                .mul_f64(2.0 / 3.0 + random.f64() * 2.0 / 3.0)
        };
        chunks.push(Chunk {
            delay,
            text: part.to_owned(),
            is_final: rest.is_empty(),
        });
    }
    chunks
}

fn text(length: usize, random: &mut fastrand::Rng) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        text.push_str(random.choice(WORDS).unwrap_or(" "));
        text.push(' ');
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style {
        text_length: 50,
        chunk_length: 12,
        chunk_interval: Duration::from_millis(150),
        controls: true,
        cancel_every: 0,
        idle: Duration::ZERO,
        seed: 9,
    };

    #[test]
    fn same_seed_gives_the_same_utterance_and_another_a_different_one() {
        assert_eq!(utterance(&STYLE, 3, 4), utterance(&STYLE, 3, 4));
        let other = Style { seed: 10, ..STYLE };
        assert_ne!(
            utterance(&STYLE, 3, 4).chunks,
            utterance(&other, 3, 4).chunks
        );
    }

    #[test]
    fn chunks_make_up_the_whole_text_and_only_the_last_is_final() {
        let chunks = utterance(&STYLE, 0, 0).chunks;
        let length: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
        assert_eq!(length, 50);
        let finals: Vec<bool> = chunks.iter().map(|chunk| chunk.is_final).collect();
        assert_eq!(finals, [false, false, false, false, true]);
        let rate = Duration::from_millis(100)..=Duration::from_millis(200);
        assert!(
            chunks
                .iter()
                .skip(1)
                .all(|chunk| rate.contains(&chunk.delay))
        );
    }

    #[test]
    fn empty_text_is_one_final_chunk() {
        let chunks = utterance(
            &Style {
                text_length: 0,
                ..STYLE
            },
            0,
            0,
        )
        .chunks;
        assert_eq!(chunks.len(), 1);
        assert!(chunks[0].is_final && chunks[0].text.is_empty());
    }

    #[test]
    fn five_utterances_use_every_command_and_cancelling_goes_first() {
        let acts: Vec<Act> = (0..5).map(|index| act(&STYLE, 0, index)).collect();
        assert_eq!(
            acts,
            [
                Act::Pause,
                Act::Stop,
                Act::Listen,
                Act::BargeIn,
                Act::Reload
            ]
        );
        let style = Style {
            cancel_every: 2,
            ..STYLE
        };
        assert_eq!(act(&style, 0, 1), Act::Cancel);
        assert_eq!(
            act(
                &Style {
                    controls: false,
                    ..STYLE
                },
                0,
                0
            ),
            Act::Listen
        );
    }
}

//! What a session says and how it ends: the same for the same seed.

/// Words that texts are made of.
const WORDS: [&str; 8] = [
    "hello", "listen", "river", "morning", "seven", "window", "quiet", "number",
];

/// Audio messages heard before an interruption: 60 to 240 ms into the audio.
const ACT_AFTER_FRAMES: std::ops::RangeInclusive<u64> = 3..=12;

/// The shape of a talker's speech.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Text messages in one utterance.
    pub(crate) texts: usize,
    /// Characters in one text message.
    pub(crate) text_length: usize,
    /// Whether utterances are interrupted.
    pub(crate) interrupt: bool,
    /// Whether the microphone is spoken into.
    pub(crate) speech: bool,
    /// Where every pseudo-random choice starts.
    pub(crate) seed: u64,
}

/// What is done while an utterance plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Hears it out.
    Listen,
    /// STOP.
    Stop,
    /// PAUSE, and RESUME a while later.
    Pause,
    /// Goes on with the next utterance at once.
    Override,
    /// Speaks into the microphone.
    Speak,
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Close 1000 by the client
    ClientClose,
    /// FIN without a Close frame
    ClientEof,
    /// RST by the client
    ClientReset,
    /// Close 1000 by the server, asked for through its fault socket
    ServerClose,
    /// `session_end` and `EndSession`, asked for through the fault socket
    SessionEnd,
    /// The server aborts, asked for through the fault socket
    Crash,
    /// Nothing more is said until the server ends the session (`--idle-timeout-ms`)
    IdleTimeout,
    /// Pings are not answered (`--ping-interval-ms`)
    KeepAlive,
    /// A frame with a reserved opcode
    ProtocolError,
}

impl Way {
    /// As in the truth: the orchestrator's word for the same end.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientClose => "client_close",
            Self::ClientEof => "client_eof",
            Self::ClientReset => "client_reset",
            Self::ServerClose => "server_close",
            Self::SessionEnd => "session_end",
            Self::Crash => "crash",
            Self::IdleTimeout => "idle_timeout",
            Self::KeepAlive => "keep_alive",
            Self::ProtocolError => "protocol_error",
        }
    }
}

/// One utterance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Utterance {
    pub(crate) texts: Vec<String>,
    pub(crate) act: Act,
    /// The act follows this many audio messages.
    pub(crate) after_frames: u64,
}

/// Utterance `index` (from 0) of connection `connection`.
pub(crate) fn utterance(style: &Style, connection: u64, index: u64) -> Utterance {
    let mut random = fastrand::Rng::with_seed(
        style.seed.rotate_left(32) ^ connection.rotate_left(16) ^ index.wrapping_add(1),
    );
    let texts = (0..style.texts.max(1)).map(|_| text(style.text_length, &mut random));
    Utterance {
        texts: texts.collect(),
        act: act(style, connection, index),
        after_frames: random.u64(ACT_AFTER_FRAMES),
    }
}

fn act(style: &Style, connection: u64, index: u64) -> Act {
    let turn = connection + index;
    if style.speech && turn.is_multiple_of(3) {
        return Act::Speak;
    }
    if !style.interrupt {
        return Act::Listen;
    }
    match turn % 4 {
        0 => Act::Listen,
        1 => Act::Stop,
        2 => Act::Pause,
        _ => Act::Override,
    }
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
        texts: 3,
        text_length: 8,
        interrupt: true,
        speech: false,
        seed: 4,
    };

    #[test]
    fn same_seed_gives_the_same_utterance_and_another_a_different_one() {
        assert_eq!(utterance(&STYLE, 3, 4), utterance(&STYLE, 3, 4));
        let other = Style { seed: 5, ..STYLE };
        assert_ne!(utterance(&STYLE, 3, 4).texts, utterance(&other, 3, 4).texts);
    }

    #[test]
    fn texts_have_the_length_and_number_asked_for() {
        let texts = utterance(&STYLE, 1, 0).texts;
        assert_eq!(texts.iter().map(String::len).collect::<Vec<_>>(), [8, 8, 8]);
        let silent = Style { texts: 0, ..STYLE };
        assert_eq!(utterance(&silent, 1, 0).texts.len(), 1);
    }

    #[test]
    fn four_utterances_use_every_interruption_and_speech_goes_first() {
        let acts: Vec<Act> = (0..4).map(|index| act(&STYLE, 0, index)).collect();
        assert_eq!(acts, [Act::Listen, Act::Stop, Act::Pause, Act::Override]);
        let style = Style {
            speech: true,
            ..STYLE
        };
        assert_eq!(act(&style, 0, 3), Act::Speak);
    }
}

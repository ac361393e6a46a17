//! The scenes: which programs, and what they are made to do, one thing after the other.

use probe_tests::orchestra::Front;
use probe_tests::peer::Kind;

use super::{Act, Scene};

/// One worker paces its frames, the other sends them in bursts.
const BOTH: [&str; 2] = ["paced", "burst"];
/// Where calls are reset: what the gRPC library had received of a burst by then, and not handed on, the
/// orchestrator does not know.
const PACED: [&str; 2] = ["paced", "paced"];

/// Sessions that are open for some seconds while nothing happens, for the gauges; then they time out.
const STEADY: Act = Act::Talk(&[
    "--sessions",
    "3",
    "--ends",
    "idle-timeout",
    "--models",
    "tone-small",
]);
/// Utterances that are heard out.
const SMOOTH: Act = Act::Talk(&[
    "--sessions",
    "8",
    "--utterances",
    "2",
    "--models",
    "tone-small,tone-large",
]);
/// Utterances that are interrupted in each way.
const INTERRUPTED: Act = Act::Talk(&[
    "--sessions",
    "6",
    "--utterances",
    "4",
    "--text-length",
    "24",
    "--interrupt",
]);
/// Speech into the microphone, one session at a time: a library hook tells which process hears, and
/// not which session.
const SPOKEN: Act = Act::Talk(&[
    "--sessions",
    "3",
    "--utterances",
    "3",
    "--text-length",
    "24",
    "--speech",
    "--concurrent",
    "1",
]);
/// Every end that leaves the server running, and messages that are none.
const ENDS: Act = Act::Talk(&[
    "--sessions",
    "14",
    "--utterances",
    "2",
    "--malformed-every",
    "2",
    "--ends",
    "client-close,client-eof,client-reset,server-close,session-end,protocol-error,idle-timeout",
]);
/// The models are listed, one is loaded and unloaded, by a client of the worker's own; then every
/// command is given.
const COMMANDED: Act = Act::Call(&[
    "--inspect",
    "--controls",
    "--models",
    "tone-small",
    "--sessions",
    "2",
    "--utterances",
    "5",
    "--session-prefix",
    "direct",
]);

impl Scene {
    /// All scenes.
    pub(crate) const ALL: &[Self] = &[
        Self {
            name: "deflate",
            about: "voicelab, permessage-deflate on, an interruption is PAUSE and STOP",
            front: Front::Voicelab,
            deflate: true,
            workers: [Kind::Tonic; 2],
            modes: BOTH,
            orchestrator: &["--idle-timeout-ms", "4000", "--asr"],
            acts: &[
                COMMANDED,
                STEADY,
                Act::Fault("redis-error"),
                Act::Fault("drop 3"),
                SMOOTH,
                INTERRUPTED,
                SPOKEN,
                Act::Fault("error SYNTHESIS_FAILED"),
                ENDS,
            ],
        },
        Self {
            name: "plain",
            about: "voicelab, permessage-deflate off, an interruption is RST_STREAM",
            front: Front::Voicelab,
            deflate: false,
            workers: [Kind::Tonic; 2],
            modes: PACED,
            orchestrator: &["--barge-in", "reset", "--idle-timeout-ms", "4000"],
            acts: &[STEADY, SMOOTH, Act::Fault("slow 15"), INTERRUPTED, ENDS],
        },
        Self {
            name: "livekit",
            about: "voicelab without clients of its own: sessions are those of the calls",
            front: Front::LiveKit,
            deflate: false,
            workers: [Kind::Tonic; 2],
            modes: BOTH,
            orchestrator: &["--sessions", "6", "--utterances", "4", "--interrupt"],
            acts: &[],
        },
        Self {
            name: "grpcio",
            about: "voicelab in front of the Python workers, synchronous and asyncio",
            front: Front::Voicelab,
            deflate: true,
            workers: [Kind::GrpcSync, Kind::GrpcAio],
            modes: BOTH,
            orchestrator: &["--idle-timeout-ms", "4000"],
            acts: &[COMMANDED, STEADY, SMOOTH, INTERRUPTED],
        },
        Self::python("websockets", Front::Websockets, true),
        Self::python("websockets-plain", Front::Websockets, false),
        Self::python("websockets-uvloop", Front::WebsocketsUvloop, true),
        Self::python("aiohttp", Front::Aiohttp, true),
        Self::python("uvicorn", Front::Uvicorn, true),
    ];

    const fn python(name: &'static str, front: Front, deflate: bool) -> Self {
        Self {
            name,
            about: "the Python orchestrator on this server",
            front,
            deflate,
            workers: [Kind::Tonic; 2],
            modes: BOTH,
            orchestrator: &["--idle-timeout-ms", "4000"],
            acts: &[STEADY, SMOOTH, INTERRUPTED, ENDS],
        }
    }
}

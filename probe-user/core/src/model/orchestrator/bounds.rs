//! What the orchestrators' model holds at most, and how long it waits.

/// Sessions and `WebSocket` connections of all orchestrators at once. At about 1 KB each, 16 MB.
pub(super) const MAX_SESSIONS: usize = 16_384;

/// Calls to workers followed at once: as many as are interpreted.
pub(super) const MAX_STREAMS: usize = crate::interpret::MAX_CALLS;

/// Names of worker sessions that one orchestrator uses at once.
pub(super) const MAX_NAMES: usize = 16_384;

/// Names kept whose session is gone and whose end was never asked for: a call made a moment after
/// its client left must not be taken for another's.
pub(super) const MAX_ORPHANS: usize = 1024;

/// Sessions that may share one name, or among which it is not known who asked. Among more, nothing
/// is told apart.
pub(super) const MAX_OWNERS: usize = 64;

/// Names, and streams, of one orchestrator of which it is not known whose they are. Each takes a few
/// steps with every binding.
pub(super) const MAX_UNDECIDED: usize = 256;

/// Worker sessions of one session: one per worker it was moved to.
pub(super) const MAX_NAMES_PER_SESSION: usize = 8;

/// Nanoseconds within which the next message overtakes one that caused nothing: an orchestrator that is that
/// far behind will still come to it, and after more it has dropped it.
pub(super) const OVERTAKEN_NS: u64 = SECOND_NS / 4;

/// Messages of one receive call that wait for what they cause. Of more, the later ones are not timed.
pub(super) const MAX_PENDING_MESSAGES: usize = 16;

/// Utterances of one session that are asked for and not over: what a client may queue.
pub(super) const MAX_UTTERANCES: usize = 32;

/// Synthesis streams of one session, and of one utterance: a stream per sentence.
pub(super) const MAX_STREAMS_PER_SESSION: usize = 64;

/// Control calls without an answer, in all.
pub(super) const MAX_CONTROLS: usize = 4096;

/// Frames of one stream that were received and not forwarded: 82 s at 20 ms, which is more than a
/// worker that sends an utterance at once is ahead of the listener.
pub(super) const MAX_PENDING_FRAMES: usize = 4096;

/// The same of all streams: at 40 bytes each, 10 MB.
pub(super) const MAX_PENDING_FRAMES_IN_ALL: usize = 262_144;

/// Latencies held until the session's model is known.
pub(super) const MAX_HELD_LATENCIES: usize = 8;

/// Addresses of workers, and of workers that cannot be reached. A host talks to some dozens.
pub(super) const MAX_ADDRESSES: usize = 1024;

/// Models of all workers that sessions were started with. A host has a hundred at most.
pub(super) const MAX_SERVED: usize = 4096;

/// Failures of calls that no session could be told for, waiting for the client to be told.
pub(super) const MAX_FAILURES: usize = 64;

/// Audio messages of a session that only one stream can explain, before that stream is taken for the
/// session's.
pub(super) const AUDIO_MATCHES: u64 = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds within which an orchestrator that gets a message asks a worker for a session: the
/// slowest thing in between is the connect to the worker.
pub(super) const CAUSE_NS: u64 = 5 * SECOND_NS;

/// Nanoseconds after the upgrade within which an orchestrator that does not wait for a message asks a
/// worker for a session.
pub(super) const START_NS: u64 = SECOND_NS;

/// Nanoseconds that a session waits for its model before it is counted as `unknown`: two scrapes at
/// the guide's interval of 15 s.
pub(super) const MODEL_WAIT_NS: u64 = 30 * SECOND_NS;

/// Nanoseconds without audio after which no more of it is expected: a hundred frames of 20 ms.
pub(super) const SETTLE_NS: u64 = 2 * SECOND_NS;

/// Nanoseconds within which an orchestrator that hears the user speak interrupts the worker, if it
/// does.
pub(super) const REACTION_NS: u64 = 2 * SECOND_NS;

/// Nanoseconds within which a client is told that a call made for it failed.
pub(super) const ERROR_NS: u64 = 5 * SECOND_NS;

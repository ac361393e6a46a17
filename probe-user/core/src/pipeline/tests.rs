use super::*;
use crate::{
    metrics::Limits,
    record::{Chunk, Direction, GapReason, Hole, Joined, Opened, Side},
};

/// Names of the records a tap was given.
#[derive(Default)]
struct Names(Vec<&'static str>);

impl Tap for Names {
    fn record(&mut self, record: &Record<'_>) {
        self.0.push(match record {
            Record::Gap(_) => "gap",
            Record::Chunk(_) => "chunk",
            Record::Closed { .. } => "closed",
            Record::ProcessEnded { .. } => "process_ended",
            Record::Tick { .. } => "tick",
            _ => return,
        });
    }
}

const TGID: Tgid = Tgid(7);
const CONNECTION: ConnectionId = ConnectionId(1);

/// A pipeline whose only connection holds a chunk behind a hole.
fn holding() -> Pipeline {
    let mut pipeline = with_connection(Joined::Late);
    let chunk = Chunk {
        connection: CONNECTION,
        direction: Direction::Received,
        tid: 7,
        offset: 5,
        enter: KtimeNs(2),
        exit: KtimeNs(2),
        length: 3,
        bytes: vec![1, 2, 3].into(),
        holes: vec![].into(),
    };
    pipeline.handle(Record::Chunk(chunk), None);
    pipeline
}

/// A pipeline with one connection, a worker's, which nothing was said on.
fn with_connection(joined: Joined) -> Pipeline {
    let profile = Arc::new(Profile::builtin());
    let metrics = Metrics::new(Limits::default());
    let mut pipeline = Pipeline::new(profile, ModelSettings::default(), metrics);
    let process = Process {
        tgid: TGID,
        at: KtimeNs(0),
        role: Role::Worker,
        name: "tts@0".to_owned(),
        adapter: "mock".to_owned(),
    };
    pipeline.handle(Record::Process(process), None);
    let opened = Opened {
        connection: CONNECTION,
        tgid: TGID,
        at: KtimeNs(1),
        side: Some(Side::Server),
        joined,
        local: None,
        peer: None,
    };
    pipeline.handle(Record::Opened(opened), None);
    pipeline
}

#[test]
fn connection_whose_first_bytes_were_not_captured_is_wanted() {
    let mut pipeline = with_connection(Joined::FromStart);
    let hole = Hole {
        at: 0,
        length: 50,
        reason: GapReason::Shed,
    };
    let chunk = Chunk {
        connection: CONNECTION,
        direction: Direction::Received,
        tid: 7,
        offset: 0,
        enter: KtimeNs(2),
        exit: KtimeNs(2),
        length: 50,
        bytes: vec![].into(),
        holes: vec![hole].into(),
    };
    pipeline.handle(Record::Chunk(chunk), None);
    assert_eq!(pipeline.poll_unwanted(), None);
}

fn told(record: Record<'_>) -> Vec<&'static str> {
    let mut names = Names::default();
    holding().handle(record, Some(&mut names));
    names.0
}

#[test]
fn held_chunk_is_told_before_the_end_of_its_connection() {
    let closed = Record::Closed {
        connection: CONNECTION,
        at: KtimeNs(3),
        errno: None,
    };
    assert_eq!(told(closed), ["gap", "chunk", "closed"]);
}

#[test]
fn held_chunk_is_told_before_the_end_of_its_process() {
    let ended = Record::ProcessEnded {
        tgid: TGID,
        at: KtimeNs(3),
    };
    assert_eq!(told(ended), ["gap", "chunk", "process_ended"]);
}

#[test]
fn held_chunk_is_told_before_the_tick_that_frees_it() {
    let at = KtimeNs(1_000_000_000);
    assert_eq!(told(Record::Tick { at }), ["gap", "chunk", "tick"]);
}

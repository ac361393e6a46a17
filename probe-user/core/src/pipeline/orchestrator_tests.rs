//! Orchestrators' facts on their way through the pipeline: processes, connections, ticks.

use super::*;
use crate::metrics::Limits;
use crate::record::{Address, Joined, Opened, Side};

const ORCHESTRATOR: Tgid = Tgid(7);
const WORKER: Tgid = Tgid(8);

fn process(tgid: Tgid, role: Role) -> Record<'static> {
    Record::Process(Process {
        tgid,
        at: KtimeNs(0),
        role,
        name: "tts@0".to_owned(),
        adapter: "mock".to_owned(),
    })
}

fn opened(id: u64, tgid: Tgid, side: Side, local: Option<&str>, peer: &str) -> Record<'static> {
    let inet = |text: &str| Address::Inet(text.parse().unwrap());
    Record::Opened(Opened {
        connection: ConnectionId(id),
        tgid,
        at: KtimeNs(1),
        side: Some(side),
        joined: Joined::FromStart,
        local: local.map(inet),
        peer: Some(inet(peer)),
    })
}

fn errors(pipeline: &Pipeline) -> u64 {
    pipeline
        .metrics()
        .orchestrator
        .session_errors
        .with(&["worker_unavailable"])
        .get()
}

#[test]
fn refused_connect_to_a_port_where_a_watched_worker_accepts_is_an_error_and_others_are_not() {
    let profile = Arc::new(Profile::builtin());
    let metrics = Metrics::new(Limits::default());
    let mut pipeline = Pipeline::new(profile, ModelSettings::default(), metrics);
    let second = 1_000_000_000;
    let mut records = vec![
        process(ORCHESTRATOR, Role::Orchestrator),
        process(WORKER, Role::Worker),
        opened(
            1,
            WORKER,
            Side::Server,
            Some("127.0.0.1:7001"),
            "127.0.0.1:50000",
        ),
    ];
    for (id, port) in [(2, 7001), (3, 7001), (4, 9999)] {
        let peer = format!("127.0.0.1:{port}");
        records.push(opened(id, ORCHESTRATOR, Side::Client, None, &peer));
        records.push(Record::Closed {
            connection: ConnectionId(id),
            at: KtimeNs(second),
            errno: Some(111),
        });
    }
    for record in records {
        pipeline.handle(record, None);
    }
    pipeline.handle(
        Record::Tick {
            at: KtimeNs(second),
        },
        None,
    );
    assert_eq!(errors(&pipeline), 0, "a client may yet be told of it");
    let at = KtimeNs(7 * second);
    pipeline.handle(Record::Tick { at }, None);
    assert_eq!(errors(&pipeline), 1);
}

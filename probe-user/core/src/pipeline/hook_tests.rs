//! Library hooks through the whole pipeline: descriptions and calls in, speech out.

use super::*;
use crate::{
    metrics::Limits,
    model::Speech,
    record::{Debounce, Hook, HookEvent, HookId, HookKind, HookMeaning, Returns},
};

const TGID: Tgid = Tgid(7);

fn hook() -> Hook {
    Hook {
        id: HookId(0),
        name: "vad".to_owned(),
        role: Some(Role::Orchestrator),
        kind: HookKind::Edge,
        returns: Returns::I32,
        positive: Vec::new(),
        timeouts: Vec::new(),
        sees_resets: false,
        debounce: Debounce::default(),
        meaning: HookMeaning::Vad,
    }
}

fn process(role: Role) -> Record<'static> {
    Record::Process(Process {
        tgid: TGID,
        at: KtimeNs(0),
        role,
        name: "orchestrator@0".to_owned(),
        adapter: "unknown".to_owned(),
    })
}

fn called(at: u64, value: u64) -> Record<'static> {
    Record::HookCalled(HookCall {
        hook: HookId(0),
        tgid: TGID,
        tid: 7,
        enter: KtimeNs(at),
        exit: KtimeNs(at + 1),
        instance: 0x1000,
        event: HookEvent::Returned(value),
    })
}

/// Speech that comes of these records.
fn speech(records: Vec<Record<'_>>) -> Vec<(Tgid, KtimeNs, Speech)> {
    let metrics = Metrics::new(Limits::default());
    let profile = Arc::new(Profile::builtin());
    let mut pipeline = Pipeline::new(profile, ModelSettings::default(), metrics);
    for record in records {
        pipeline.handle(record, None);
    }
    pipeline.heard
}

#[test]
fn speech_is_handed_on_with_its_process_and_time_in_order() {
    let records = vec![
        Record::Hook(hook()),
        process(Role::Orchestrator),
        called(10, 1),
        called(20, 1),
        called(30, 0),
    ];
    let expected = [
        (TGID, KtimeNs(11), Speech::Started),
        (TGID, KtimeNs(31), Speech::Ended),
    ];
    assert_eq!(speech(records), expected);
}

#[test]
fn call_of_a_process_that_is_not_watched_or_of_another_part_is_no_speech() {
    let unknown = vec![Record::Hook(hook()), called(10, 1)];
    assert_eq!(speech(unknown), []);
    let worker = vec![Record::Hook(hook()), process(Role::Worker), called(10, 1)];
    assert_eq!(speech(worker), []);
}

#[test]
fn process_id_used_again_is_another_process() {
    let records = vec![
        Record::Hook(hook()),
        process(Role::Orchestrator),
        called(10, 1),
        Record::ProcessEnded {
            tgid: TGID,
            at: KtimeNs(20),
        },
        process(Role::Orchestrator),
        called(30, 1),
    ];
    let starts = speech(records);
    assert_eq!(starts.len(), 2, "{starts:?}");
}

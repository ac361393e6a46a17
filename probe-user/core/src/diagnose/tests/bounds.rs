//! What must not be named, and what is held at most.

use super::story::{SENDER, START, Story, at, timed, wait};
use crate::diagnose::{Cause, RECENT, WORST};
use crate::model::LateFrame;
use crate::record::{KtimeNs, Left, Sched, Wait};

#[test]
fn two_causes_with_about_as_much_time_are_unexplained() {
    let mut story = Story::new();
    story.tell(Sched {
        left: Left::Uninterruptible,
        ..wait(SENDER, START + 20.0, START + 50.0, START + 50.0)
    });
    story.tell(Sched {
        wait: Wait::Send,
        ..wait(SENDER, START + 50.1, START + 80.0, START + 80.0)
    });
    let finding = story.assert(Story::frame(START + 80.1), Cause::Unexplained);
    let named: Vec<_> = finding
        .verdict
        .shares
        .iter()
        .map(|(cause, _)| cause)
        .collect();
    assert!(
        named.contains(&&Cause::DiskOrPageFault) && named.contains(&&Cause::SocketBackpressure)
    );
}

#[test]
fn wait_for_input_without_text_is_unexplained() {
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 90.0, START + 90.0));
    story.assert(Story::frame(START + 90.1), Cause::Unexplained);
    // 70 of 90 ms.
    let told: Vec<_> = story.diagnosis.summary().unexplained.iter().collect();
    assert_eq!(told, [(&77, &1)]);
}

#[test]
fn lost_records_make_the_cause_unknown() {
    let mut story = Story::new();
    // The record of the interval is lost; the next one begins after it.
    let mut next = timed(SENDER, START + 100.0, START + 120.0, START + 120.0);
    next.since = at(START + 95.0);
    next.run = at(START + 95.0);
    story.diagnosis.handle_sched(&next);
    story.assert(Story::frame(START + 90.0), Cause::Unknown);
}

#[test]
fn frame_of_an_unseen_thread_is_unknown() {
    let mut story = Story::new();
    story.diagnosis.handle_late(Story::frame(START + 90.0));
    story.diagnosis.finish();
    let worst = &story.diagnosis.summary().worst;
    assert_eq!(worst.first().unwrap().verdict.cause, Cause::Unknown);
}

#[test]
fn frames_are_judged_when_later_evidence_is_there_and_not_before() {
    let mut story = Story::new();
    let late = Story::frame(START + 90.0);
    story.send(late.at);
    story.diagnosis.handle_late(late);
    story.diagnosis.handle_tick(at(START + 200.0));
    assert_eq!(story.diagnosis.summary().late_frames(), 0);
    story.diagnosis.handle_tick(at(START + 391.0));
    assert_eq!(story.diagnosis.summary().late_frames(), 1);
}

#[test]
fn report_keeps_the_worst_frames_only() {
    let mut story = Story::new();
    for late in 0..100_u64 {
        let late = LateFrame {
            excess_ns: late,
            ..Story::frame(START + 90.0)
        };
        story.diagnosis.handle_late(late);
    }
    story.diagnosis.finish();
    let summary = story.diagnosis.summary();
    assert_eq!((summary.worst.len(), summary.late_frames()), (WORST, 100));
    assert_eq!(summary.recent.len(), RECENT);
    let excess: Vec<u64> = summary.worst.iter().map(|one| one.late.excess_ns).collect();
    assert_eq!(excess, (90..100).rev().collect::<Vec<u64>>());
}

#[test]
fn senseless_times_do_no_harm() {
    let mut story = Story::new();
    for base in [0, 1, u64::MAX - 5, u64::MAX] {
        let time = |plus: u64| KtimeNs(base.saturating_add(plus));
        story.diagnosis.handle_sched(&Sched {
            since: time(0),
            run: time(1),
            off: time(2),
            wake: time(3),
            at: time(4),
            deadline: Some(KtimeNs(0)),
            ..wait(SENDER, 0.0, 0.0, 0.0)
        });
        let late = LateFrame {
            previous: time(0),
            at: time(4),
            excess_ns: u64::MAX,
            text: Some(KtimeNs(u64::MAX)),
            ..Story::frame(START)
        };
        story.send(late.at);
        story.diagnosis.handle_late(late);
    }
    story.diagnosis.handle_tick(KtimeNs(u64::MAX));
    story.diagnosis.finish();
    assert_eq!(story.diagnosis.summary().late_frames(), 4);
}

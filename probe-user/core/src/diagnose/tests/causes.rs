//! Each cause by the shape that proves it.

use super::story::{HELPER, SENDER, START, Story, WORKER, at, contended, thread, timed, wait};
use crate::diagnose::{Cause, Kind};
use crate::model::LateFrame;
use crate::record::{CpuQuota, Left, Sched, Tgid, Wait};

#[test]
fn thread_kept_from_a_cpu_blames_contention_and_names_who_ran() {
    let mut story = Story::new();
    story.tell(contended());
    let finding = story.assert(Story::frame(START + 80.5), Cause::CpuContention);
    let account = finding.account.unwrap();
    let other = account.part(Kind::Contention).other.clone().unwrap();
    assert_eq!((other.tgid, &*other.comm), (Tgid(99), "hog"));
    assert_eq!(account.ns(Kind::Unknown), 0, "the whole interval is told");
}

#[test]
fn thread_kept_from_a_cpu_by_a_quota_blames_the_quota() {
    let mut story = Story::new();
    story.tell(contended());
    story.diagnosis.handle_quota(&CpuQuota {
        tgid: WORKER,
        before: at(START + 50.0),
        at: at(START + 150.0),
        periods: 1,
        throttled_ns: 55_000_000,
    });
    story.assert(Story::frame(START + 80.5), Cause::CgroupThrottled);
}

#[test]
fn computing_thread_blames_itself() {
    let mut story = Story::new();
    story.tell(timed(SENDER, START + 0.2, START + 20.0, START + 20.0));
    // No record until the send: it never left the CPU.
    story.assert(Story::frame(START + 90.0), Cause::CpuSelf);
}

#[test]
fn wait_for_a_busy_thread_of_the_process_blames_the_lock_and_its_holder() {
    let mut story = Story::new();
    story.tell(timed(HELPER, 0.0, START + 5.0, START + 5.0));
    story.tell(Sched {
        wait: Wait::Futex,
        waker: Some(thread(WORKER, HELPER, "holder")),
        waker_in: Wait::Futex,
        ..wait(SENDER, START + 0.2, START + 100.0, START + 100.1)
    });
    let finding = story.assert(Story::frame(START + 100.3), Cause::Lock);
    let account = finding.account.unwrap();
    let holder = account.part(Kind::Lock).other.clone().unwrap();
    assert_eq!(&*holder.comm, "holder");
}

#[test]
fn polls_for_a_lock_that_is_free_in_the_end_belong_to_what_kept_it() {
    for (sleeps, cause) in [(false, Cause::Lock), (true, Cause::DiskOrPageFault)] {
        let mut story = Story::new();
        story.tell(timed(HELPER, 0.0, START + 0.1, START + 0.1));
        if sleeps {
            story.tell(Sched {
                left: Left::Uninterruptible,
                wait: Wait::User,
                ..wait(HELPER, START + 0.1, START + 79.0, START + 79.0)
            });
        }
        // The last one times out as well: its holder lets go before it asks again.
        for poll in 0..16 {
            let from = START + 0.2 + f64::from(poll) * 5.0;
            story.tell(Sched {
                wait: Wait::Futex,
                ..timed(SENDER, from, from + 4.95, from + 4.95)
            });
        }
        story.assert(Story::frame(START + 80.3), cause);
    }
}

#[test]
fn lock_of_a_thread_that_waits_for_a_disk_blames_the_disk() {
    let mut story = Story::new();
    story.tell(timed(HELPER, 0.0, START + 5.0, START + 5.0));
    story.tell(Sched {
        left: Left::Uninterruptible,
        wait: Wait::User,
        ..wait(HELPER, START + 8.0, START + 99.0, START + 99.0)
    });
    story.tell(Sched {
        wait: Wait::Futex,
        waker: Some(thread(WORKER, HELPER, "reader")),
        waker_in: Wait::Futex,
        ..wait(SENDER, START + 0.2, START + 100.0, START + 100.1)
    });
    story.assert(Story::frame(START + 100.3), Cause::DiskOrPageFault);
}

#[test]
fn lock_of_a_thread_that_gets_no_cpu_blames_what_ran_instead() {
    let mut story = Story::new();
    story.tell(timed(HELPER, 0.0, START + 5.0, START + 5.0));
    story.tell(Sched {
        left: Left::Runnable,
        wait: Wait::User,
        runner: Some((thread(Tgid(99), 99, "hog"), 90_000_000)),
        ..wait(HELPER, START + 8.0, START + 8.0, START + 99.0)
    });
    story.tell(Sched {
        wait: Wait::Futex,
        waker: Some(thread(WORKER, HELPER, "holder")),
        waker_in: Wait::Futex,
        ..wait(SENDER, START + 0.2, START + 100.0, START + 100.1)
    });
    story.assert(Story::frame(START + 100.3), Cause::CpuContention);
}

#[test]
fn lock_that_was_another_threads_before_blames_what_held_that_one() {
    const FIRST: u32 = 13;
    let mut story = Story::new();
    story.tell(timed(FIRST, 0.0, START + 5.0, START + 5.0));
    story.tell(timed(HELPER, 0.0, START + 5.0, START + 5.0));
    story.tell(Sched {
        left: Left::Uninterruptible,
        wait: Wait::User,
        ..wait(FIRST, START + 6.0, START + 95.0, START + 95.0)
    });
    let handed = |tid, by, off, wake| Sched {
        wait: Wait::Futex,
        waker: Some(thread(WORKER, by, "python")),
        waker_in: Wait::Futex,
        ..wait(tid, off, wake, wake)
    };
    story.tell(handed(HELPER, FIRST, START + 7.0, START + 96.0));
    story.tell(handed(SENDER, HELPER, START + 0.2, START + 100.0));
    story.assert(Story::frame(START + 100.3), Cause::DiskOrPageFault);
}

#[test]
fn polls_for_a_lock_belong_to_its_holder() {
    let mut story = Story::new();
    story.tell(timed(HELPER, 0.0, START + 1.0, START + 1.0));
    // As Python asks for its interpreter lock: 5 ms each, and the last time it is let in. Once it
    // waits for a CPU before it can ask again.
    for poll in 0..15 {
        let from = START + 0.2 + f64::from(poll) * 5.0;
        let asked = if poll == 7 { 2.5 } else { 4.95 };
        story.tell(Sched {
            wait: Wait::Futex,
            wake: at(from + asked),
            ..timed(SENDER, from, from + asked, from + 4.95)
        });
    }
    story.tell(Sched {
        wait: Wait::Futex,
        deadline: Some(at(START + 80.2)),
        waker: Some(thread(WORKER, HELPER, "holder")),
        waker_in: Wait::Futex,
        ..wait(SENDER, START + 75.2, START + 78.0, START + 78.0)
    });
    story.assert(Story::frame(START + 78.1), Cause::Lock);
}

#[test]
fn timer_that_fires_late_blames_the_timer() {
    let mut story = Story::new();
    story.tell(timed(SENDER, START + 0.2, START + 20.0, START + 75.0));
    story.assert(Story::frame(START + 75.2), Cause::TimerOvershoot);
}

#[test]
fn timer_that_was_set_late_blames_the_worker() {
    let mut story = Story::new();
    story.tell(timed(SENDER, START + 0.2, START + 120.0, START + 120.0));
    story.assert(Story::frame(START + 120.2), Cause::OwnTimer);
}

#[test]
fn timer_of_another_thread_is_followed_to_its_wait() {
    // A runtime's timer thread wakes the sender, frame by frame.
    let mut story = Story::new();
    let handed = |off: f64, wake: f64| Sched {
        wait: Wait::Futex,
        waker: Some(thread(WORKER, HELPER, "timer")),
        waker_in: Wait::Futex,
        ..wait(SENDER, off, wake, wake)
    };
    let mut late = Story::frame(START + 220.2);
    for frame in 0..5 {
        let sent = START + f64::from(frame) * 20.0;
        story.tell(Sched {
            wait: Wait::Futex,
            ..timed(HELPER, sent + 0.2, sent + 20.0, sent + 20.0)
        });
        story.tell(handed(sent + 0.3, sent + 20.1));
    }
    story.tell(Sched {
        wait: Wait::Futex,
        ..timed(HELPER, START + 100.2, START + 220.0, START + 220.0)
    });
    story.tell(handed(START + 100.3, START + 220.1));
    late.previous = at(START + 100.0);
    late.excess_ns = 100_000_000;
    story.assert(late, Cause::OwnTimer);
}

#[test]
fn sender_that_was_awake_by_chance_does_not_hide_who_was_kept_from_work() {
    let mut story = Story::new();
    // The thread with the pacing clock is ready in time and gets no CPU; the sender wakes for
    // another timer of its own meanwhile.
    story.tell(Sched {
        wake: at(START + 20.0),
        runner: Some((thread(Tgid(99), 99, "hog"), 58_000_000)),
        ..timed(HELPER, START + 0.2, START + 20.0, START + 79.5)
    });
    story.tell(timed(SENDER, START + 0.2, START + 79.0, START + 79.0));
    let finding = story.assert(Story::frame(START + 80.0), Cause::CpuContention);
    assert_eq!(finding.thread, Some(SENDER));
}

#[test]
fn uninterruptible_sleep_blames_storage_or_memory() {
    let mut story = Story::new();
    story.tell(Sched {
        left: Left::Uninterruptible,
        wait: Wait::User,
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    });
    story.assert(Story::frame(START + 90.1), Cause::DiskOrPageFault);
}

#[test]
fn stopped_process_is_told_from_a_waiting_one() {
    let mut story = Story::new();
    story.tell(Sched {
        left: Left::Stopped,
        waker: Some(thread(Tgid(7), 7, "kill")),
        ..wait(SENDER, START + 0.2, START + 500.0, START + 500.0)
    });
    let finding = story.assert(Story::frame(START + 500.1), Cause::Stopped);
    let account = finding.account.unwrap();
    assert_eq!(account.part(Kind::Stopped).other.clone().unwrap().tid, 7);
}

#[test]
fn text_that_comes_after_the_frame_was_due_blames_upstream() {
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 90.0, START + 90.0));
    let late = LateFrame {
        text: Some(at(START + 90.0)),
        ..Story::frame(START + 91.0)
    };
    story.assert(late, Cause::LateUpstreamText);
}

#[test]
fn frame_as_soon_after_late_text_as_the_first_one_blames_upstream_whatever_the_threads_did() {
    for (text, cause) in [
        (70.0, Cause::LateUpstreamText),
        // Long after the text: something else held it.
        (30.0, Cause::OwnTimer),
        // In time.
        (15.0, Cause::OwnTimer),
    ] {
        let mut story = Story::new();
        story.tell(timed(SENDER, START + 0.2, START + 120.0, START + 120.0));
        let late = LateFrame {
            text: Some(at(START + text)),
            starting_ns: Some(30_000_000),
            ..Story::frame(START + 120.2)
        };
        story.assert(late, cause);
    }
}

#[test]
fn text_in_passing_does_not_hide_the_timer_that_released_the_frame() {
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 40.0, START + 40.0));
    story.tell(timed(SENDER, START + 40.1, START + 120.0, START + 120.0));
    let late = |text| LateFrame {
        text: Some(at(text)),
        ..Story::frame(START + 120.2)
    };
    story.assert(late(START + 40.0), Cause::OwnTimer);

    // Most of the wait was for input, and text came: either may be why.
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 90.0, START + 90.0));
    story.tell(timed(SENDER, START + 90.1, START + 120.0, START + 120.0));
    story.assert(late(START + 90.0), Cause::Unexplained);
}

#[test]
fn model_load_in_the_way_explains_a_busy_worker_only() {
    let load = (at(START), at(START + 200.0));
    let mut story = Story::new();
    story.tell(timed(SENDER, START + 0.2, START + 20.0, START + 20.0));
    story.diagnosis.context.add_load(WORKER, load.0, load.1);
    story.assert(Story::frame(START + 90.0), Cause::ModelLoad);

    let mut story = Story::new();
    story.tell(contended());
    story.diagnosis.context.add_load(WORKER, load.0, load.1);
    story.assert(Story::frame(START + 80.5), Cause::CpuContention);
}

#[test]
fn pause_in_force_is_the_cause_even_without_scheduling() {
    let mut story = Story::new();
    let late = LateFrame {
        paused_ns: 60_000_000,
        ..Story::frame(START + 90.0)
    };
    story.tell(timed(SENDER, START + 0.2, START + 90.0, START + 90.0));
    story.assert(late, Cause::Pause);
}

//! Each cause by the shape that proves it.

use super::story::{HELPER, SENDER, START, Story, WORKER, at, thread, timed, wait};
use crate::diagnose::{Cause, Kind};
use crate::flow::{Blocked, Limit};
use crate::model::LateFrame;
use crate::record::{
    ConnectionId, CpuQuota, Gpu, GpuProcess, GpuReadings, GpuSample, Left, Sched, TcpReading, Tgid,
    Wait,
};

/// Ready after 20 ms, on a CPU after 80.
fn contended() -> Sched {
    Sched {
        wake: at(START + 20.0),
        runner: Some((thread(Tgid(99), 99, "hog"), 58_000_000)),
        ..timed(SENDER, START + 0.2, START + 20.0, START + 80.0)
    }
}

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
fn send_that_waits_or_finds_no_room_blames_the_receiver() {
    let mut story = Story::new();
    story.tell(Sched {
        wait: Wait::Send,
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    });
    story.assert(Story::frame(START + 90.1), Cause::SocketBackpressure);

    let mut story = Story::new();
    story.tell(Sched {
        refused: Some(at(START + 0.1)),
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    });
    story.assert(Story::frame(START + 90.1), Cause::SocketBackpressure);
}

/// TCP's counts of 100 ms from `before` on, milliseconds.
fn tcp(connection: u64, before: f64, window_full_ms: u64, unacknowledged_ms: u64) -> TcpReading {
    TcpReading {
        connection: ConnectionId(connection),
        at: at(before + 100.0),
        before: at(before),
        resent: 3,
        window_full_ns: window_full_ms * 1_000_000,
        unacknowledged_ns: unacknowledged_ms * 1_000_000,
    }
}

#[test]
fn full_socket_blames_the_network_while_the_receiver_has_room_and_does_not_acknowledge() {
    for (window_full_ms, unacknowledged_ms, cause) in [
        (0, 100, Cause::PacketLoss),
        (30, 100, Cause::PacketLoss),
        (80, 100, Cause::SocketBackpressure),
        (0, 30, Cause::SocketBackpressure),
    ] {
        let mut story = Story::new();
        story.tell(Sched {
            wait: Wait::Send,
            ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
        });
        let counts =
            |connection, before| tcp(connection, before, window_full_ms, unacknowledged_ms);
        story.diagnosis.handle_tcp(&counts(1, START + 10.0));
        // Those of another connection and of another time say nothing.
        for _ in 0..9 {
            story.diagnosis.handle_tcp(&counts(2, START + 10.0));
            story.diagnosis.handle_tcp(&counts(1, START + 91.0));
        }
        let finding = story.assert(Story::frame(START + 90.1), cause);
        let trouble = finding.verdict.tcp.expect("TCP said something");
        assert_eq!(trouble.resent, 3);
    }
}

/// The sender waits for input until the frame is sent, and this kept it from sending meanwhile.
fn blocked(stream: Option<u32>, from: f64, until: f64, by: Limit) -> Story {
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 120.0, START + 120.0));
    story.diagnosis.handle_blocked(Blocked {
        connection: ConnectionId(1),
        stream,
        from: at(from),
        until: at(until),
        by,
    });
    story
}

#[test]
fn frame_without_http2_window_blames_the_window() {
    let late = Story::frame(START + 120.3);
    for by in [Limit::StreamWindow, Limit::ConnectionWindow] {
        let mut story = blocked(Some(1), START, START + 119.5, by);
        let finding = story.assert(late.clone(), Cause::Http2Window);
        assert_eq!(
            finding.verdict.blocked.windows_ns(),
            99_500_000,
            "since it was due"
        );
    }
    // Another stream's window, or one that came when the frame was hardly due.
    let mut story = blocked(Some(3), START, START + 119.5, Limit::StreamWindow);
    story.assert(late.clone(), Cause::Unexplained);
    let mut story = blocked(Some(1), START, START + 50.0, Limit::StreamWindow);
    story.assert(late, Cause::Unexplained);
}

#[test]
fn used_up_window_blames_the_network_where_nothing_is_acknowledged() {
    let mut story = blocked(Some(1), START, START + 119.5, Limit::ConnectionWindow);
    story.diagnosis.handle_tcp(&tcp(1, START + 20.0, 0, 95));
    story.assert(Story::frame(START + 120.3), Cause::PacketLoss);
}

#[test]
fn used_up_window_blames_itself_where_bytes_were_on_their_way_before() {
    // Nothing is told of the time in which all was acknowledged.
    let mut story = blocked(Some(1), START, START + 319.5, Limit::ConnectionWindow);
    story.diagnosis.handle_tcp(&tcp(1, START - 40.0, 0, 95));
    story.assert(Story::frame(START + 320.3), Cause::Http2Window);
}

#[test]
fn interrupted_frame_blames_the_receiver_whichever_thread_ends_it() {
    let mut story = blocked(None, START, START + 119.5, Limit::Socket);
    story.assert(Story::frame(START + 120.3), Cause::SocketBackpressure);
}

#[test]
fn refused_send_blames_the_receiver_until_something_is_sent() {
    let refused = |from: f64| {
        let mut story = Story::new();
        // Its threads go on with what they have to do: other streams' timers.
        for turn in 0..5 {
            let from = START + 0.2 + f64::from(turn) * 24.0;
            story.tell(timed(SENDER, from, from + 23.0, from + 23.0));
        }
        story.send(at(START - 200.0));
        story.diagnosis.handle_refused(ConnectionId(1), at(from));
        story
    };
    let late = Story::frame(START + 120.3);
    let finding = refused(START + 1.0).assert(late.clone(), Cause::SocketBackpressure);
    assert_eq!(finding.verdict.blocked.socket_ns, 100_300_000, "since due");
    // The socket had room again for most of the time, or the record came after what was sent since.
    let mut story = refused(START - 100.0);
    story.send(at(START + 30.0));
    story.assert(late.clone(), Cause::OwnTimer);
    let mut story = refused(START - 300.0);
    story.assert(late, Cause::OwnTimer);
}

#[test]
fn socket_that_is_full_in_two_ways_at_once_is_full_once() {
    let mut story = blocked(None, START + 60.0, START + 119.5, Limit::Socket);
    story.send(at(START - 10.0));
    story
        .diagnosis
        .handle_refused(ConnectionId(1), at(START + 60.0));
    let finding = story.assert(Story::frame(START + 120.3), Cause::SocketBackpressure);
    assert_eq!(finding.verdict.blocked.socket_ns, 60_300_000);
}

#[test]
fn window_that_a_kept_thread_did_not_read_of_blames_what_kept_it() {
    let mut story = Story::new();
    story.tell(contended());
    story.diagnosis.handle_blocked(Blocked {
        connection: ConnectionId(1),
        stream: Some(1),
        from: at(START),
        until: at(START + 80.0),
        by: Limit::StreamWindow,
    });
    story.assert(Story::frame(START + 80.5), Cause::CpuContention);
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

/// One GPU of the worker, with these reasons for slower clocks and this share of a neighbour.
fn gpu(reasons: u64, neighbour: u32) -> GpuSample {
    let process = |pid, watched, percent| GpuProcess {
        pid,
        watched,
        memory_bytes: None,
        sm_percent: Some(percent),
    };
    GpuSample {
        at: at(START + 50.0),
        gpus: vec![Gpu {
            id: "0".into(),
            readings: GpuReadings {
                throttle_reasons: Some(reasons),
                ..GpuReadings::default()
            },
            processes: vec![process(10, Some(WORKER), 20), process(77, None, neighbour)],
            ..Gpu::default()
        }],
        ..GpuSample::default()
    }
}

#[test]
fn driver_wait_is_the_gpus_where_nvml_says_why() {
    let blocked = || Sched {
        wait: Wait::Ioctl,
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    };
    for (sample, cause) in [
        (gpu(0x40, 5), Cause::GpuThrottle),
        (gpu(0x1, 70), Cause::GpuNeighbour),
        // Idle clocks and a quiet neighbour are no reason; two reasons are none either.
        (gpu(0x1, 5), Cause::Unexplained),
        (gpu(0x40, 70), Cause::Unexplained),
    ] {
        let mut story = Story::new();
        story.diagnosis.handle_gpus(&sample);
        story.tell(blocked());
        story.assert(Story::frame(START + 90.1), cause);
    }
}

#[test]
fn error_of_the_gpu_within_the_interval_is_the_cause() {
    let sample = |ms: f64, errors: u64| {
        let mut sample = gpu(0x40, 70);
        sample.at = at(START + ms);
        sample.gpus[0].xids = [(31, errors)].into();
        sample
    };
    // Errors from before the agent's first look may be old.
    for (before, now, cause) in [(0, 1, Cause::GpuError), (1, 1, Cause::Unexplained)] {
        let mut story = Story::new();
        story.diagnosis.handle_gpus(&sample(-10.0, before));
        story.diagnosis.handle_gpus(&sample(50.0, now));
        story.tell(Sched {
            wait: Wait::Ioctl,
            ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
        });
        story.assert(Story::frame(START + 90.1), cause);
    }
}

#[test]
fn throttled_gpu_does_not_excuse_a_busy_cpu() {
    let mut story = Story::new();
    story.diagnosis.handle_gpus(&gpu(0x40, 5));
    story.tell(contended());
    story.assert(Story::frame(START + 80.5), Cause::CpuContention);
}

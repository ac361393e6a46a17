//! Pictures at the sizes of real terminals.

use std::time::Duration;

use probe_core::{
    diagnose::{Cause, Recent, Summary, Tally},
    flow::CallId,
    interpret::Id,
    record::{ConnectionId, GpuReadings},
};
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::top::{board::Moment, keys::Asked};

fn stream(number: u32) -> StreamRow {
    StreamRow {
        call: CallId {
            connection: ConnectionId(1),
            stream: number,
        },
        worker: "tts@0".to_owned(),
        session: Some(format!("session-{number}")),
        model: Some("tone".to_owned()),
        pacing: Some("paced"),
        frames: 100 + u64::from(number),
        interval_ms: Some(20.0),
        jitter_p50_ms: Some(0.1),
        jitter_p95_ms: Some(f64::from(number)),
        lateness_ms: Some(0.0),
        margin_ms: Some(60.0),
        underruns: 0,
        state: "speaking",
    }
}

fn moment(streams: u32) -> Moment {
    let worker = Id::new("tts@0").expect("a name");
    let mut summary = Summary::default();
    let tally = Tally {
        frames: 3,
        underruns: 1,
        excess_ns: 80_000_000,
    };
    summary.causes.insert((worker.clone(), Cause::Lock), tally);
    summary.frames.insert(worker, 1_234);
    summary.recent.push_back(Recent {
        call: stream(2).call,
        cause: Cause::Lock,
    });
    let gpu = Gpu {
        id: "0".to_owned(),
        readings: GpuReadings {
            utilization_percent: Some(37),
            throttle_reasons: Some(0x40),
            ..GpuReadings::default()
        },
        ..Gpu::default()
    };
    Moment {
        elapsed: Duration::from_secs(12),
        streams: (1..=streams).map(stream).collect(),
        summary,
        gpus: vec![gpu],
    }
}

fn picture(board: &mut Board, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal
        .draw(|frame| draw(board, frame))
        .expect("a picture");
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width).max(1));
    lines
        .map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect())
        .collect()
}

#[test]
fn small_screen_has_every_column_and_the_worst_stream_first() {
    let mut board = Board::default();
    board.look(moment(30));
    let lines = picture(&mut board, 80, 24);
    let line = |index: usize| lines.get(index).map_or("", |line| line.trim_end());
    assert_eq!(
        line(0),
        "voxprobe top  12 s  30 streams  1234 frames  3 late  by jitter"
    );
    for heading in ["session", "worker", "p95 ms", "jitter", "last cause"] {
        assert!(line(1).contains(heading), "{lines:#?}");
    }
    assert!(line(2).starts_with("session-30"), "{lines:#?}");
    let text = lines.concat();
    assert!(
        text.contains("lock") && text.contains("throttled"),
        "{lines:#?}"
    );
    board.obey(Asked::Scroll(isize::MAX));
    let lines = picture(&mut board, 80, 24);
    let last = lines.iter().find(|line| line.starts_with("session-1 "));
    assert!(last.is_some(), "the last row is in sight: {lines:#?}");
    let row = lines.iter().find(|line| line.starts_with("session-2 "));
    assert!(row.is_some_and(|row| row.contains("lock")), "{lines:#?}");
}

#[test]
fn wide_screen_has_model_and_state() {
    let mut board = Board::default();
    board.look(moment(3));
    let text = picture(&mut board, 200, 50).concat();
    assert!(text.contains("model") && text.contains("speaking"));
}

#[test]
fn every_size_is_drawn() {
    let mut board = Board::default();
    board.look(moment(3));
    for width in [1, 2, 39, 40, 41, 79, 80, 109, 110, 111, 300] {
        for height in [1, 7, 8, 9, 24, 100] {
            picture(&mut board, width, height);
        }
    }
    board.look(Moment::default());
    let text = picture(&mut board, 80, 24).concat();
    assert!(text.contains("No open stream of 0 workers"));
}

#[test]
fn keys_sort_reverse_and_quit() {
    let mut board = Board::default();
    board.look(moment(3));
    let first = |board: &Board| {
        let first = board.moment.streams.first();
        first.map_or(0, |first| first.call.stream)
    };
    assert_eq!(first(&board), 3);
    board.obey(Asked::Reverse);
    assert_eq!(first(&board), 1);
    board.obey(Asked::Reverse);
    for name in ["late", "underruns", "frames", "session", "jitter"] {
        board.obey(Asked::Sort);
        assert_eq!(board.sort.name(), name);
    }
    assert_eq!(board.obey(Asked::Quit), Asked::Quit);
}

#[test]
fn jitter_is_remembered_of_open_streams_only_and_names_are_harmless() {
    let mut board = Board::default();
    for _ in 0..100 {
        board.look(moment(2));
    }
    assert_eq!(board.jitters(stream(2).call).count(), REMEMBERED);
    let mut one = moment(1);
    if let Some(first) = one.streams.first_mut() {
        first.session = Some("a\u{1b}[31mb".to_owned());
    }
    board.look(one);
    assert_eq!(board.jitters(stream(2).call).count(), 0);
    let text = picture(&mut board, 80, 24).concat();
    assert!(text.contains("a·[31mb") && !text.contains('\u{1b}'));
}

#[test]
fn sparkline_shows_the_last_values() {
    assert_eq!(sparkline(&[40.0, 0.0, 20.0, 400.0], 3), "▁▅█");
}

//! Sessions of real servers with a real client, as they crossed a socket.
//!
//! Recorded between a `websockets` 17.4 client and servers on Python 3.11.7: `websockets` 17.4, aiohttp
//! 3.14.5, and uvicorn 0.54.0 with `websockets` 17.4 and with wsproto 1.3.2. A line is the sender (`c`,
//! `s`) and what one read gave, in hexadecimal.

use super::*;

const SESSIONS: [(&str, &str); 4] = [
    ("websockets", include_str!("peers/websockets.txt")),
    ("aiohttp", include_str!("peers/aiohttp.txt")),
    (
        "uvicorn, websockets",
        include_str!("peers/uvicorn-websockets.txt"),
    ),
    (
        "uvicorn, wsproto",
        include_str!("peers/uvicorn-wsproto.txt"),
    ),
];

const SAID: [&str; 11] = [
    "server: text session_start",
    "client: text text",
    "client: text control",
    "server: text audio 1",
    "server: text audio 2",
    "server: text audio 3",
    "server: text audio 4",
    "server: text audio 5",
    "server: text error",
    "server: text session_end",
    "server closes 1000",
];

fn pushes(session: &str) -> Vec<(Direction, Vec<u8>)> {
    let push = |line: &str| {
        let (from, digits) = line.split_once(' ').unwrap();
        let digits: Vec<_> = digits
            .bytes()
            .map(|it| char::from(it).to_digit(16).unwrap())
            .collect();
        let bytes = digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect();
        (if from == "c" { CLIENT } else { SERVER }, bytes)
    };
    session.lines().map(push).collect()
}

#[test]
fn sessions_of_real_servers_are_read_in_pushes_of_any_size() {
    for (name, session) in SESSIONS {
        for size in [1, 2, 7, 100, usize::MAX] {
            let mut watched = Watched::new(Joined::FromStart);
            for (from, bytes) in pushes(session) {
                for run in bytes.chunks(size) {
                    watched.bytes(from, run);
                }
            }
            let said = watched.take();
            assert!(said[0].starts_with("upgraded, asked "), "{name}");
            assert_eq!(said[1..12], SAID, "{name} by {size}");
            assert_eq!(said[12..], ["client closes 1000"], "{name} by {size}");
            assert!(watched.notes.problems.is_empty(), "{name} by {size}");
        }
    }
}

#[test]
fn sessions_of_real_servers_are_counted_where_the_probe_comes_late() {
    for (name, session) in SESSIONS {
        let mut watched = Watched::new(Joined::Late);
        for (from, bytes) in &pushes(session)[2..] {
            watched.bytes(*from, bytes);
        }
        let said = watched.take();
        assert_eq!(said[0], "upgraded", "{name}");
        let count = |line: &str| said.iter().filter(|said| *said == line).count();
        assert_eq!(count("server: partly"), 7, "{name}: {said:?}");
        assert_eq!(count("client: partly"), 2, "{name}: {said:?}");
        assert_eq!(
            (count("server closes 1000"), count("client closes 1000")),
            (1, 1),
            "{name}"
        );
        assert_eq!(said.len(), 12, "{name}: {said:?}");
    }
}

//! Garbage for Redis servers and their clients.

use super::{Garbage, NOISE_BYTES};

/// Levels of RESP arrays in each other: some parsers overflow their stack at a few thousand.
const RESP_DEPTH: usize = 100_000;

/// For any server, or for a Redis server: RESP, bent.
pub fn resp() -> Vec<Garbage> {
    vec![
        Garbage::new(
            "arrays in arrays",
            "bad_value",
            b"*1\r\n".repeat(RESP_DEPTH),
        ),
        Garbage::new(
            "string of 4 GiB",
            "bad_value",
            b"*2\r\n$3\r\nGET\r\n$4294967296\r\nfew".to_vec(),
        ),
        Garbage::new(
            "array of a million",
            "cut_short",
            b"*1048576\r\n$4\r\nPING\r\n".to_vec(),
        ),
        Garbage::new(
            "negative length",
            "bad_value",
            b"*2\r\n$-7\r\n\r\n".to_vec(),
        ),
        Garbage::new(
            "length that is none",
            "bad_value",
            b"*1\r\n$99999999999999999999\r\n".to_vec(),
        ),
        Garbage::new("inline without end", "bad_value", vec![b'a'; 200_000]),
        Garbage::new(
            "request cut short",
            "cut_short",
            b"*3\r\n$3\r\nSET\r\n$1".to_vec(),
        ),
    ]
}

/// For a Redis server, behind a command that it answers.
pub fn redis_requests() -> Vec<Garbage> {
    let behind = |garbage: Garbage| garbage.after(b"*1\r\n$4\r\nPING\r\n");
    resp().into_iter().map(behind).collect()
}

/// For a Redis client: what a server may not answer.
pub fn redis_replies() -> Vec<Garbage> {
    vec![
        Garbage::new(
            "arrays in arrays",
            "bad_value",
            b"*1\r\n".repeat(RESP_DEPTH),
        ),
        Garbage::new(
            "maps in sets",
            "bad_value",
            b"~1\r\n%1\r\n+a\r\n".repeat(RESP_DEPTH),
        ),
        Garbage::new(
            "string of 4 GiB",
            "bad_value",
            b"$4294967296\r\nfew".to_vec(),
        ),
        Garbage::new(
            "array of a million",
            "cut_short",
            b"*1048576\r\n:1\r\n".to_vec(),
        ),
        Garbage::new("negative length", "bad_value", b"$-7\r\n\r\n".to_vec()),
        Garbage::new(
            "length that is none",
            "bad_value",
            b"*99999999999999999999\r\n".to_vec(),
        ),
        Garbage::new(
            "line without end",
            "bad_value",
            [b"+".to_vec(), vec![b'a'; 200_000]].concat(),
        ),
        Garbage::new("string cut short", "cut_short", b"$10\r\nfew".to_vec()),
        Garbage::new("type that is none", "bad_value", vec![0xff; NOISE_BYTES]),
    ]
}

//! Bytes from people who mean no good.

use proptest::prelude::*;

use super::*;

#[test]
fn bomb_ends_inflating_and_not_the_framing() {
    let mut watched = Watched::upgraded("permessage-deflate");
    let mut deflater = Deflater::new();
    let bomb = deflater.payload(&vec![b' '; 20 * 1024 * 1024]);
    assert!(bomb.len() < 40_000);
    watched.bytes(CLIENT, &frame(CLIENT, 0xc1, &bomb));
    watched.bytes(CLIENT, &deflater.text(CLIENT, r#"{"type":"text"}"#));
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert_eq!(
        watched.take(),
        ["client: partly", "client: partly", "client: text text"]
    );
    assert_eq!(watched.notes.problems, [Problem::MessageTooLong]);
}

#[test]
fn bad_compressed_data_ends_inflating_and_not_the_framing() {
    let mut watched = Watched::upgraded("permessage-deflate");
    watched.bytes(CLIENT, &frame(CLIENT, 0xc1, &[0xff; 30]));
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert_eq!(watched.take(), ["client: partly", "client: text text"]);
    assert_eq!(watched.notes.problems, [Problem::BadDeflate]);
}

#[test]
fn message_of_four_gibibytes_keeps_nothing() {
    let mut watched = Watched::upgraded("");
    let length = 1_u64 << 32;
    let header = [&[0x81, 0x7f][..], &length.to_be_bytes()].concat();
    watched.bytes(SERVER, &header);
    watched.bytes(SERVER, br#"{"type":"audio","pcm":""#);
    watched.hole(SERVER, (length - 23) as usize);
    watched.bytes(SERVER, &text(SERVER, &audio(2)));
    assert_eq!(
        watched.take(),
        ["server: partly audio", "server: text audio 2"]
    );
}

#[test]
fn directions_beyond_the_budget_are_counted_and_not_read() {
    let budget = InflaterBudget::default();
    let leases: Vec<_> = std::iter::from_fn(|| budget.lease()).collect();
    let mut watched = Watched::upgraded("permessage-deflate");
    watched.connection.budget = budget;
    let mut deflater = Deflater::new();
    watched.bytes(SERVER, &deflater.text(SERVER, &audio(1)));
    drop(leases);
    watched.bytes(SERVER, &deflater.text(SERVER, &audio(2)));
    assert_eq!(watched.take(), ["server: partly", "server: partly"]);
    assert_eq!(watched.notes.problems, [Problem::TooManyInflaters]);
}

/// Pushes and holes of any kind, some of them frames.
fn pushes() -> impl Strategy<Value = Vec<(bool, u8, Vec<u8>)>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    proptest::collection::vec((any::<bool>(), any::<u8>(), bytes), 0..30)
}

proptest! {
    #[test]
    fn anything_is_taken_without_a_panic(pushes in pushes(), state in 0..4) {
        let mut watched = match state {
            0 => Watched::new(Joined::FromStart),
            1 => Watched::new(Joined::Late),
            2 => Watched::upgraded("permessage-deflate"),
            _ => Watched::upgraded("permessage-deflate; client_no_context_takeover"),
        };
        for (client, kind, bytes) in pushes {
            let from = if client { CLIENT } else { SERVER };
            match kind % 4 {
                0 => watched.bytes(from, &bytes),
                1 => watched.hole(from, bytes.len()),
                2 => watched.bytes(from, &frame(from, kind | 0xc0, &bytes)),
                _ => watched.bytes(from, &frame(from, 0x81, &bytes)),
            }
        }
        watched.close(ConnectionEnd::Reset);
        let said = watched.take();
        let ends = said.iter().filter(|line| *line == "Reset" || *line == "ProtocolError").count();
        let upgraded = state > 1 || said.iter().any(|line| line.starts_with("upgraded"));
        prop_assert_eq!(ends, usize::from(upgraded));
    }

    /// `tungstenite` reads the same messages from the same bytes.
    #[test]
    fn messages_are_those_that_tungstenite_reads(
        messages in proptest::collection::vec((any::<bool>(), 1_usize..4, 0_usize..300), 1..20),
        cut in 1_usize..50,
    ) {
        use tungstenite::protocol::{Role, WebSocket};
        let mut bytes = Vec::new();
        for (binary, fragments, length) in messages {
            let payload = vec![b'x'; length];
            let size = length / fragments + 1;
            let first = if binary { 0x02 } else { 0x01 };
            let parts: Vec<_> = payload.chunks(size).collect();
            let parts = if parts.is_empty() { vec![&b""[..]] } else { parts };
            for (index, part) in parts.iter().enumerate() {
                let opcode = if index == 0 { first } else { 0 };
                let fin = if index + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(frame(CLIENT, opcode | fin, part));
                bytes.extend(frame(CLIENT, 0x8a, b"pong"));
            }
        }
        let mut watched = Watched::upgraded("");
        for push in bytes.chunks(cut) {
            watched.bytes(CLIENT, push);
        }
        let mut oracle = WebSocket::from_raw_socket(Duplex(std::io::Cursor::new(bytes)), Role::Server, None);
        let mut expected = Vec::new();
        while let Ok(message) = oracle.read() {
            match message {
                tungstenite::Message::Text(_) => expected.push("client: text"),
                tungstenite::Message::Binary(_) => expected.push("client: binary"),
                _ => {}
            }
        }
        prop_assert_eq!(watched.take(), expected);
    }
}

/// Reads; what is written goes nowhere.
struct Duplex(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Duplex {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.0, into)
    }
}

impl std::io::Write for Duplex {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

//! Members are found wherever they stand and however the message is cut.

use std::sync::LazyLock;

use super::*;
use crate::profile::Profile;

static PROFILE: LazyLock<Profile> = LazyLock::new(Profile::builtin);

fn scan(runs: &[&[u8]]) -> SocketMessage {
    let mut scanner = Scanner::default();
    for run in runs {
        scanner.push(PROFILE.websocket(), run);
    }
    scanner.finish()
}

/// The message, the same at every split point and byte by byte.
fn read(text: &str) -> SocketMessage {
    let bytes = text.as_bytes();
    let whole = scan(&[bytes]);
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(scan(&[first, second]), whole, "{text} cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(scan(&single), whole, "{text} byte by byte");
    whole
}

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn members_behind_the_audio_are_read() {
    let message = read(
        r#"{"type":"audio","pcm":"AAAA\"}{,:[\\","sample_rate":48000,"frame_ms":20,"sequence":17}"#,
    );
    assert_eq!(message.kind, Some(text("audio")));
    assert_eq!(
        (message.duration_ms, message.sequence),
        (Some(20), Some(17))
    );
    assert_eq!(message.readability, Readability::Whole);
}

#[test]
fn members_are_read_in_any_order_with_spaces_and_nested_values_between() {
    let message = read(
        " {\r\n\t\"x\" : {\"type\":[\"}\", {\"y\":\"\\\"\"}]} , \"is_final\" : true ,\
         \"list\":[1,[2,{}],\"]\"], \"command\": \"PAUSE\",\"n\":null,\"type\":\"control\" } ",
    );
    assert_eq!(message.kind, Some(text("control")));
    assert_eq!(
        (message.is_final, message.command),
        (Some(true), Some(text("PAUSE")))
    );
}

#[test]
fn escapes_in_names_and_values_are_understood() {
    let message = read(r#"{"\u0074yp\u0065":"a\u00e4\ud83d\ude00\n\/\"","code":"\ud83d!\ud83d"}"#);
    assert_eq!(message.kind, Some(text("aä😀\n/\"")));
    assert_eq!(message.code, Some(text("\u{fffd}!\u{fffd}")));
}

#[test]
fn last_of_two_members_stands() {
    let message = read(r#"{"type":"a","type":"b","sequence":1,"sequence":[2]}"#);
    assert_eq!((message.kind, message.sequence), (Some(text("b")), None));
}

#[test]
fn numbers_are_taken_where_they_make_sense() {
    let message = read(r#"{"sequence":-9223372036854775808,"frame_ms":2.0e1,"code":404}"#);
    assert_eq!(message.sequence, Some(i64::MIN));
    assert_eq!(
        (message.duration_ms, message.code),
        (Some(20), Some(text("404")))
    );
    let message = read(r#"{"sequence":1.5,"frame_ms":"20","code":true,"is_final":1,"type":null}"#);
    let nothing = SocketMessage {
        readability: Readability::Whole,
        ..SocketMessage::default()
    };
    assert_eq!(message, nothing);
}

#[test]
fn text_that_is_too_long_is_left_out_and_memory_stays_bounded() {
    let long = "x".repeat(1_000_000);
    let mut scanner = Scanner::default();
    let message =
        format!(r#"{{"{long}":1,"session_id":"{long}","sequence":{long},"type":"text"}}"#);
    scanner.push(PROFILE.websocket(), message.as_bytes());
    assert!(scanner.text.take().is_some_and(|text| text.len() < 10));
    let message = scanner.finish();
    assert_eq!((message.kind, message.session), (Some(text("text")), None));
    assert_eq!(message.sequence, None);
}

#[test]
fn deep_nesting_takes_no_memory() {
    let deep = "[".repeat(1_000_000);
    let flat = format!(r#"{{"type":"text","x":{deep}"#);
    let message = scan(&[flat.as_bytes()]);
    assert_eq!(message.kind, None, "the object never ends");
    let closed = format!(r#"{{"x":{deep}{},"type":"text"}}"#, "]".repeat(1_000_000));
    assert_eq!(scan(&[closed.as_bytes()]).kind, Some(text("text")));
}

#[test]
fn what_is_no_json_object_has_no_members() {
    for bytes in [
        &b""[..],
        b"hello",
        b"[{\"type\":\"text\"}]",
        b"{\"type\":\"text\"",
        b"{\"type\":\"text\"}x",
        b"{\"type\" \"text\"}",
        b"{type:\"text\"}",
        b"{\"type\":\"text\",}",
        b"{,\"type\":\"text\"}",
        b"{\"type\":\"text\" \"x\":1}",
        b"{\"type\":\"te\\xt\"}",
        b"{\"type\":\"\\u12g4\"}",
        b"{\"type\":}",
    ] {
        let message = scan(&[bytes]);
        assert_eq!(message.kind, None, "{}", bytes.escape_ascii());
        assert_eq!(message.readability, Readability::Whole);
    }
    assert_eq!(read("{}").readability, Readability::Whole);
    assert_eq!(scan(&[b"{\"type\":\"\xff\"}"]).kind, None, "no UTF-8");
}

#[test]
fn what_stands_before_missing_bytes_is_kept_and_nothing_after_them() {
    let bytes = br#"{"type":"audio","pcm":"AAAA","sequence":17}"#;
    for at in 0..bytes.len() {
        let mut scanner = Scanner::default();
        scanner.push(PROFILE.websocket(), &bytes[..at]);
        scanner.cut();
        scanner.push(PROFILE.websocket(), &bytes[at + 1..]);
        let message = scanner.finish();
        assert_eq!(message.readability, Readability::Partly);
        let expected = (at > 14).then(|| "audio".to_owned());
        assert_eq!(message.kind, expected, "cut at {at}");
        assert_eq!(message.sequence, (at > 42).then_some(17), "cut at {at}");
    }
}

#[test]
fn scanner_is_ready_for_the_next_message_after_any_other() {
    let mut scanner = Scanner::default();
    for first in [
        &b"{\"a\":\"x"[..],
        b"{\"a\":[[[",
        b"nonsense",
        b"{\"type\":\"a",
        b"{\"\\u12",
    ] {
        scanner.push(PROFILE.websocket(), first);
        scanner.reset();
        scanner.push(PROFILE.websocket(), b"{\"type\":\"text\"}");
        assert_eq!(scanner.finish().kind, Some(text("text")));
        scanner.cut();
        scanner.reset();
    }
}

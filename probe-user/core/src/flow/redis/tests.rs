use super::*;
use crate::flow::Event;
use crate::record::ConnectionId;
use crate::wire::resp::ListedError;

/// What a connection told.
#[derive(Default)]
struct Told {
    exchanges: Vec<Exchange>,
    problems: Vec<Problem>,
}

impl Sink for Told {
    fn event(&mut self, _: Event<'_>) {}

    fn redis(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
    }

    fn keep(&mut self, _: usize, _: usize) {}

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// A client's connection, and what it told.
struct Peer {
    connection: RedisConnection,
    told: Told,
}

impl Peer {
    fn new(joined: Joined) -> Self {
        Self {
            connection: RedisConnection::new(Side::Client, joined, KtimeNs(0)),
            told: Told::default(),
        }
    }

    fn push(&mut self, direction: Direction, at: u64, bytes: &[u8]) {
        let chunk = Chunk {
            connection: ConnectionId(1),
            direction,
            tid: 1,
            offset: 0,
            enter: KtimeNs(at),
            exit: KtimeNs(at),
            length: bytes.len() as u32,
            bytes: bytes.into(),
            holes: vec![].into(),
        };
        let Self { connection, told } = self;
        connection.begin(&chunk, told);
        connection.handle_bytes(direction, KtimeNs(at), bytes, told);
    }

    /// Commands of words separated by spaces.
    fn ask(&mut self, at: u64, commands: &[&str]) {
        let mut bytes = Vec::new();
        for command in commands {
            let words: Vec<&str> = command.split(' ').collect();
            bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
            }
        }
        self.push(Direction::Sent, at, &bytes);
    }

    fn answer(&mut self, at: u64, bytes: &str) {
        self.push(Direction::Received, at, bytes.as_bytes());
    }

    /// Commands that were answered, each with the time it took.
    fn answered(&self) -> Vec<(Command, u64)> {
        let answered = self.told.exchanges.iter().filter_map(|it| match it {
            Exchange::Answered {
                command,
                asked,
                answered,
                ..
            } => Some((*command, answered.since(*asked))),
            _ => None,
        });
        answered.collect()
    }
}

fn peer() -> Peer {
    Peer::new(Joined::FromStart)
}

#[test]
fn end_inside_a_value_is_a_problem() {
    for (request, reply, problems) in [
        ("*1\r\n$4\r\nPI", "", 1),
        ("*1\r\n$4\r\nPING\r\n", "$10\r\nfew", 1),
        ("*1\r\n$4\r\nPING\r\n", "+PONG\r\n", 0),
        ("*1\r\n$4\r\nPING\r\n", "*2\r\n:1\r\n", 1),
    ] {
        let mut peer = peer();
        peer.push(Direction::Sent, 10, request.as_bytes());
        peer.answer(20, reply);
        peer.connection.handle_closed(false, &mut peer.told);
        peer.connection.handle_closed(false, &mut peer.told);
        assert_eq!(peer.told.problems, vec![Problem::CutShort; problems]);
    }
}

#[test]
fn pipelined_replies_answer_in_order() {
    let mut peer = peer();
    peer.ask(10, &["GET a", "SET a b"]);
    peer.ask(20, &["DEL a"]);
    peer.answer(30, "$-1\r\n+O");
    peer.answer(45, "K\r\n:1\r\n");
    let expected = [(Command::Get, 20), (Command::Set, 35), (Command::Del, 25)];
    assert_eq!(peer.answered(), expected);
}

#[test]
fn error_is_an_answer_with_its_first_word() {
    let mut peer = peer();
    peer.ask(10, &["HGETALL a"]);
    peer.answer(12, "-WRONGTYPE Operation against a key\r\n");
    let expected = Exchange::Answered {
        command: Command::HGetAll,
        asked: KtimeNs(10),
        answered: KtimeNs(12),
        error: Some(ErrorWord::Listed(ListedError::WrongType)),
    };
    assert_eq!(peer.told.exchanges, [expected]);
}

#[test]
fn queued_is_the_answer_within_a_transaction() {
    let mut peer = peer();
    peer.ask(10, &["MULTI", "GET a", "EXEC"]);
    peer.answer(15, "+OK\r\n+QUEUED\r\n*1\r\n-ERR nested\r\n");
    let expected = [(Command::Multi, 5), (Command::Get, 5), (Command::Exec, 5)];
    assert_eq!(peer.answered(), expected);
}

#[test]
fn pushes_between_replies_answer_nothing() {
    let mut peer = peer();
    peer.ask(10, &["HELLO 3", "SUBSCRIBE c d", "GET a"]);
    peer.answer(12, "%0\r\n");
    let confirm = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    peer.answer(13, confirm);
    peer.answer(14, ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    peer.answer(15, confirm);
    peer.answer(16, ">2\r\n$10\r\ninvalidate\r\n*0\r\n$1\r\nv\r\n");
    let expected = [
        (Command::Hello, 2),
        (Command::Subscribe, 5),
        (Command::Get, 6),
    ];
    assert_eq!(peer.answered(), expected);
}

#[test]
fn subscriber_of_resp2_is_told_arrays_that_answer_nothing() {
    let mut peer = peer();
    peer.ask(10, &["SUBSCRIBE c"]);
    peer.answer(12, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    peer.answer(20, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    peer.ask(30, &["UNSUBSCRIBE c"]);
    peer.answer(31, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    peer.answer(34, "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    let expected = [(Command::Subscribe, 2), (Command::Unsubscribe, 4)];
    assert_eq!(peer.answered(), expected);
}

#[test]
fn key_named_like_a_message_is_an_answer_to_who_did_not_subscribe() {
    let mut peer = peer();
    peer.ask(10, &["KEYS *"]);
    peer.answer(12, "*1\r\n$7\r\nmessage\r\n");
    assert_eq!(peer.answered(), [(Command::Keys, 2)]);
}

#[test]
fn commands_without_replies_are_not_waited_for() {
    let mut peer = peer();
    peer.ask(10, &["CLIENT REPLY SKIP", "SET a b", "GET a"]);
    peer.answer(12, "$1\r\nb\r\n");
    peer.ask(
        20,
        &["CLIENT REPLY OFF", "SET a b", "SET a c", "CLIENT REPLY ON"],
    );
    peer.answer(23, "+OK\r\n");
    assert_eq!(peer.answered(), [(Command::Get, 2), (Command::Client, 3)]);
    assert!(!peer.connection.is_waiting());
}

#[test]
fn reply_whose_request_is_told_late_is_paired_with_it() {
    let mut peer = peer();
    peer.answer(15, "+PONG\r\n");
    peer.ask(10, &["PING"]);
    assert_eq!(peer.answered(), [(Command::Ping, 5)]);
}

#[test]
fn reply_before_any_request_puts_no_later_pair_off() {
    let mut peer = peer();
    peer.answer(5, "-ERR max number of clients reached\r\n");
    peer.ask(10, &["PING"]);
    peer.answer(15, "+PONG\r\n");
    assert_eq!(peer.answered(), []);
    assert_eq!(peer.told.problems, [Problem::BadValue]);
}

#[test]
fn nothing_is_paired_after_a_loss_until_it_was_quiet() {
    let mut peer = peer();
    peer.ask(10, &["GET a", "GET b"]);
    let (connection, told) = (&mut peer.connection, &mut peer.told);
    connection.handle_hole(Direction::Received, KtimeNs(11), 4, GapReason::Lost, told);
    assert_eq!(told.exchanges, [Exchange::Lost; 2]);
    assert_eq!(told.problems, [Problem::FramingLost]);
    peer.answer(12, "$1\r\nb\r\n");
    peer.ask(20, &["DEL a"]);
    peer.answer(22, ":1\r\n");
    assert_eq!(peer.answered(), []);
    let later = 22 + QUIET_NS;
    peer.ask(later, &["PING"]);
    peer.answer(later + 3, "+PONG\r\n");
    assert_eq!(peer.answered(), [(Command::Ping, 3)]);
}

#[test]
fn connection_joined_late_is_paired_after_silence_and_not_before() {
    let mut peer = Peer::new(Joined::Late);
    peer.answer(5, "lo\r\n");
    peer.ask(10, &["GET a"]);
    peer.answer(12, "$-1\r\n");
    let later = 12 + QUIET_NS;
    peer.ask(later, &["SETEX a 3 b"]);
    peer.answer(later + 7, "+OK\r\n");
    assert_eq!(peer.answered(), [(Command::SetEx, 7)]);
}

#[test]
fn command_without_an_answer_times_out_once_and_its_late_answer_is_told() {
    let mut peer = peer();
    peer.ask(0, &["GET a", "BLPOP b 0"]);
    let (connection, told) = (&mut peer.connection, &mut peer.told);
    for at in [1, 5_000_000_000, 6_000_000_000] {
        connection.handle_time(KtimeNs(at), told);
    }
    assert_eq!(told.exchanges, [Exchange::TimedOut(Command::Get)]);
    peer.answer(7_000_000_000, "$-1\r\n");
    assert_eq!(peer.answered(), [(Command::Get, 7_000_000_000)]);
}

#[test]
fn end_of_the_connection_tells_why_commands_were_not_answered() {
    for (failed, expected) in [
        (false, Exchange::TimedOut(Command::Get)),
        (true, Exchange::Failed(Command::Get)),
    ] {
        let mut peer = peer();
        peer.ask(10, &["GET a"]);
        peer.connection.handle_closed(failed, &mut peer.told);
        assert_eq!(peer.told.exchanges, [expected]);
    }
}

#[test]
fn what_follows_monitor_answers_nothing() {
    let mut peer = peer();
    peer.ask(10, &["MONITOR"]);
    peer.answer(12, "+OK\r\n+1339518083.1 \"PING\"\r\nwhatever");
    peer.ask(20, &["PING"]);
    assert_eq!(peer.answered(), [(Command::Monitor, 2)]);
    assert_eq!(peer.told.problems, []);
}

#[test]
fn garbage_is_a_problem_and_nothing_more() {
    let mut peer = peer();
    peer.ask(10, &["GET a"]);
    peer.answer(12, "\0\0\0\0");
    peer.answer(13, &"*1\r\n".repeat(10_000));
    assert_eq!(peer.told.exchanges, [Exchange::Lost]);
    assert_eq!(peer.told.problems, [Problem::BadValue]);
}

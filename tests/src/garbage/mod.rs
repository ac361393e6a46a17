//! What nobody should send: bytes that a parser must survive, on a connection of their own.

mod grpc;
mod resp;
mod websocket;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

pub use grpc::grpc;
pub use resp::{redis_replies, redis_requests, resp};
pub use websocket::websocket;

/// How long a connection may take to be made, and each write or read on it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seed of the random bytes: the same every time.
const SEED: u64 = 0x766f_7870_726f_6265;

/// Bytes of noise.
const NOISE_BYTES: usize = 64 * 1024;

/// What is sent on one connection, by name.
#[derive(Clone)]
pub struct Garbage {
    /// For people.
    pub name: &'static str,
    /// Label `problem` of `voxprobe_wire_problems_total` under which a reader counts it. `None`
    /// where nothing is wrong with it but its size, or where no protocol begins like that.
    pub problem: Option<&'static str>,
    /// Sent first; the rest is sent when something came back. Empty where nothing is waited for.
    opening: Vec<u8>,
    rest: Vec<u8>,
}

impl Garbage {
    fn new(name: &'static str, problem: impl Into<Option<&'static str>>, rest: Vec<u8>) -> Self {
        Self {
            name,
            problem: problem.into(),
            opening: Vec::new(),
            rest,
        }
    }

    /// The same behind a beginning that makes sense.
    fn after(self, opening: &[u8]) -> Self {
        Self {
            opening: opening.to_vec(),
            ..self
        }
    }

    /// The same where another protocol is spoken: what of it is taken for what does not matter.
    #[must_use]
    pub fn misplaced(self) -> Self {
        Self {
            problem: None,
            ..self
        }
    }

    /// Sends it to a server and hangs up. Servers refuse it at some point: that is no failure.
    pub fn send(&self, to: SocketAddr) {
        let Ok(mut socket) = TcpStream::connect_timeout(&to, PATIENCE) else {
            panic!("{}: {to} does not accept", self.name);
        };
        have_patience(&socket);
        if !self.opening.is_empty() {
            let answered = socket
                .write_all(&self.opening)
                .and_then(|()| socket.read(&mut [0; 4096]));
            assert!(
                answered.is_ok_and(|bytes| bytes > 0),
                "{}: {to} does not answer",
                self.name
            );
        }
        self.hang_up_with(socket);
    }

    /// A server that answers its first client with it and hangs up.
    pub fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("accept");
            have_patience(&socket);
            // Whatever is asked.
            let asked = socket.read(&mut [0; 4096]);
            assert!(asked.is_ok_and(|bytes| bytes > 0), "nobody asks");
            self.hang_up_with(socket);
        });
        address
    }

    fn hang_up_with(&self, mut socket: TcpStream) {
        // Refused half-way: the other end saw enough.
        let _refused = socket.write_all(&self.rest);
        let _gone = socket.shutdown(Shutdown::Write);
        // Lets it read what is on its way before the connection is reset.
        let _answer = socket.read(&mut [0; 4096]);
    }
}

fn have_patience(socket: &TcpStream) {
    let timeouts = socket
        .set_write_timeout(Some(PATIENCE))
        .and_then(|()| socket.set_read_timeout(Some(PATIENCE)));
    timeouts.expect("set a time-out");
}

/// For any server.
pub fn noise() -> Vec<Garbage> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut bytes = vec![0; NOISE_BYTES];
    random.fill(&mut bytes);
    vec![
        Garbage::new("noise", None, bytes),
        Garbage::new("nothing", None, Vec::new()),
        Garbage::new("zeros", None, vec![0; NOISE_BYTES]),
        Garbage::new("ones", None, vec![0xff; NOISE_BYTES]),
    ]
}

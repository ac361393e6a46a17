//! The timing reference: a blocking server that writes one `AudioFrame` per system call and reads
//! the monotonic clock immediately before and after each.
//!
//! Right before each frame the connection's window is opened by one byte, in a system call of its own. After a
//! sleep the first call's way into the kernel is in no cache: 10 µs and more from the clock to any tracepoint on a
//! machine whose neighbours use its caches, 1.5 µs in the second call (Linux 6.18, virtual). The first is the
//! machine's time, and no probe's.
//!
//! Session calls are answered with success, and control commands have no effect.

mod connection;
mod frame;
mod window;
mod writer;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;

use self::connection::{Connection, Opened};
use self::writer::{SystemCall, Writer};
use crate::clock::{NS_PER_MS, block_until, monotonic_ns};
use crate::serving;
use crate::truth::{Event, Truth};

/// Bytes of audio in a frame: 20 ms of 48 kHz mono, two bytes each.
const AUDIO_BYTES: usize = 1920;

/// How long clients may take to leave after the last stream has ended.
const LEAVE: Duration = Duration::from_secs(2);

/// The timing reference's settings.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Port to listen on, on IPv6 and IPv4; 0 takes a free one
    #[arg(long, default_value_t = 7002)]
    port: u16,
    /// Frames in each stream
    #[arg(long, default_value_t = 500)]
    frames: u32,
    /// Streams to serve before the program ends
    #[arg(long, default_value_t = 1)]
    streams: u64,
    /// Time between the frames of a stream, in milliseconds
    #[arg(long, default_value_t = 20)]
    interval_ms: u64,
    /// System call that carries each frame
    #[arg(long, value_enum, default_value_t = SystemCall::Sendmsg)]
    call: SystemCall,
    /// File for the stamps, one JSON object per frame
    #[arg(long)]
    truth: Option<PathBuf>,
}

enum News {
    StreamEnded,
    Connected,
    Left,
    Signalled,
}

/// Serves until enough streams have ended and the clients have left, then prints the counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let truth = Truth::start(args.truth.as_deref())?;
    let listener = serving::listen(args.port)?;
    let (news, arriving) = mpsc::channel();
    watch_signals(news.clone())?;
    let port = serving::announce(&listener)?;
    let adapter = "stamper".to_owned();
    truth.record(Event::Listening {
        port,
        pid: std::process::id(),
        adapter,
    });
    let accepting = Server {
        args: args.clone(),
        truth: truth.clone(),
        news,
    };
    std::thread::spawn(move || accepting.accept(&listener));

    let (mut streams, mut connections) = (0, 0_u64);
    let mut leave_by = None;
    loop {
        let wait = leave_by.map_or(Duration::MAX, |by: Instant| {
            by.saturating_duration_since(Instant::now())
        });
        match arriving.recv_timeout(wait) {
            Ok(News::StreamEnded) => streams += 1,
            Ok(News::Connected) => connections += 1,
            Ok(News::Left) => connections -= 1,
            Ok(News::Signalled) | Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("no connection can be accepted"),
        }
        if streams >= args.streams {
            leave_by.get_or_insert_with(|| Instant::now() + LEAVE);
            if connections == 0 {
                break;
            }
        }
    }
    serving::print_summary(&truth.finish()?)
}

fn watch_signals(news: Sender<News>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the signal watch")?;
    let signalled = {
        let _inside = runtime.enter();
        serving::signalled()?
    };
    std::thread::spawn(move || {
        runtime.block_on(signalled);
        // Nobody listens any more once the program ends by itself.
        news.send(News::Signalled).ok();
    });
    Ok(())
}

/// What every connection and stream needs; the receiver of its news may be gone at the end.
#[derive(Clone)]
struct Server {
    args: Args,
    truth: Truth,
    news: Sender<News>,
}

impl Server {
    fn accept(&self, listener: &TcpListener) {
        while let Ok((socket, peer)) = listener.accept() {
            self.news.send(News::Connected).ok();
            let server = self.clone();
            std::thread::spawn(move || {
                // A client that breaks the protocol or the connection is done with.
                server.serve(socket, peer).ok();
                server.news.send(News::Left).ok();
            });
        }
    }

    fn serve(&self, socket: TcpStream, mut peer: SocketAddr) -> std::io::Result<()> {
        peer.set_ip(peer.ip().to_canonical());
        socket.set_nodelay(true)?;
        let writer = Arc::new(Writer::new(socket.try_clone()?, self.args.call));
        let served = Connection::new(socket, Arc::clone(&writer)).serve(|opened| {
            let (server, writer) = (self.clone(), Arc::clone(&writer));
            std::thread::spawn(move || {
                // A stream whose client has gone ends like one that was played out.
                server.play(&opened, &writer, &peer.to_string()).ok();
                server.news.send(News::StreamEnded).ok();
            });
        });
        writer.update_windows(window::Windows::close_all);
        served
    }

    fn play(&self, opened: &Opened, writer: &Writer, peer: &str) -> std::io::Result<()> {
        let audio = Bytes::from(vec![1; AUDIO_BYTES]);
        let stream = opened.stream;
        writer.write(&frame::response_headers(stream))?;
        let start_ns = monotonic_ns();
        for number in 1..=self.args.frames {
            let is_final = number == self.args.frames;
            let sequence = i64::from(number);
            let bytes = frame::audio(stream, &opened.session, sequence, is_final, &audio);
            let passed_ms = u64::from(number - 1).saturating_mul(self.args.interval_ms);
            block_until(start_ns + passed_ms.saturating_mul(NS_PER_MS))?;
            if !writer.take_window(stream, &bytes) {
                return Ok(());
            }
            writer.write(&frame::window_update(0, 1))?;
            let stamp = writer.write(&bytes)?;
            let event = Event::FrameWrite {
                before_ns: stamp.before_ns,
                after_ns: stamp.after_ns,
                peer: peer.to_owned(),
                stream: u64::from(stream),
                sequence,
                bytes: bytes.len() as u64,
            };
            self.truth.record_at(stamp.before_ns, event);
        }
        writer.write(&frame::trailers(stream))?;
        writer.update_windows(|windows| windows.close(stream));
        Ok(())
    }
}

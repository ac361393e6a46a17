//! `voxprobe top` in a real terminal, tmux's, at two sizes, with a worker that speaks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::process::eventually;
use probe_tests::skip::{program, unprivileged};

/// How long the agent may take to load its programs, and how long a change may take to be shown.
const SOON: Duration = Duration::from_secs(30);

/// What the clients have spoken: 18 s, sent at once.
const TEXT: [&str; 6] = [
    "--text-length",
    "300",
    "--chunk-length",
    "300",
    "--sessions",
    "3",
];

/// A terminal of tmux; gone when dropped.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Terminal {
    /// A terminal of this size in which a shell command runs.
    fn start(tmux: &Path, lab: &Lab, (width, height): (u16, u16), command: &str) -> Self {
        let terminal = Self {
            tmux: tmux.to_owned(),
            socket: lab.fresh("tmux"),
        };
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            command,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(&self.socket).args(arguments);
        // Blocks and arrows are told as they are, whatever the machine's language.
        command
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color");
        let output = command.output().expect("start tmux");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until a text is on the screen, and gives the screen.
    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let shown = || self.screen().contains(text);
        assert!(eventually(SOON, shown), "no {text:?}:\n{}", self.screen());
        self.screen()
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// What tmux knows of the terminal: cursor shown, alternate screen, mouse.
    fn state(&self) -> String {
        self.tmux(&[
            "display-message",
            "-p",
            "#{cursor_flag} #{alternate_on} #{mouse_any_flag}",
        ])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(&self.socket).arg("kill-server");
        // It may be gone already.
        command.output().ok();
    }
}

/// `voxprobe top` on a worker, in a shell that says how it ended and what became of the terminal.
fn command(lab: &Lab, worker: &Server) -> String {
    format!(
        "stty -a > {before}; {voxprobe} top --pid {pid} 2> {log}; echo ended $?; \
         stty -a > {after}; exec sleep 600",
        before = lab.path("before").display(),
        after = lab.path("after").display(),
        log = lab.path("top.err").display(),
        voxprobe = artifacts::voxprobe().display(),
        pid = worker.pid(),
    )
}

fn worker(lab: &Lab) -> Server {
    let socket = lab.path("faults");
    let socket = socket.to_string_lossy();
    Server::tonic(lab, &["--fault-socket", &socket, "--load-ms", "20"])
}

#[track_caller]
fn assert_restored(lab: &Lab, terminal: &Terminal) {
    terminal.wait_for("ended 0");
    assert_eq!(terminal.state().trim(), "1 0 0", "{}", terminal.screen());
    let read = |name: &str| std::fs::read_to_string(lab.path(name)).expect("what stty said");
    assert!(eventually(SOON, || lab.path("after").exists()));
    assert!(eventually(SOON, || read("before") == read("after")));
}

#[test]
fn top_shows_streams_and_causes_at_both_sizes_and_leaves_the_terminal_as_it_was() {
    if unprivileged() {
        return;
    }
    let Some(tmux) = program("tmux") else {
        return;
    };
    let lab = Lab::new();
    let worker = worker(&lab);
    let terminal = Terminal::start(&tmux, &lab, (80, 24), &command(&lab, &worker));
    terminal.wait_for("No open stream");
    let log = || std::fs::read_to_string(lab.path("top.err")).unwrap_or_default();
    assert!(eventually(SOON, || log().contains("process watched")));
    let _client = Client::tonic(&lab, &worker, &TEXT);
    let screen = terminal.wait_for("lab-2");
    assert!(
        screen.contains("lab-0") && screen.contains("3 streams"),
        "{screen}"
    );
    assert_eq!(screen.lines().count(), 24, "{screen}");
    worker.wait_for_frames(150);
    let stalled = Command::new(artifacts::voicelab())
        .args(["fault", "--socket"])
        .arg(lab.path("faults"))
        .args(["stall", "400", "lab-1"])
        .output();
    assert!(stalled.expect("switch a fault").status.success());
    let screen = terminal.wait_for("own_timer");
    let row = screen.lines().find(|line| line.starts_with("lab-1"));
    let row = row.expect("the stream's row");
    assert!(row.contains("own_timer") && row.contains('▁'), "{screen}");
    terminal.press("s");
    terminal.wait_for("by late");
    terminal.press("r");
    terminal.wait_for("by late reversed");
    terminal.resize(200, 50);
    let screen = terminal.wait_for("model");
    assert!(
        screen.lines().any(|line| line.starts_with("q quit")),
        "{screen}"
    );
    for (width, height) in [(20, 5), (1, 1), (80, 24)] {
        terminal.resize(width, height);
        std::thread::sleep(Duration::from_millis(300));
    }
    terminal.wait_for("lab-0");
    terminal.press("q");
    assert_restored(&lab, &terminal);
}

#[test]
fn top_ends_on_ctrl_c_and_on_sigterm() {
    if unprivileged() {
        return;
    }
    let Some(tmux) = program("tmux") else {
        return;
    };
    let lab = Lab::new();
    let worker = worker(&lab);
    for key in [Some("C-c"), None] {
        let terminal = Terminal::start(&tmux, &lab, (200, 50), &command(&lab, &worker));
        terminal.wait_for("No open stream");
        if let Some(key) = key {
            terminal.press(key);
        } else {
            let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
            let kill = format!("kill -TERM $(ps -o pid= --ppid {})", shell.trim());
            let killed = Command::new("sh").args(["-c", &kill]).status();
            assert!(
                killed.is_ok_and(|status| status.success()),
                "{}",
                terminal.screen()
            );
        }
        assert_restored(&lab, &terminal);
    }
}

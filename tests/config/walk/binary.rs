//! The bare binary, as the section "On your own system" says it: each line runs in an empty folder with an
//! empty environment.
//!
//! What stands in for the machine: `cargo` says that the build was done, `sudo` does nothing where a test is
//! root already, and a recording of thirty seconds takes three.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output};
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, LONG_TALK};
use probe_tests::process::{Process, eventually};
use probe_tests::skip::{skip, unprivileged};
use rustix::process::Signal;

use super::{blocks, readme, section, worker_main, write};
use crate::live::http::get;

/// Where the README says that metrics are served.
const METRICS: &str = "http://127.0.0.1:9781/metrics";

/// How long the agent may take to attach, see frames, and end.
const SOON: Duration = Duration::from_secs(30);

/// A newcomer's folder and shell.
struct Newcomer<'a>(&'a Lab);

impl<'a> Newcomer<'a> {
    fn sit_down(lab: &'a Lab) -> Self {
        let bin = lab.path("bin");
        fs::create_dir_all(&bin).expect("make a folder");
        for (name, script) in [
            ("sudo", "#!/bin/sh\nexec \"$@\"\n"),
            (
                "cargo",
                "#!/bin/sh\n[ \"$*\" = 'xtask build' ] && [ -x target/release/voxprobe ]\n",
            ),
        ] {
            let path = bin.join(name);
            write(&path, script);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it run");
        }
        let release = lab.path("target/release");
        fs::create_dir_all(&release).expect("make a folder");
        symlink(artifacts::voxprobe(), release.join("voxprobe")).expect("link the agent");
        Self(lab)
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        let bin = self.0.path("bin");
        shell
            .args(["-c", &format!("exec {line}")])
            .current_dir(self.0.folder())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.0.folder());
        shell
    }

    fn types(&self, line: &str) -> Output {
        let output = self.shell(line).output().expect("run a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{line}: {said}");
        output
    }
}

/// The one line that has this.
fn line_with<'a>(lines: &[&'a str], part: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(part)).collect();
    let [line] = found.as_slice() else {
        panic!("{} lines have {part}: {lines:?}", found.len());
    };
    line
}

fn frames(scrape: &Exposition) -> f64 {
    scrape.sum("worker_audio_frames_emitted_total", &[])
}

#[test]
fn bare_binary_does_what_the_readme_says() {
    if unprivileged() {
        return;
    }
    let address: SocketAddr = METRICS["http://".len()..METRICS.len() - "/metrics".len()]
        .parse()
        .expect("an address");
    if TcpListener::bind(address).is_err() {
        skip(&format!("{address} is taken: another voxprobe runs"));
        return;
    }
    let lab = Lab::new();
    let Some(worker) = worker_main(&lab) else {
        return;
    };
    let _talk = Client::tonic(&lab, &worker, &LONG_TALK);
    let newcomer = Newcomer::sit_down(&lab);
    let section = section(&readme(), "## On your own system");
    let shell = blocks(&section, "sh");
    let lines: Vec<&str> = shell.iter().flat_map(|block| block.lines()).collect();

    assert!(
        newcomer
            .types(line_with(&lines, "cargo xtask build"))
            .status
            .success()
    );
    let check = newcomer.types(line_with(&lines, "voxprobe check"));
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(matches!(check.status.code(), Some(0 | 1)), "{check:?}");
    assert!(
        said.contains("hooks") && said.contains("privileges"),
        "{said}"
    );

    let discover = newcomer.types(line_with(&lines, "voxprobe discover"));
    let said = String::from_utf8_lossy(&discover.stdout);
    assert_eq!(discover.status.code(), Some(0), "{discover:?}");
    let found = said
        .lines()
        .find(|line| line.contains(&worker.pid().to_string()));
    assert!(found.is_some_and(|line| line.contains("worker")), "{said}");

    let line = line_with(&lines, "voxprobe run ");
    assert!(line.contains(METRICS), "{line}");
    let log = lab.fresh("run.err");
    let mut agent = Process::start(&mut newcomer.shell(line), &log);
    let scraped = || {
        let answer = get(address, "/metrics");
        answer
            .is_some_and(|(status, text)| status == 200 && frames(&Exposition::parse(&text)) > 0.0)
    };
    let seen = eventually(SOON, scraped);
    assert!(seen, "{}", fs::read_to_string(&log).unwrap_or_default());
    agent.signal(Signal::INT);
    assert!(agent.wait(SOON).success());

    let record = line_with(&lines, "voxprobe record").replace("30s", "3s");
    let recorded = newcomer.types(&record);
    assert!(recorded.status.success(), "{recorded:?}");
    let replayed = newcomer.types(line_with(&lines, "voxprobe replay"));
    let text = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(frames(&Exposition::parse(&text)) > 0.0, "{text}");
}

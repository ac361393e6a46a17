//! What cannot be done is refused with one line that names the remedy, exit status 2 and no panic.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::Server;
use probe_tests::probe::{self, Probe};
use probe_tests::skip::{program, unprivileged};

/// A user without any privilege: `nobody`.
const NOBODY: u32 = 65_534;

fn voxprobe(arguments: &[&str]) -> Command {
    let mut command = Command::new(artifacts::voxprobe());
    command.args(arguments);
    command
}

/// Asserts that the command is refused with one line that has all of these words.
#[track_caller]
fn assert_refused(command: &mut Command, words: &[&str]) {
    let output = probe::run(command);
    assert_refusal(&output, words);
}

#[track_caller]
fn assert_refusal(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(output.stdout.is_empty(), "nothing on stdout");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
}

#[test]
fn missing_privileges_are_named() {
    if unprivileged() {
        return;
    }
    // A place that nobody may read.
    let lab = Lab::new();
    fs::set_permissions(lab.folder(), fs::Permissions::from_mode(0o755)).expect("open the folder");
    let copy = lab.path("voxprobe");
    fs::copy(artifacts::voxprobe(), &copy).expect("copy the agent");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&copy);
        command.args(arguments).uid(NOBODY).gid(NOBODY);
        command
    };
    let words = ["no permission", "as root", "CAP_BPF", "CAP_PERFMON"];
    assert_refused(&mut run(&["run", "--listen", "127.0.0.1:0"]), &words);
    let file = lab.path("never.vxcap").to_string_lossy().into_owned();
    assert_refused(&mut run(&["record", "-o", &file, "--for", "1s"]), &words);
    let check = probe::run(&mut run(&["check"]));
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "findings: {said}");
    assert!(said.contains("CAP_BPF"), "{said}");
}

#[test]
fn authority_of_a_collector_that_cannot_be_read_is_named() {
    let lab = Lab::new();
    let config = lab.write(
        "voxprobe.toml",
        "[traces]\nenabled = true\nendpoint = \"https://localhost:4317\"\nca_file = \"authority.pem\"\n",
    );
    let path = config.to_string_lossy();
    let run = || voxprobe(&["run", "--listen", "127.0.0.1:0", "--config", &path]);
    let words = ["traces", "authority.pem", "give a PEM file"];
    assert_refused(&mut run(), &words);
    lab.write("authority.pem", "no certificate\n");
    assert_refused(&mut run(), &[&words[..], &["it holds none"]].concat());
}

#[test]
fn unknown_configuration_key_names_the_nearest() {
    let lab = Lab::new();
    let config = lab.write("voxprobe.toml", "[gpu]\nintervall = \"1s\"\n");
    for command in ["run", "check", "discover"] {
        let path = config.to_string_lossy();
        assert_refused(
            &mut voxprobe(&[command, "--config", &path]),
            &["voxprobe.toml:2", "`intervall`", "did you mean `interval`"],
        );
    }
}

#[test]
fn missing_configuration_file_is_named() {
    assert_refused(
        &mut voxprobe(&["run", "--config", "/nowhere/voxprobe.toml"]),
        &["/nowhere/voxprobe.toml", "give the path"],
    );
}

#[test]
fn busy_port_is_named() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = busy.local_addr().expect("the address").to_string();
    assert_refused(
        &mut voxprobe(&["run", "--listen", &address]),
        &[&address, "--listen"],
    );
}

#[test]
fn missing_nvml_library_is_named() {
    assert_refused(
        &mut voxprobe(&["run", "--nvml-lib", "/nowhere/libnvidia-ml.so.1"]),
        &["/nowhere/libnvidia-ml.so.1", "--nvml-lib", "no such file"],
    );
}

#[test]
fn process_that_does_not_exist_is_named() {
    // Larger than any kernel's pid_max (2^22).
    assert_refused(
        &mut voxprobe(&["run", "--pid", "4194305"]),
        &["--pid 4194305", "no such process", "voxprobe discover"],
    );
}

#[test]
fn wrong_flag_is_named_with_the_nearest() {
    assert_refused(
        &mut voxprobe(&["run", "--lisen", "127.0.0.1:0"]),
        &["--lisen", "--listen", "--help"],
    );
    assert_refused(&mut voxprobe(&["run", "--pid", "many"]), &["--pid", "many"]);
    assert_refused(&mut voxprobe(&["rum"]), &["rum", "run"]);
}

#[test]
fn capture_that_is_none_is_named() {
    let lab = Lab::new();
    for (name, bytes, word) in [
        ("empty", &b""[..], "no voxprobe capture"),
        (
            "text",
            &b"hello, this is no capture"[..],
            "no voxprobe capture",
        ),
        (
            "damaged",
            &b"vxcap\0\0\x02 and then nonsense"[..],
            "damaged",
        ),
        ("older", &b"vxcap\0\0\x01 from the past"[..], "format 1"),
        ("newer", &b"vxcap\0\0\x09 from the future"[..], "format 9"),
    ] {
        let path = lab.write(name, bytes).to_string_lossy().into_owned();
        assert_refused(&mut voxprobe(&["replay", &path]), &[&path, word]);
    }
    assert_refused(
        &mut voxprobe(&["replay", "/nowhere/story.vxcap"]),
        &["/nowhere/story.vxcap", "cannot be read"],
    );
}

#[test]
fn capture_that_cannot_be_written_is_named() {
    if unprivileged() {
        return;
    }
    assert_refused(
        &mut voxprobe(&["record", "-o", "/nowhere/story.vxcap", "--for", "1s"]),
        &["/nowhere/story.vxcap", "give a path"],
    );
}

#[test]
fn hooks_that_cannot_do_what_is_configured_are_refused_with_the_reason() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let config = lab.write("voxprobe.toml", "[models]\nroots = [\"/models\"]\n");
    let config = config.to_string_lossy();
    for hooks in ["fentry", "sockets", "kprobe"] {
        assert_refused(
            voxprobe(&["run", "--hooks", hooks, "--config", &config])
                .args(["--listen", "127.0.0.1:0"]),
            &["models.roots", "`--hooks tracepoints`"],
        );
    }
}

/// The command on a host whose kernel tells no types; `None` where that cannot be had.
fn without_btf(lab: &Lab, arguments: &[&OsStr]) -> Option<Command> {
    let unshare = program("unshare")?;
    if !fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false) {
        probe_tests::skip::skip("this kernel has no type information to hide");
        return None;
    }
    let empty = lab.path("empty");
    fs::create_dir_all(&empty).expect("make a folder");
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$1\" /sys/kernel/btf && shift && exec \"$@\"")
        .arg("sh")
        .arg(&empty)
        .arg(artifacts::voxprobe())
        .args(arguments);
    Some(command)
}

#[test]
fn missing_type_information_is_named() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let run = ["run", "--listen", "127.0.0.1:0"].map(OsStr::new);
    let Some(mut run) = without_btf(&lab, &run) else {
        return;
    };
    let words = ["BTF", "CONFIG_DEBUG_INFO_BTF=y", "hooks.without_btf"];
    assert_refused(&mut run, &words);
    let Some(mut check) = without_btf(&lab, &["check".as_ref()]) else {
        return;
    };
    let check = probe::run(&mut check);
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "findings: {said}");
    let line = said.lines().find(|line| line.starts_with("btf"));
    assert!(line.is_some_and(|line| line.contains("failed")), "{said}");
}

#[test]
fn host_without_type_information_is_watched_where_that_is_asked_for() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let config = lab.write("voxprobe.toml", "[hooks]\nwithout_btf = true\n");
    let worker = Server::tonic(&lab, &[]);
    let pid = worker.pid().to_string();
    let arguments = ["run", "--pid", &pid, "--config"].map(OsStr::new);
    let arguments = [&arguments[..], &[config.as_os_str()]].concat();
    let Some(command) = without_btf(&lab, &arguments) else {
        return;
    };
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    assert_eq!(
        probe
            .scrape()
            .sum("voxprobe_watched_processes", &[("role", "worker")]),
        1.0
    );
    probe.stop();
}

//! The HTML report of a recorded diagnosis, in a real browser that has no network.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::picture::{drawn, pixels};
use probe_tests::skip::{program, skip};

/// Late frames by a held lock in the capture, each in another stream.
const LOCKED: usize = 4;

/// Part of a picture's pixels that are not its background, at least: text and charts.
const DRAWN: f64 = 0.02;

/// Runs the browser on a page, in a namespace without a network; `None` where that cannot be.
fn browse(lab: &Lab, chromium: &Path, page: &Path, arguments: &[&str]) -> Option<Output> {
    let isolated = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]);
        command
    };
    let probe = isolated().arg("true").status();
    if !probe.is_ok_and(|status| status.success()) {
        skip("unshare (util-linux) cannot make a namespace without a network");
        return None;
    }
    let profile = format!("--user-data-dir={}", lab.path("profile").display());
    let output = isolated()
        .arg(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .args([
            "--window-size=1100,1500",
            "--enable-logging=stderr",
            &profile,
        ])
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("start the browser");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // What a page breaks its own policy with, and what a script says, goes to the console. The browser's
    // own pages use it too.
    let name = page.file_name().expect("a name").to_string_lossy();
    let spoke = |line: &str| line.contains("CONSOLE") && line.contains(&*name);
    assert!(!said.lines().any(spoke), "{said}");
    Some(output)
}

fn report(lab: &Lab) -> PathBuf {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/diagnosis.vxcap");
    let output = Command::new(artifacts::voxprobe())
        .arg("replay")
        .arg(capture)
        .args(["--diagnose", "--format", "html"])
        .output()
        .expect("replay the capture");
    assert_eq!(output.status.code(), Some(1), "frames were late");
    lab.write("report.html", output.stdout)
}

#[test]
fn html_report_opens_in_a_browser_without_a_network() {
    let Some(chromium) = program("chromium") else {
        return;
    };
    let lab = Lab::new();
    let page = report(&lab);
    let Some(output) = browse(&lab, &chromium, &page, &["--dump-dom"]) else {
        return;
    };
    let page = String::from_utf8(output.stdout).expect("text");
    for section in ["causes", "timeline", "intervals", "worst", "workers"] {
        let heading = format!("<section id=\"{section}\">");
        assert!(page.contains(&heading), "{section}: {page}");
    }
    let locked = page.matches("<rect class=\"lock\"").count();
    assert_eq!(locked, LOCKED, "marks in the timeline");
    assert!(page.contains("GPU 0") && page.contains("holder"), "{page}");
}

#[test]
fn html_report_is_drawn_for_bright_and_for_dark_rooms() {
    let Some(chromium) = program("chromium") else {
        return;
    };
    let lab = Lab::new();
    let page = report(&lab);
    // Chromium's values of `preferredColorScheme`.
    for (scheme, is_dark) in [("0", true), ("1", false)] {
        let picture = lab.fresh("picture.png");
        let arguments = [
            &format!("--blink-settings=preferredColorScheme={scheme}"),
            &format!("--screenshot={}", picture.display()),
        ];
        let arguments = arguments.map(String::as_str);
        if browse(&lab, &chromium, &page, &arguments).is_none() {
            return;
        }
        let pixels = pixels(&picture);
        let background = *pixels.first().expect("a pixel");
        let brightness: u32 = background.iter().map(|part| u32::from(*part)).sum();
        assert_eq!(brightness < 3 * 128, is_dark, "{background:?}");
        assert!(drawn(&pixels) > DRAWN, "{}", drawn(&pixels));
    }
}

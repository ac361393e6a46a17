//! Pictures of the dashboards: Grafana's own panels in a browser, with what Prometheus answers now.
//!
//! Only where they are asked for: `VOXPROBE_PICTURES` names the folder that they go to, and
//! `VOXPROBE_GRAFANA_PANELS` the packages that draw them (`cargo xtask pictures` sets both).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::picture;
use probe_tests::skip::program;
use serde_json::{Map, Value, json};

use super::scale::faster;
use super::servers::Server;
use crate::grafana::dashboards::{filled, paths};

/// Between two points of a line.
const STEP: &str = "1s";

/// Pixels of a dashboard's line with the gap below it, and above the first one.
const LINE: u64 = 38;
const TOP: u64 = 8;

/// Milliseconds of its own time that the page has to draw in.
const BUDGET: &str = "--virtual-time-budget=20000";

/// Part of a picture's pixels that are not its background, at least.
const DRAWN: f64 = 0.02;

/// Draws every dashboard with what happened since.
pub(super) fn draw(lab: &Lab, prometheus: &Server, since: SystemTime) {
    let Some(pictures) = std::env::var_os("VOXPROBE_PICTURES").map(PathBuf::from) else {
        return;
    };
    let chromium = program("chromium").expect("a browser");
    let page = Page::bundle(lab);
    for path in paths() {
        let text = fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let shown = json!({
            "answers": answers(prometheus, &dashboard, since),
            "dashboard": dashboard,
            "from": milliseconds(since),
            "to": milliseconds(SystemTime::now()),
        });
        let name = path.file_stem().expect("a name").to_string_lossy();
        let picture = pictures.join(format!("{name}.png"));
        page.shoot(&chromium, &shown, &picture);
        let drawn = picture::drawn(&picture::pixels(&picture));
        assert!(drawn > DRAWN, "{name}: {drawn}");
    }
}

/// For each panel's id, the series that each of its targets gives.
fn answers(prometheus: &Server, dashboard: &Value, since: SystemTime) -> Map<String, Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let of_panel = |panel: &Value| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let series = targets.iter().map(|target| {
            let expression = filled(target["expr"].as_str().expect("an expression"));
            prometheus.range(&faster(&expression).0, since, STEP)
        });
        (panel["id"].to_string(), Value::Array(series.collect()))
    };
    panels.iter().map(of_panel).collect()
}

/// The page that draws, without what it draws.
struct Page<'a> {
    lab: &'a Lab,
}

impl<'a> Page<'a> {
    /// Makes one script and one style sheet of the page's source and Grafana's packages.
    fn bundle(lab: &'a Lab) -> Self {
        let modules =
            artifacts::grafana_panels().expect("Grafana's panels: `cargo xtask pictures`");
        std::os::unix::fs::symlink(&modules, lab.path("node_modules")).expect("link the packages");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/draw");
        for file in ["page.jsx", "panel.jsx", "frames.js", "dial.js"] {
            fs::copy(source.join(file), lab.path(file)).expect("copy the page");
        }
        let mut bundler = Command::new(modules.join("esbuild/bin/esbuild"));
        bundler
            .args(["page.jsx", "--bundle", "--minify", "--log-level=error"])
            .args([
                "--outfile=page.js",
                "--define:process.env.NODE_ENV=\"production\"",
            ])
            // An editor's symbols, which no panel shows.
            .args(["--loader:.svg=dataurl", "--loader:.ttf=empty"])
            // Its other form imports older packages in a way that no bundler reads as Node.js does.
            .arg("--alias:@grafana/ui=./node_modules/@grafana/ui/dist/cjs/index.cjs")
            .current_dir(lab.folder());
        succeed(&mut bundler);
        Self { lab }
    }

    /// Draws one dashboard into a file.
    fn shoot(&self, chromium: &Path, shown: &Value, picture: &Path) {
        // Within a script, a tag would end it.
        let data = shown.to_string().replace("</", "<\\/");
        let page = self.lab.write(
            "page.html",
            format!(
                "<!doctype html><meta charset=\"utf-8\"><title></title>\
                 <link rel=\"stylesheet\" href=\"page.css\"><div id=\"page\"></div>\
                 <script>window.drawn={data}</script><script src=\"page.js\"></script>"
            ),
        );
        let browse = |arguments: &[&str]| {
            let mut browser = Command::new(chromium);
            browser
                .args(["--headless", "--no-sandbox", "--disable-gpu", BUDGET])
                .args(["--hide-scrollbars", "--enable-logging=stderr"])
                .arg(format!(
                    "--user-data-dir={}",
                    self.lab.path("profile").display()
                ))
                .arg(format!(
                    "--window-size=1600,{}",
                    height(&shown["dashboard"])
                ))
                .args(arguments)
                .arg(format!("file://{}", page.display()));
            let output = succeed(&mut browser);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let spoke = |line: &str| line.contains("CONSOLE") && line.contains("rror");
            assert!(!said.lines().any(spoke), "{said}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let dom = browse(&["--dump-dom"]);
        assert!(
            dom.contains("<title>drawn</title>"),
            "it is not drawn: {dom}"
        );
        browse(&[&format!("--screenshot={}", picture.display())]);
    }
}

/// Pixels from the first line to the end of the last.
fn height(dashboard: &Value) -> u64 {
    let panels = dashboard["panels"].as_array().expect("panels");
    let lines = panels.iter().map(|panel| {
        let of = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        of("y") + of("h")
    });
    lines.max().expect("a panel") * LINE + TOP
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("start a program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).expect("a time")
}

//! Grafana's own schema (`@grafana/schema`) on every dashboard, by the TypeScript compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::skip::{program, skip};

use super::dashboards::paths;

/// What a dashboard of ours may be.
const SCHEMA: &str = include_str!("schema.ts");

/// A folder in which the compiler finds the schema.
struct Checker {
    node: PathBuf,
    modules: PathBuf,
    lab: Lab,
}

impl Checker {
    /// `None`, and said, where there is no Node.js or no schema.
    fn new() -> Option<Self> {
        let node = program("node")?;
        let Some(modules) = artifacts::grafana_schema() else {
            skip("Grafana's schema is not installed (npm)");
            return None;
        };
        let lab = Lab::new();
        std::os::unix::fs::symlink(&modules, lab.path("node_modules")).expect("link the modules");
        lab.write("schema.ts", SCHEMA);
        Some(Self { node, modules, lab })
    }

    fn check(&self, dashboards: &[(String, String)]) -> Output {
        let mut command = Command::new(&self.node);
        command
            .arg(self.modules.join("typescript/bin/tsc"))
            .args([
                "--noEmit",
                "--strict",
                "--skipLibCheck",
                "--module",
                "esnext",
            ])
            .args(["--moduleResolution", "bundler", "--target", "es2022"])
            .current_dir(self.lab.folder());
        for (name, json) in dashboards {
            let file = format!("{name}.ts");
            let text = format!(
                "import type {{ Checked }} from './schema';\nexport const dashboard: Checked = {json};\n"
            );
            self.lab.write(&file, text);
            command.arg(file);
        }
        command.output().expect("run the compiler")
    }
}

fn dashboard(path: &Path) -> (String, String) {
    let name = path.file_stem().expect("a name").to_string_lossy();
    (
        name.into_owned(),
        fs::read_to_string(path).expect("a dashboard"),
    )
}

#[test]
fn every_dashboard_passes_grafanas_schema() {
    let Some(checker) = Checker::new() else {
        return;
    };
    let all: Vec<_> = paths().iter().map(|path| dashboard(path)).collect();
    let output = checker.check(&all);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn schema_refuses_an_unknown_key_a_wrong_type_and_a_wrong_word() {
    let Some(checker) = Checker::new() else {
        return;
    };
    let (_, json) = dashboard(&paths()[1]);
    for (right, wrong) in [
        ("\"graphTooltip\": 1", "\"graphTooltips\": 1"),
        ("\"lineWidth\": 1", "\"lineWidth\": \"1\""),
        ("\"mode\": \"dashed\"", "\"mode\": \"dotted\""),
        ("\"legendFormat\": ", "\"legend\": "),
    ] {
        assert!(json.contains(right), "{right}");
        let broken = json.replace(right, wrong);
        let output = checker.check(&[("broken".to_owned(), broken)]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("broken.ts("), "{wrong}: {said}");
    }
}

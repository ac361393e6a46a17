//! A runbook for each alert, whose queries and commands are real.

use std::collections::BTreeSet;
use std::fs;

use probe_core::diagnose::RULES;

use super::expressions::parts;
use super::help::assert_understood;
use super::metrics::{known, target_labels};
use super::names::strangers;
use super::rules::{config, files, shipped};

/// Name (which is an alert's) and text of every runbook.
fn runbooks() -> Vec<(String, String)> {
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        (
            name.into_owned(),
            fs::read_to_string(path).expect("a runbook"),
        )
    };
    files(&config().join("runbooks"), "md")
        .iter()
        .map(read)
        .collect()
}

/// Lines of the text's code blocks of one language.
fn code<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(str::lines)
        .collect()
}

#[test]
fn every_alert_names_its_runbook_and_every_runbook_has_its_alert() {
    let mut alerts = BTreeSet::new();
    for rule in shipped().into_iter().filter(super::rules::Rule::is_alert) {
        let name = rule.name.text();
        let url = rule.annotations.get("runbook_url").map(String::as_str);
        assert_eq!(url, Some(format!("runbooks/{name}.md").as_str()), "{name}");
        for annotation in ["summary", "description"] {
            assert!(
                rule.annotations.contains_key(annotation),
                "{name}: {annotation}"
            );
        }
        alerts.insert(name.to_owned());
    }
    let runbooks: BTreeSet<_> = runbooks().into_iter().map(|(name, _)| name).collect();
    assert_eq!(alerts, runbooks);
}

#[test]
fn every_runbook_starts_from_what_voxprobe_shows() {
    for (name, text) in runbooks() {
        assert!(text.starts_with(&format!("# {name}\n")), "{name}: title");
        let (_, look) = text.split_once("\n## First look\n").expect("a first look");
        let look = look.split("\n## ").next().expect("its text");
        let shown = code(look, "promql").len() + code(look, "sh").len();
        assert!(shown > 0, "{name} shows nothing first");
    }
}

#[test]
fn every_query_of_a_runbook_asks_for_what_exists() {
    let (known, targets) = (known(&shipped()), target_labels());
    for (name, text) in runbooks() {
        for query in code(&text, "promql") {
            assert!(!parts(query).selectors.is_empty(), "{name}: {query}");
            let found = strangers(query, &known, &targets);
            assert!(found.is_empty(), "{name}: {query}: {found:?}");
        }
    }
}

#[test]
fn every_link_of_a_runbook_leads_to_one() {
    let runbooks = runbooks();
    for (name, text) in &runbooks {
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let exists = runbooks
                .iter()
                .any(|(name, _)| target == format!("{name}.md"));
            assert!(exists, "{name} links to {target}");
        }
    }
}

#[test]
fn every_voxprobe_command_of_a_runbook_exists() {
    let mut commands = 0;
    for (name, text) in runbooks() {
        for line in code(&text, "sh") {
            let line = line.strip_prefix("sudo ").unwrap_or(line);
            let Some(arguments) = line.strip_prefix("voxprobe ") else {
                continue;
            };
            assert_understood(arguments, &name);
            commands += 1;
        }
    }
    assert!(commands > 0, "no runbook names a command");
}

/// Causes in the first column of the tables below a heading.
fn causes_below<'a>(text: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let (_, below) = text.split_once(heading).expect("the heading");
    let section = below.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.filter_map(|row| row.split('|').nth(1));
    // A row may be about two.
    columns
        .flat_map(|column| column.split(", "))
        .map(|name| name.trim().trim_matches('`'))
        .collect()
}

#[test]
fn every_cause_of_a_late_frame_is_explained_wherever_causes_are() {
    let all: BTreeSet<_> = RULES.iter().map(|rule| rule.label).collect();
    let read = |path: &str| fs::read_to_string(config().join(path)).expect(path);
    let runbook = read("runbooks/AudioUnderruns.md");
    assert_eq!(causes_below(&runbook, "\n## By cause\n"), all);

    let readme = read("../README.md");
    let section = causes_below(&readme, "\n## Why a frame was late\n");
    let told = readme.contains("`unexplained`") && readme.contains("`unknown` where evidence");
    let named = RULES.iter().filter(|rule| rule.cause.is_named());
    for rule in named {
        assert!(section.contains(rule.label), "README: {}", rule.label);
    }
    assert!(told, "README: what is no cause");

    // As the agent's own report words it.
    let dashboard = read("grafana/dashboards/why-late.json");
    for rule in &RULES {
        let row = format!("| `{}` | {} |", rule.label, rule.title);
        assert!(dashboard.contains(&row), "{row}");
    }
    let schema: serde_json::Value =
        serde_json::from_str(&read("diagnosis.schema.json")).expect("JSON");
    let listed: BTreeSet<_> = schema["$defs"]["cause"]["enum"]
        .as_array()
        .expect("causes")
        .iter()
        .filter_map(serde_json::Value::as_str)
        .collect();
    assert_eq!(listed, all);
}

#[test]
fn runbooks_on_what_listeners_hear_start_from_a_diagnosis() {
    for (name, text) in runbooks() {
        let (_, look) = text.split_once("\n## First look\n").expect("a first look");
        let look = look.split("\n## ").next().expect("its text");
        let diagnosed = code(look, "sh")
            .iter()
            .any(|line| line.contains("voxprobe diagnose"));
        let heard = ["AudioUnderruns", "HighFrameJitter"].contains(&name.as_str());
        assert!(diagnosed || !heard, "{name}: no diagnosis");
    }
}

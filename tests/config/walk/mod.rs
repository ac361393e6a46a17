//! What the READMEs tell a newcomer to type, typed.

mod binary;
mod commands;
mod pod;

use std::fs;
use std::path::Path;
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::Server;
use probe_tests::skip::skip;

use crate::rules::config;

/// The README of the whole.
fn readme() -> String {
    fs::read_to_string(config().join("../README.md")).expect("the README")
}

/// The README of `config/`.
fn config_readme() -> String {
    fs::read_to_string(config().join("README.md")).expect("the README of config/")
}

/// Code blocks of a language in a text, in order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let opened = text.split(&fence).skip(1);
    opened.filter_map(|rest| rest.split("```").next()).collect()
}

/// What stands below a heading, to the next one of its rank or above. Code has no headings.
fn section(text: &str, heading: &str) -> String {
    let rank = |line: &str| line.chars().take_while(|sign| *sign == '#').count();
    let (mut found, mut is_code, mut section) = (false, false, String::new());
    for line in text.split_inclusive('\n') {
        is_code ^= line.starts_with("```");
        let ends = !is_code && (1..=rank(heading)).contains(&rank(line));
        found = if ends {
            line.trim_end() == heading
        } else {
            found
        };
        if found && !ends {
            section.push_str(line);
        }
    }
    assert!(!section.is_empty(), "nothing below {heading}");
    section
}

/// A worker that is started as the default configuration expects it, `python -m tts.worker_main`; `None`, and
/// said, where there is no Python for it.
fn worker_main(lab: &Lab) -> Option<Server> {
    let Some(python) = artifacts::python() else {
        skip("no Python with grpcio: run `cargo xtask setup`, or name one in VOXPROBE_PYTHON");
        return None;
    };
    let package = lab.path("tts");
    fs::create_dir(&package).expect("make a package");
    let peers = artifacts::peers();
    write(&package.join("__init__.py"), "");
    write(
        &package.join("worker_main.py"),
        &format!(
            "import runpy, sys\nsys.path.insert(0, '{0}')\n\
             runpy.run_path('{0}/worker_aio.py', run_name='__main__')\n",
            peers.display()
        ),
    );
    let mut command = Command::new(python);
    command
        .args(["-m", "tts.worker_main"])
        .current_dir(lab.folder());
    Some(Server::launch(lab, command, &[]))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[test]
fn section_ends_where_the_next_one_of_its_rank_begins() {
    let text = "## A\na\n### B\nb\n```sh\n# ls\nls\n```\n## C\n```sh\ncat\n```\n";
    assert_eq!(section(text, "### B"), "b\n```sh\n# ls\nls\n```\n");
    assert_eq!(blocks(&section(text, "## A"), "sh"), ["# ls\nls\n"]);
    assert_eq!(blocks(text, "sh"), ["# ls\nls\n", "cat\n"]);
}

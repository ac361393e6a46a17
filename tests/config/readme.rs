//! `config/README.md` says what each file is for.

use std::fs;
use std::path::Path;

use super::rules::config;

/// Folders that are listed as a whole.
const WHOLE: [&str; 4] = [
    "kubernetes/helm/files/",
    "kubernetes/helm/templates/",
    "prometheus/tests/",
    "runbooks/",
];

fn walk(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            let folder = format!("{name}/");
            if WHOLE.contains(&folder.as_str()) {
                found.push(folder);
            } else {
                walk(&entry.path(), &folder, found);
            }
        } else if name != "README.md" {
            found.push(name);
        }
    }
}

#[test]
fn every_file_is_listed_and_everything_listed_is_there() {
    let mut files = Vec::new();
    walk(&config(), "", &mut files);
    let text = fs::read_to_string(config().join("README.md")).expect("the list");
    let (list, _) = text.split_once("\n## ").expect("the list comes first");
    for file in &files {
        assert!(
            list.contains(&format!("| `{file}` |")),
            "{file} is not listed"
        );
    }
    for row in list.lines().filter(|line| line.starts_with("| `")) {
        let listed = row.split('`').nth(1).unwrap_or_default();
        assert!(
            files.iter().any(|file| file == listed),
            "{listed} is not there"
        );
    }
}

//! Tests that the documents are true: examples of times that do not pass, limits that are those of the code, and files that exist.

mod limits;
mod paths;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every year of something that looks like a moment, with what stands before it in the line.
fn moments(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices('T') {
            let date = at.checked_sub(10).and_then(|begin| Some((begin, line.get(begin..at)?)));
            let Some((begin, date)) = date else { continue };
            let fits = date.char_indices().all(|(n, c)| if n == 4 || n == 7 { c == '-' } else { c.is_ascii_digit() });
            if fits && line[at + 1..].starts_with(|c: char| c.is_ascii_digit()) {
                found.push((date[..4].parse().expect("digits"), &line[..begin]));
            }
        }
    }
    found
}

#[test]
fn a_time_in_an_example_does_not_pass() {
    let mut texts = Vec::new();
    let mut open = vec![root().join("docs"), root().join("deploy"), root().join("README.md"), root().join("web/sdk/README.md")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "md" || end == "toml") {
            texts.push((path.display().to_string(), std::fs::read_to_string(&path).expect("text")));
        }
    }
    assert!(texts.len() > 10);
    for command in ["serve", "channel", "channel create", "ban", "ban add", "member", "key", "token"] {
        let mut parlor = std::process::Command::new(env!("CARGO_BIN_EXE_parlor"));
        let output = parlor.args(command.split(' ')).arg("--help").output().expect("runs");
        texts.push((format!("parlor {command} --help"), String::from_utf8(output.stdout).expect("text")));
    }
    for (name, text) in texts {
        for (year, before) in moments(&text) {
            // An event in the past is in the past in an example as well.
            let happened = ["\"at\": \"", "\"createdAt\": \"", "\"updatedAt\": \"", "\"since\": \"", "\"startedAt\": \""];
            let is_past = happened.iter().any(|key| before.ends_with(key));
            assert!(year >= 2100 || is_past, "{name}: {year}, behind {before}");
        }
    }
}

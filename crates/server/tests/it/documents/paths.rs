//! The files that documents name are there.

use std::collections::BTreeSet;
use std::path::Path;

use super::{read, root};

/// Where files are that documents name.
const TREES: &[&str] = &["bench", "crates", "deploy", "docs", "examples", "fuzz", "scripts", "vendor", "web"];
/// What is made from the sources, and is not there before.
const MADE: &[&str] = &["dist", "node_modules", "target"];
/// How the name of a source file ends.
const SOURCES: &[&str] = &[".rs", ".ts", ".svelte", ".mjs", ".py", ".sh"];

/// Everything below a directory, files and directories, by the way from the root.
fn walk(directory: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(root().join(directory)).expect("readable") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in Unicode");
        if name.starts_with('.') || MADE.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{directory}/{name}");
        if entry.file_type().expect("a type").is_dir() {
            walk(&path, found);
        }
        found.insert(path);
    }
}

/// What stands between back quotes and is the way to something in the tree: it begins with a tree or a crate, or is a source file.
/// `NAME` is whatever the reader puts there.
fn paths<'a>(text: &'a str, beginnings: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|word| {
        let is_path = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c)) && !word.contains("NAME");
        let beginning = word.split_once('/').map(|(beginning, _)| beginning);
        is_path && (beginning.is_some_and(|one| beginnings.contains(one)) || SOURCES.iter().any(|end| word.ends_with(end)))
    })
}

/// Whether a path, from the root or from further down, leads to something.
fn leads(path: &str, tree: &BTreeSet<String>) -> bool {
    let path = path.trim_end_matches('/');
    tree.contains(path) || tree.iter().any(|known| known.strip_suffix(path).is_some_and(|before| before.ends_with('/')))
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut tree: BTreeSet<String> = TREES.iter().map(|&name| name.to_owned()).collect();
    TREES.iter().for_each(|directory| walk(directory, &mut tree));
    let crates = tree.iter().filter_map(|path| path.strip_prefix("crates/")).filter(|path| !path.contains('/'));
    let beginnings: BTreeSet<String> = crates.chain(TREES.iter().copied()).map(str::to_owned).collect();
    let of_the_root = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"].map(str::to_owned);
    let ends_so = |path: &&String| Path::new(path).extension().is_some_and(|end| end == "md") && !path.starts_with("vendor/");
    let documents: Vec<String> = of_the_root.into_iter().chain(tree.iter().filter(ends_so).cloned()).collect();
    let (mut named, mut gone) = (0, Vec::new());
    for document in &documents {
        for path in paths(&read(document), &beginnings) {
            named += 1;
            if !leads(path, &tree) {
                gone.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(named > 100, "documents name more files than {named}");
    assert!(gone.is_empty(), "named, but not in the tree:\n{}", gone.join("\n"));
}

//! The examples of docs/identity.md, run as they stand there.

mod token_example;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use parlor_proto::{GrantRole, Timestamp};

use crate::auth::tests::*;

const DOCS: &str = include_str!("../../../../../docs/identity.md");

/// The block of code in the documentation that begins with this name in a comment.
fn block(name: &str) -> &'static str {
    let mut blocks = DOCS.split("\n```").filter_map(|block| block.split_once('\n')).map(|(_, code)| code);
    let named = |code: &&str| code.lines().next().is_some_and(|line| line.trim_start_matches(['/', '#', '!', ' ']).starts_with(name));
    blocks.find(named).unwrap_or_else(|| panic!("no block {name} in docs/identity.md"))
}

/// Runs a block, and returns what it prints; `None` if this machine does not have the program.
fn run(program: &str, arguments: &[&str], name: &str, folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("PARLOR_AUTH__SECRET", SECRET).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{name} is not run: {program}: {error}");
            return None;
        }
    };
    child.stdin.take().expect("piped").write_all(block(name).as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{name}");
    Some(String::from_utf8(output.stdout).expect("text").trim().to_owned())
}

fn assert_is_alice(token: &str) {
    let identity = verify(&authenticator(|_| ()), token).expect("valid").identity;
    assert_eq!((identity.user.as_str(), identity.name.as_str()), ("alice", "Alice B."));
    assert_eq!(identity.entitlement.expires_at, Timestamp::parse_rfc3339("2100-01-31T12:00:00Z"));
    let roles: Vec<_> = identity.grants.into_iter().flatten().map(|grant| grant.role).collect();
    assert_eq!(roles, [GrantRole::Member, GrantRole::Spectator]);
    assert!(identity.issued_at.0 > 0);
}

const NODE: [&str; 2] = ["--input-type=module", "-"];

#[test]
fn tokens_of_the_examples_are_taken() {
    let here = Path::new(".");
    for token in [run("node", &NODE, "token.mjs", here), run("python3", &["-"], "token.py", here)].into_iter().flatten() {
        assert_is_alice(&token);
    }
    assert_eq!(
        block("token.rs"),
        include_str!("examples/token_example.rs").trim_end(),
        "the example in the document is the one that is compiled"
    );
    assert_is_alice(&token_example::parlor_token(SECRET, "alice", "Alice B.").expect("signs"));
}

#[tokio::test]
async fn a_token_of_a_published_key_is_taken() {
    let folder = std::env::temp_dir().join(format!("parlor-keys-{}-{:x}", std::process::id(), rand::random::<u64>()));
    std::fs::create_dir(&folder).expect("made");
    if let Some(token) = run("node", &NODE, "keys.mjs", &folder) {
        let config = config::Auth {
            jwks: folder.join("jwks.json").display().to_string(),
            issuer: "https://id.example.com".to_owned(),
            audience: "parlor".to_owned(),
            ..config::Auth::default()
        };
        let auth = Authenticator::new(&config, false).expect("usable");
        assert_eq!(auth.verify(&token).await.expect("valid").identity.user.as_str(), "alice");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

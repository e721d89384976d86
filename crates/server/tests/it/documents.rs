//! The documents say what is so: examples of times that do not pass, and limits that are those of the code.

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
            // When something happened is past, in an example as well.
            let happened = ["\"at\": \"", "\"createdAt\": \"", "\"updatedAt\": \"", "\"since\": \"", "\"startedAt\": \""];
            let is_past = happened.iter().any(|key| before.ends_with(key));
            assert!(year >= 2100 || is_past, "{name}: {year}, behind {before}");
        }
    }
}

/// The file of a constant, its name, and its value as it is written there.
type Constant = (&'static str, &'static str, &'static str);

/// Rows of the table of limits: how a row begins, what it says, and the constants it speaks of.
const LIMITS: &[(&str, &str, &[Constant])] = &[
    ("a signaling message", "64 KiB", &[("proto/src/limits.rs", "MAX_MESSAGE_BYTES", "64 * 1024")]),
    (
        "messages of a session",
        "50 a second for long, 400 at once; changes that everybody is told of 10 a second, 40 at once; 256 unanswered requests; 512 packets",
        &[
            ("server/src/signal/session.rs", "MESSAGES_PER_SECOND", "NonZeroU32::new(50).unwrap()"),
            ("server/src/signal/session.rs", "MESSAGES_AT_ONCE", "NonZeroU32::new(400).unwrap()"),
            ("server/src/signal/session.rs", "ANNOUNCED_PER_SECOND", "NonZeroU32::new(10).unwrap()"),
            ("server/src/signal/session.rs", "ANNOUNCED_AT_ONCE", "NonZeroU32::new(40).unwrap()"),
            ("server/src/signal/session.rs", "MAX_OUTSTANDING", "256"),
            ("server/src/signal/socketio.rs", "OUTGOING", "512"),
        ],
    ),
    (
        "signaling connections that show no token",
        "10 s; five tries, good tokens counted too; 8,000, and 256 from one address (IPv6: /64)",
        &[
            ("server/src/signal/socketio.rs", "WAITING_SHARE", "2"),
            ("server/src/signal/waiting.rs", "MAX_FROM_SOURCE", "256"),
            ("server/src/signal/socketio.rs", "CONNECT_TIMEOUT", "Duration::from_secs(10)"),
            ("server/src/signal/socketio.rs", "CONNECT_TRIES", "5"),
        ],
    ),
    (
        "HTTP and WebSocket connections",
        "16,000 in all; without a session 8,000, and 512 from one address (IPv6: /64)",
        &[
            ("server/src/http/places.rs", "MAX_CONNECTIONS", "16_000"),
            ("server/src/http/places.rs", "MAX_STRANGERS", "MAX_CONNECTIONS / 2"),
            ("server/src/http/places.rs", "MAX_FROM_SOURCE", "512"),
        ],
    ),
    ("time to the first byte of a connection", "5 s", &[("server/src/http/guard.rs", "FIRST_BYTE", "Duration::from_secs(5)")]),
    ("a request's line and headers", "16 KiB", &[("server/src/http/listen.rs", "MAX_HEADERS", "16 * 1024")]),
    ("signaling connections of a user", "10", &[("server/src/rooms/people.rs", "MAX_SESSIONS_PER_USER", "10")]),
    ("addresses of a transport", "12", &[("sfu/src/transport/ice.rs", "MAX_PATHS", "12")]),
    (
        "TCP media connections of a worker",
        "1,024, and 128 from one address (IPv6: /64); before a valid check 512, and 64 from one address",
        &[
            ("server/src/media/tcp.rs", "MAX_CONNECTIONS", "1024"),
            ("server/src/media/tcp.rs", "MAX_FROM_SOURCE", "128"),
            ("server/src/media/tcp.rs", "MAX_STRANGERS", "MAX_CONNECTIONS / 2"),
            ("server/src/media/tcp.rs", "MAX_STRANGERS_FROM_SOURCE", "64"),
        ],
    ),
];

/// The value of a constant, as it is written.
fn constant(file: &str, name: &str) -> String {
    let source = read(&format!("crates/{file}"));
    let begin = format!("const {name}: ");
    let found = source.split(&begin).nth(1).unwrap_or_else(|| panic!("{file} has no {name}"));
    found.split_once(" = ").expect("has a value").1.split(';').next().expect("ends").to_owned()
}

#[test]
fn the_limits_that_security_md_names_are_those_of_the_code() {
    let document = read("SECURITY.md");
    let table = document.split("## Limits").nth(1).expect("the section").split("\n## ").next().expect("it ends");
    let rows: Vec<(&str, &str)> = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")).collect();
    for (begin, says, constants) in LIMITS {
        let (_, limit) = rows.iter().find(|(what, _)| what.starts_with(begin)).unwrap_or_else(|| panic!("no row of {begin}"));
        assert!(limit.contains(says), "{begin}: {limit}");
        for (file, name, value) in *constants {
            assert_eq!(&constant(file, name), value, "{begin}: {name} in {file}");
        }
    }
    // Those of the rules are configurable: the table has their defaults.
    let limits = parlor::config::Config::default().limits;
    let row = |begin: &str| rows.iter().find(|(what, _)| what.starts_with(begin)).unwrap_or_else(|| panic!("no row of {begin}")).1;
    let joins = format!("{} a minute, and {} s between", limits.joins_per_minute, limits.reconnect_interval_ms / 1000);
    assert!(row("joins of a user").contains(&joins), "{joins}");
    assert!(row("a lost connection").contains(&format!("{} s", limits.resume_grace_ms / 1000)));
    let free = format!("{} and {} (free)", limits.participants_free, limits.videos_free);
    let pro = format!("{} and {} (pro)", limits.participants_pro, limits.videos_pro);
    let people = row("participants, video publishers");
    assert!(people.contains(&free) && people.contains(&pro), "{people}");
}

//! The commands on the store, as somebody at a shell sees them: their output, their exit codes, and their effect on a running server.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use parlor::config::Store;
use parlor::{Options, Server};
use serde_json::Value;

use super::client::Client;
use super::process::parlor;
use super::{base, test_config};

/// How long a running server may take to notice a change: it looks at the change log each second; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(4);

/// An empty directory for one test.
struct Place(PathBuf);

/// What a command printed and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-cli-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).expect("a directory");
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = parlor(arguments);
        command.current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().expect("runs"))
    }

    /// Runs a command that must succeed; returns its output.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        said.out
    }

    /// Runs a command with `--json` that must succeed; returns the value it printed.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["--json"]].concat());
        assert_eq!(out.lines().count(), 1, "one value and nothing else: {out}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// Runs a command that must be refused with this exit code and a hint.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, hint: &str) {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(hint), "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty(), "a script reads nothing then: {}", said.out);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code().expect("it ended by itself"), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn help_teaches_with_examples() {
    let place = Place::new();
    assert!(place.ok(&["--help"]).contains("parlor channel create lobby"));
    for (command, example) in [
        ("channel", "parlor channel seat put table-5 north alice"),
        ("member", "parlor member add lobby bob --moderator"),
        ("ban", "parlor ban add lobby mallory --for 2h"),
        ("key", "parlor key create 'host application' --scope channels:write"),
    ] {
        let help = place.ok(&[command, "--help"]);
        assert!(help.contains(example) && help.contains("Exit codes") && help.contains("--json"), "{help}");
        assert!(help.contains("the file parlor.db beside parlor.toml"), "lines are not broken twice: {help}");
    }
    let help = place.ok(&["channel", "create", "--help"]);
    let (own, common) = help.split_once("Options of every command on the store").expect("a part of their own");
    assert!(own.contains("--owner") && common.contains("--store") && !own.contains("--json"), "{help}");
    assert!(std::fs::read_dir(&place.0).expect("readable").next().is_none(), "help makes no store");
}

#[test]
fn a_store_is_made_by_the_first_write_and_never_by_a_look() {
    let place = Place::new();
    place.refused(&["channel", "list"], 1, "no store yet");
    assert!(!place.path("parlor.db").exists());
    let made = place.run(&["channel", "create", "den"]);
    assert_eq!((made.code, made.out.as_str()), (0, "Made the channel \"den\".\n"));
    assert!(made.err.contains("made a new store") && made.err.contains("parlor.db"), "{}", made.err);
    assert!(place.path("parlor.db").exists());
    assert_eq!(place.run(&["channel", "create", "attic"]).err, "", "once");
    assert!(place.ok(&["channel", "list"]).contains("den"));

    // Elsewhere, as the configuration or the command line says.
    std::fs::create_dir(place.path("etc")).expect("a directory");
    std::fs::write(place.path("etc/parlor.toml"), "").expect("written");
    place.ok(&["channel", "create", "cellar", "--config", "etc/parlor.toml"]);
    assert!(place.path("etc/parlor.db").exists(), "beside the configuration file");
    std::fs::write(place.path("etc/parlor.toml"), "[store]\nurl = \"sqlite:other.db\"\n").expect("written");
    place.ok(&["channel", "--config", "etc/parlor.toml", "create", "cellar"]);
    assert!(place.path("other.db").exists());
    place.ok(&["channel", "create", "cellar", "--store", "sqlite:third.db"]);
    assert!(place.path("third.db").exists());
    place.refused(&["channel", "list", "--store", "mysql://root:hunter2@db/x"], 2, "--store: the address of the store must be sqlite:FILE");
    place.refused(
        &["channel", "create", "x", "--store", "sqlite:missing/parlor.db"],
        1,
        "the directory of its file does not exist. Check store.url",
    );
}

#[test]
fn a_channel_is_made_changed_and_removed() {
    let place = Place::new();
    let made =
        place.json(&["channel", "create", "stage", "--name", "The stage", "--tier", "pro", "--access", "members", "--owner", "olga"]);
    assert_eq!((&made["version"], &made["name"], &made["access"]), (&1.into(), &"The stage".into(), &"members".into()));
    let same = ["channel", "create", "stage", "--name", "The stage", "--tier", "pro", "--access", "members", "--owner", "olga"];
    assert!(place.ok(&same).contains("already, exactly so"));
    place.refused(&["channel", "create", "stage"], 4, "parlor channel update stage");

    let changes = ["--max-participants", "40", "--closes-at", "2030-01-31T22:00:00+01:00", "--spectators", "--max-spectators", "200"];
    let changed = place.json(&[["channel", "update", "stage"].as_slice(), &changes].concat());
    assert_eq!((&changed["version"], &changed["maxParticipants"], &changed["name"]), (&2.into(), &40.into(), &"The stage".into()));
    assert_eq!((&changed["closesAt"], &changed["spectators"]), (&"2030-01-31T21:00:00Z".into(), &true.into()));
    assert_eq!(changed["maxSpectators"], 200);
    place.refused(&["channel", "update", "stage", "--name", "x", "--if-version", "1"], 4, "is at version 2");
    place.ok(&["channel", "update", "stage", "--clear", "closes-at", "--clear", "owner", "--spectators", "false", "--if-version", "2"]);
    let shown = place.json(&["channel", "show", "stage"]);
    assert!(shown["closesAt"].is_null() && shown["owner"].is_null() && shown["maxParticipants"] == 40, "{shown}");
    assert_eq!((&shown["maxSpectators"], &shown["voiceActive"], &shown["roomId"]), (&200.into(), &true.into(), &"stage".into()));
    place.ok(&["channel", "update", "stage", "--clear", "max-spectators"]);
    assert!(place.json(&["channel", "show", "stage"])["maxSpectators"].is_null());
    assert!(place.ok(&["channel", "show", "stage"]).lines().any(|line| line == "maxParticipants  40"));
    assert!(place.ok(&["channel", "update", "stage"]).contains("is so already"));

    place.refused(&["channel", "update", "stage", "--max-participants", "0"], 2, "--max-participants");
    place.refused(&["channel", "update", "stage", "--max-spectators", "1001"], 2, "--max-spectators");
    place.refused(&["channel", "update", "stage", "--access", "nobody"], 2, "public, members, invited, seated");
    place.refused(&["channel", "update", "stage", "--opens-at", "tomorrow"], 2, "2100-12-24T18:00:00Z");
    let window = ["channel", "update", "stage", "--opens-at", "2030-01-01T00:00:00Z", "--closes-at", "2029-01-01T00:00:00Z"];
    place.refused(&window, 2, "--closes-at must be later");
    place.refused(&["channel", "show", "stege"], 3, "parlor channel list");
    place.refused(&["channel", "create", "two\nlines"], 2, "control");

    place.ok(&["channel", "delete", "stage"]);
    place.refused(&["channel", "delete", "stage"], 3, "no channel \"stage\"");
    assert_eq!(place.json(&["channel", "list"]), Value::Array(Vec::new()));
}

#[test]
fn odd_names_are_kept_and_hints_can_be_copied() {
    let place = Place::new();
    for odd in ["Robert'); DROP TABLE channels;--", "$(reboot)", "Стол №5 🎲", "-rf", "--json", "a\"b\\c", "100 %"] {
        place.ok(&["channel", "create", "--", odd]);
        let shown = place.ok(&["channel", "show", "--json", "--", odd]);
        assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON")["id"], odd);
    }
    let listed = place.json(&["channel", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(7));
    place.refused(&["channel", "create", "$(reboot)", "--name", "x"], 4, "parlor channel update '$(reboot)'");
}

#[test]
fn members_invitations_and_seats_are_put_and_taken() {
    let place = Place::new();
    place.ok(&["channel", "create", "den"]);
    place.refused(&["member", "list", "attic"], 3, "parlor channel create attic");
    place.ok(&["member", "add", "den", "alice"]);
    assert_eq!(place.json(&["member", "add", "den", "alice", "--moderator"])["created"], false);
    assert_eq!(place.json(&["member", "list", "den"])[0]["role"], "moderator");
    let table = place.ok(&["member", "list", "den"]);
    assert!(table.starts_with("USER ID  ROLE       UPDATED AT\nalice    moderator  "), "{table}");
    place.refused(&["member", "remove", "den", "bob"], 3, "parlor member list den");
    place.ok(&["member", "remove", "den", "alice"]);

    assert_eq!(place.json(&["channel", "invite", "den", "alice"])["created"], true);
    assert_eq!(place.json(&["channel", "invite", "den", "alice"])["created"], false);
    assert_eq!(place.json(&["channel", "invitations", "den"])[0]["state"], "invited");
    place.ok(&["channel", "uninvite", "den", "alice"]);
    place.refused(&["channel", "uninvite", "den", "alice"], 3, "parlor channel invitations den");

    place.ok(&["channel", "seat", "put", "den", "north"]);
    place.ok(&["channel", "seat", "put", "den", "north", "alice"]);
    place.ok(&["channel", "seat", "put", "den", "north"]);
    assert_eq!(place.json(&["channel", "seat", "list", "den"])[0]["userId"], "alice", "it stays hers");
    place.refused(&["channel", "seat", "put", "den", "north", "bob"], 4, "parlor channel seat free den north");
    place.refused(&["channel", "seat", "put", "den", "south", "alice"], 4, "another seat");
    place.ok(&["channel", "seat", "free", "den", "north"]);
    place.ok(&["channel", "seat", "put", "den", "north", "bob"]);
    place.refused(&["channel", "seat", "free", "den", "west"], 3, "parlor channel seat list den");
    place.ok(&["channel", "seat", "delete", "den", "north"]);
    place.refused(&["channel", "seat", "delete", "den", "north"], 3, "no seat");
}

#[test]
fn bans_have_an_end_or_not() {
    let place = Place::new();
    place.ok(&["channel", "create", "den"]);
    let timed = place.json(&["ban", "add", "den", "mallory", "--for", "2h", "--reason", "Shouting"]);
    assert!(timed["until"].is_string() && timed["reason"] == "Shouting", "{timed}");
    assert!(place.json(&["ban", "add", "den", "trudy"])["until"].is_null());
    let listed = place.json(&["ban", "list", "den"]);
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["by"]), (Some(2), &"command-line".into()));
    place.ok(&["ban", "remove", "den", "mallory"]);
    place.refused(&["ban", "remove", "den", "mallory"], 3, "parlor ban list den");
    place.refused(&["ban", "add", "den", "mallory", "--until", "2020-01-01T00:00:00Z"], 2, "--until must be in the future");
    place.refused(&["ban", "add", "den", "mallory", "--for", "soon"], 2, "30s, 10m, 12h or 7d");
    place.refused(&["ban", "add", "den", "mallory", "--for", "0h"], 2, "more than 0");
    place.refused(&["ban", "add", "den", "mallory", "--for", "2h", "--until", "2090-01-01T00:00:00Z"], 2, "cannot be used with");
    place.refused(&["ban", "add", "attic", "mallory"], 3, "parlor channel create attic");
}

#[test]
fn of_two_who_make_a_channel_at_once_one_wins() {
    let place = Place::new();
    for round in 0..3 {
        let id = format!("c{round}");
        let names = ["one", "two", "three"];
        let running = names.map(|name| {
            let mut command = place.command(&["channel", "create", &id, "--name", name]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("starts")
        });
        let mut codes = running.map(|child| Said::of(child.wait_with_output().expect("ends")).code);
        codes.sort_unstable();
        assert_eq!(codes, [0, 4, 4]);
    }
}

#[test]
fn a_wrong_value_of_an_option_is_named_as_it_was_written_and_ends_with_2() {
    let place = Place::new();
    std::fs::write(
        place.path("parlor.toml"),
        "[auth]\nsecret = \"0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef\"\nmax_lifetime = \"1h\"\n",
    )
    .expect("written");
    for (arguments, hint) in [
        (&["token", "--user", ""][..], "--user"),
        (&["token", "--user", "alice", "--name", "a\nb"], "--name"),
        (&["token", "--user", "alice", "--lifetime", "0"], "--lifetime"),
        (&["token", "--user", "alice", "--lifetime", "2h"], "--lifetime"),
        (&["token", "--user", "alice", "--pro-until", "tomorrow"], "--pro-until"),
        (&["token", "--user", "alice", "--channel", "x:king"], "\"king\" is no role: spectator, member or moderator"),
        (&["token", "--user", "alice", "--channel", "x", "--channel", "x"], "--channel"),
        (&["config", "--media-port", "65530"], "--media-port: leaves no room"),
        (&["config", "--media-port", "many"], "--media-port"),
        (&["config", "--media-workers", "65"], "--media-workers: must not be over 64"),
        (&["config", "--announced-ip", "0.0.0.0"], "--announced-ip: must be an address clients can connect to"),
        (&["serve", "--log-level", "loud"], "--log-level: must be error, warn"),
        (&["channel", "seat", "put", "den", "a\nb"], "SEAT"),
        (&["channel", "list", "--store", "nonsense"], "--store: the address of the store must be"),
    ] {
        place.refused(arguments, 2, hint);
    }
    assert!(place.ok(&["token", "--user", "alice", "--channel", "x:y:member", "--channel", "x:spectator"]).contains('.'));
    // A mistake in a file is no mistake of the command line.
    std::fs::write(place.path("parlor.toml"), "[media]\nworkers = 65\n").expect("written");
    place.refused(&["config"], 1, "parlor.toml: media.workers: must not be over 64");
}

/// A file that is no database: opening it is logged as an error, which has colours where there is a terminal.
#[test]
fn there_are_no_colours_without_a_terminal_nor_where_nobody_wants_them() {
    let place = Place::new();
    std::fs::write(place.path("damaged.db"), [b'x'; 4096]).expect("written");
    let arguments = ["channel", "list", "--store", "sqlite:damaged.db"];
    let said = place.run(&arguments);
    assert!(said.err.contains("ERROR") && !said.err.contains('\u{1b}'), "{:?}", said.err);
    let at_terminal = |no_colour: &str| {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let mut command = place.command(&arguments);
        command.env_remove("CLICOLOR").env("TERM", "xterm").env("NO_COLOR", no_colour).stderr(terminal.slave);
        command.status().expect("runs");
        drop(command);
        let mut text = Vec::new();
        // The other end of the terminal is closed: the rest is read, and then an error.
        let _ = std::io::Read::read_to_end(&mut std::fs::File::from(terminal.master), &mut text);
        String::from_utf8(text).expect("text")
    };
    assert!(at_terminal("").contains('\u{1b}'), "somebody who sits there");
    let plain = at_terminal("1");
    assert!(plain.contains("ERROR") && !plain.contains('\u{1b}'), "{plain:?}");
}

/// Runs a command on a small file system of its own, after the preparation.
fn on_a_small_disk(place: &Place, size: &str, prepare: &str, arguments: &str) -> Said {
    let disk = place.path("disk");
    std::fs::create_dir_all(&disk).expect("a directory");
    let (disk, parlor) = (disk.display(), env!("CARGO_BIN_EXE_parlor"));
    let script = format!(
        "set -e; mount -t tmpfs -o size={size} none {disk}; cd {disk}; {prepare}; exec {parlor} {arguments} --store sqlite:{disk}/parlor.db"
    );
    let root = nix::unistd::geteuid().is_root();
    let mut command = Command::new("unshare");
    // A user who is not root becomes root in a namespace of their own.
    command.args(if root { &["--mount"][..] } else { &["--mount", "--user", "--map-root-user"] });
    Said::of(command.args(["sh", "-c", &script]).env_remove("PARLOR_CONFIG").output().expect("unshare is there"))
}

#[test]
fn a_read_only_mount_and_a_full_disk_are_called_that() {
    let place = Place::new();
    let parlor = env!("CARGO_BIN_EXE_parlor");
    let made = format!("{parlor} channel create den --store sqlite:parlor.db >/dev/null 2>&1");
    let said = on_a_small_disk(
        &place,
        "4m",
        &format!("{made}; cd /; mount -o remount,ro {}", place.path("disk").display()),
        "channel create attic",
    );
    assert!(said.code == 1 && said.err.contains("mounted read-only"), "{}", said.err);
    let said =
        on_a_small_disk(&place, "4m", &format!("cd /; mount -o remount,ro {}", place.path("disk").display()), "channel create attic");
    assert!(said.code == 1 && said.err.contains("mounted read-only"), "{}", said.err);
    for prepare in ["true".to_owned(), made] {
        let fill = format!("{prepare}; dd if=/dev/zero of=filler bs=4k 2>/dev/null || true");
        let said = on_a_small_disk(&place, "1m", &fill, "channel create attic");
        assert!(said.code == 1 && said.err.contains("the disk is full"), "{}", said.err);
    }
}

fn address(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// A server in development mode whose store the command line reaches.
async fn server_on(file: &Path) -> Server {
    let mut config = test_config();
    config.store = Store::at(&address(file));
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_notices() {
    let place = Place::new();
    let file = place.path("served.db");
    let store = address(&file);
    let server = server_on(&file).await;
    place.ok(&["channel", "create", "den", "--store", &store]);
    let (mut alice, _) = Client::joined(&server, "alice", "den").await;
    let (mut mallory, _) = Client::joined(&server, "mallory", "den").await;
    place.ok(&["ban", "add", "den", "mallory", "--reason", "Shouting", "--store", &store]);
    let banned = Instant::now();
    assert_eq!(mallory.event("voice:left").await["reason"], "banned");
    assert!(banned.elapsed() < NOTICED, "{:?}", banned.elapsed());
    let left = alice.event("voice:participant:left").await;
    assert_eq!(left["userId"], "mallory", "{left}");
    let refused = mallory.request("voice:join", serde_json::json!({ "channelId": "den" })).await;
    assert_eq!(refused["code"], "PERMISSION_DENIED", "{refused}");

    place.ok(&["channel", "delete", "den", "--store", &store]);
    let deleted = Instant::now();
    assert_eq!(alice.event("voice:left").await["reason"], "channel-deleted");
    assert!(deleted.elapsed() < NOTICED, "{:?}", deleted.elapsed());
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_opens_the_rest_api_until_it_is_revoked() {
    let place = Place::new();
    let file = place.path("served.db");
    let store = address(&file);
    let server = server_on(&file).await;
    let made = place.run(&["key", "create", "a test", "--scope", "channels:read", "--store", &store]);
    let key = made.out.trim();
    assert!(made.code == 0 && key.starts_with("parlor_") && !key.contains(char::is_whitespace), "{}", made.out);
    assert!(made.err.contains("cannot be shown again") && !made.err.contains(key), "{}", made.err);
    let status = async || {
        let asked = reqwest::Client::new().get(base(&server) + "/api/channels").bearer_auth(key);
        asked.send().await.expect("answers").status().as_u16()
    };
    assert_eq!(status().await, 200);
    let listed = place.json(&["key", "list", "--store", &store]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["scopes"][0], &listed[0]["by"]),
        (&"a test".into(), &"channels:read".into(), &"command-line".into())
    );
    let secret = key.rsplit('_').next().expect("has one");
    assert!(!listed.to_string().contains(secret) && !place.ok(&["key", "list", "--store", &store]).contains(secret));

    let id = listed[0]["id"].as_str().expect("an id");
    place.ok(&["key", "revoke", id, "--store", &store]);
    assert_eq!(status().await, 401);
    place.refused(&["key", "revoke", id, "--store", &store], 3, "parlor key list");
    place.refused(&["key", "create", "x", "--store", &store], 2, "--scope");
    place.refused(&["key", "create", "x", "--scope", "everything", "--store", &store], 2, "channels:write");
    server.shut_down().await;
}

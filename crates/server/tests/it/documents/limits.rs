//! The table of limits in SECURITY.md: every row is filled in from the code, and no row is of the table alone.

use std::collections::BTreeSet;

use parlor::config::{Config, Limits};

use super::read;

/// The source of a number in a row.
enum Fact {
    /// A constant, by its file and its name.
    Is(&'static str, &'static str),
    /// A constant counted in so many: the unit, its file and its name.
    In(u64, &'static str, &'static str),
    /// A number that follows from the defaults of the configuration.
    By(fn(&Config) -> u64),
    /// A rule and not a number: the test that shows it, by its file and its name. It fills no gap.
    Rule(&'static str, &'static str),
}

use Fact::{By, In, Is, Rule};

/// A row: its beginning, its limit with a gap for each number, and the sources that fill the gaps.
type Row = (&'static str, &'static str, &'static [Fact]);

const SESSION: &str = "server/src/signal/session.rs";
const SOCKET: &str = "server/src/signal/socketio.rs";
const PLACES: &str = "server/src/net/places.rs";
const TCP: &str = "server/src/media/net/tcp.rs";
const TURN: &str = "turn/src/limits.rs";
const TURN_STREAMS: &str = "server/src/turn/streams.rs";
const CONNECTIVITY: &str = "rooms/src/connectivity.rs";
const LIMIT: &str = "sfu/src/producer/limit.rs";

const ROWS: &[Row] = &[
    ("a signaling message", "{} KiB", &[In(1024, "proto/src/limits.rs", "MAX_MESSAGE_BYTES")]),
    (
        "messages of a session",
        "{} a second for long, {} at once; changes that everybody is told of {} a second, {} at once; {} unanswered requests; \
         {} packets waiting to be read",
        &[
            Is(SESSION, "MESSAGES_PER_SECOND"),
            Is(SESSION, "MESSAGES_AT_ONCE"),
            Is(SESSION, "ANNOUNCED_PER_SECOND"),
            Is(SESSION, "ANNOUNCED_AT_ONCE"),
            Is(SESSION, "MAX_OUTSTANDING"),
            Is(SOCKET, "OUTGOING"),
        ],
    ),
    (
        "signaling connections that show no token",
        "{} s; {} tries, good tokens counted too; {}, and {} from one address (IPv6: /64)",
        &[
            Is(SOCKET, "CONNECT_TIMEOUT"),
            Is(SOCKET, "CONNECT_TRIES"),
            By(|_| number(PLACES, "MAX_CONNECTIONS") / number(SOCKET, "WAITING_SHARE")),
            Is("server/src/signal/waiting.rs", "MAX_FROM_SOURCE"),
        ],
    ),
    (
        "HTTP and WebSocket connections",
        "{} in all; without a session {}, and {} from one address (IPv6: /64)",
        &[Is(PLACES, "MAX_CONNECTIONS"), Is(PLACES, "MAX_STRANGERS"), Is(PLACES, "MAX_FROM_SOURCE")],
    ),
    ("time to the first byte of a connection", "{} s", &[Is("server/src/net/guard.rs", "FIRST_BYTE")]),
    ("a request's line and headers", "{} KiB", &[In(1024, "server/src/net/listen.rs", "MAX_HEADERS")]),
    ("signaling connections of a user", "{}", &[Is("server/src/rooms/directory/presence.rs", "MAX_SESSIONS_PER_USER")]),
    ("a lost connection", "its place in the call is kept {} s", &[By(|config| config.limits.resume_grace_ms / 1_000)]),
    (
        "joins of a user",
        "{} a minute, and {} s between reconnects",
        &[By(|config| config.limits.joins_per_minute.into()), By(|config| config.limits.reconnect_interval_ms / 1_000)],
    ),
    ("addresses of a transport", "{}", &[Is("sfu/src/transport/ice.rs", "MAX_PATHS")]),
    (
        "sent to an address that is not proved to be the client's",
        "{} bytes for each that came, answers to checks aside; over all of a transport's, {} bytes of a handshake beyond",
        &[Is("sfu/src/transport/ice/path.rs", "CREDIT_FACTOR"), Is("sfu/src/transport/ice/proof.rs", "HANDSHAKE_BYTES")],
    ),
    (
        "refusals of STUN requests to strangers",
        "{} a second for each worker, none longer than the request",
        &[
            Is("sfu/src/plane/checks.rs", "REFUSALS_A_SECOND"),
            Rule("sfu/tests/strangers.rs", "strangers_are_refused_a_bounded_number_of_times_and_never_with_more_than_they_sent"),
        ],
    ),
    (
        "TCP media connections of a worker",
        "{}, and {} from one address (IPv6: /64); before a valid check {}, and {} from one address; as many of a transport as it has \
         addresses, and none after its end",
        &[Is(TCP, "MAX_CONNECTIONS"), Is(TCP, "MAX_FROM_SOURCE"), Is(TCP, "MAX_STRANGERS"), Is(TCP, "MAX_STRANGERS_FROM_SOURCE")],
    ),
    (
        "transports of a session",
        "1 to send, 1 to receive",
        &[Rule("rooms/tests/rules/transports.rs", "a_session_has_one_transport_of_each_direction")],
    ),
    (
        "producers of a session",
        "1 each: microphone, camera, screen, screen sound",
        &[Rule("rooms/tests/rules/sending.rs", "a_session_sends_one_of_each_source_and_kind")],
    ),
    (
        "consumers of a session",
        "1 for each producer of the others",
        &[
            Rule("rooms/tests/rules/receiving.rs", "a_producer_is_consumed_once_by_each"),
            Rule("rooms/tests/rules/receiving.rs", "one_s_own_producer_is_not_consumed"),
        ],
    ),
    (
        "participants, video publishers of a channel",
        "{} and {} (free), {} and {} (pro), or as configured; {} in a mesh call",
        &[
            By(|config| config.limits.participants_free.into()),
            By(|config| config.limits.videos_free.into()),
            By(|config| config.limits.participants_pro.into()),
            By(|config| config.limits.videos_pro.into()),
            By(|config| config.limits.participants_mesh.into()),
        ],
    ),
    (
        "what a participant of a mesh call sends another",
        "60 messages at once (of all others together 420) and 10 a second, and 64 KiB a second; {} KiB in a session description, {} bytes in a candidate, {} values; {} \
         messages and {} KiB wait for a lost connection",
        &[
            Rule("rooms/tests/rules/mesh.rs", "one_participant_can_send_another_only_so_much_and_the_others_are_not_affected"),
            In(1024, "proto/src/limits.rs", "MAX_SDP_BYTES"),
            Is("proto/src/limits.rs", "MAX_CANDIDATE_BYTES"),
            Is("proto/src/limits.rs", "MAX_SIGNAL_VALUES"),
            Is("rooms/src/mesh.rs", "MAX_KEPT"),
            In(1024, "rooms/src/mesh.rs", "MAX_KEPT_BYTES"),
        ],
    ),
    (
        "what a client tells of its connections",
        "{} reports at once, and one in {} s; words of closed lists and numbers, no addresses",
        &[By(|_| number(CONNECTIVITY, "REPORTS_AT_ONCE") / number(CONNECTIVITY, "REPORT")), Is(CONNECTIVITY, "REPORT")],
    ),
    ("connections of the dialects for mesh calls", "{}", &[Is("server/src/signal/plain.rs", "MAX_CONNECTIONS")]),
    (
        "what a producer sends, all on the wire",
        "sound: {} % of its bitrate, and {} bytes for each of {} packets a second ({} times the payload if it comes with redundancy); \
         pictures: {} % of the bitrate; {} s of it at once",
        &[
            Is(LIMIT, "SOUND_TOLERANCE_PERCENT"),
            Is(LIMIT, "OVERHEAD"),
            Is(LIMIT, "SOUND_PACKETS"),
            Is(LIMIT, "REDUNDANT_TIMES"),
            Is(LIMIT, "PICTURE_TOLERANCE_PERCENT"),
            Is(LIMIT, "BURST_SECONDS"),
        ],
    ),
    (
        "packets of a producer",
        "sound {} a second; pictures {} and one for each {} bytes of the above: {} for a camera of {} kbit/s",
        &[
            Is(LIMIT, "SOUND_PACKETS_TOLERATED"),
            Is(LIMIT, "FRAMES"),
            Is(LIMIT, "PICTURE_PACKET"),
            By(|config| packets_of_a_camera(&config.limits, "PICTURE_PACKET")),
            By(|config| u64::from(config.limits.camera_bitrate) / 1_000),
        ],
    ),
    (
        "TURN allocations",
        "{} in all, {} of a user, {} from an address (IPv6: /64), or as configured; each lasts {} s and has {} permissions of {} s and {} \
         channels of {} s",
        &[
            By(|config| config.turn.max_allocations as u64),
            By(|config| config.turn.max_allocations_user as u64),
            By(|config| config.turn.max_allocations_address as u64),
            Is(TURN, "LIFETIME"),
            Is(TURN, "MAX_PERMISSIONS"),
            Is(TURN, "PERMISSION"),
            Is(TURN, "MAX_CHANNELS"),
            Is(TURN, "CHANNEL"),
        ],
    ),
    (
        "relayed for a TURN allocation",
        "{} kbit/s in each direction, or as configured; {} bytes a packet",
        &[By(|config| config.turn.max_bitrate_kbps), Is(TURN, "MAX_MESSAGE")],
    ),
    (
        "TURN connections over TCP and TLS",
        "{}, and {} from one address (IPv6: /64); without an allocation {}, and {} from one address, for {} s and {} KiB each",
        &[
            Is(TURN_STREAMS, "MAX_CONNECTIONS"),
            Is(TURN_STREAMS, "MAX_FROM_SOURCE"),
            Is(TURN_STREAMS, "MAX_STRANGERS"),
            Is(TURN_STREAMS, "MAX_STRANGERS_FROM_SOURCE"),
            Is(TURN_STREAMS, "FIRST_ALLOCATION"),
            In(1024, TURN_STREAMS, "MAX_UNCONFIRMED"),
        ],
    ),
    (
        "TURN answers to who has shown no password",
        "{} times as long as the request, or none",
        &[
            Is("turn/src/message.rs", "MAX_AMPLIFICATION"),
            Rule("turn/src/message/tests.rs", "a_stranger_gets_at_most_twice_the_bytes_and_the_words_go_first"),
        ],
    ),
    ("RTP packets of a transport", "those of its producers, and {} a second", &[Is("sfu/src/transport.rs", "OTHER_PACKETS")]),
    (
        "times a producer's packets are passed on, to all receivers of a worker",
        "{} a second: a seventh of a core. More only where the usual number of packets ({} a second for a camera; {} for pictures on a \
         worker they cross to) to each of very many receivers is more",
        &[Is(LIMIT, "SENDINGS"), By(|config| packets_of_a_camera(&config.limits, "USUAL_PACKET")), Is(LIMIT, "MIRRORED_PACKETS")],
    ),
    (
        "people of a channel whom moderators in calls ban, or from whom something is taken",
        "{} and {}, then `LIMIT_EXCEEDED`; who runs the server (REST, command line, configuration) has no limit",
        &[Is("store/src/bans.rs", "MAX_BANS_BY_MODERATORS"), Is("store/src/restrictions.rs", "MAX_RESTRICTED")],
    ),
    (
        "life of a TURN credential",
        "{} h in a call, {} h by REST, or as configured",
        &[By(|config| config.turn.ttl.as_seconds() / 3_600), By(|config| config.turn.rest_ttl.as_seconds() / 3_600)],
    ),
    (
        "audit log",
        "{} days (`store.audit_keep_days`) and {} lines (`store.audit_keep_lines`), the oldest go first; {} h of the change log",
        &[
            By(|config| config.store.audit_keep_days.into()),
            By(|config| config.store.audit_keep_lines),
            In(3_600, "server/src/rooms/follow_store.rs", "KEPT"),
        ],
    ),
    ("spectators of a channel", "{}, or as configured", &[By(|config| config.limits.spectators.into())]),
    (
        "channels a user is in",
        "1, over all devices",
        &[Rule("rooms/tests/rules/whereabouts.rs", "who_enters_a_channel_leaves_the_one_before_whatever_the_device")],
    ),
    (
        "lists and texts in RTP parameters",
        "see [the protocol](docs/protocol/socketio.md#rtp)",
        &[Rule("proto/tests/docs.rs", "the_sizes_on_the_page_are_the_limits_of_the_code")],
    ),
    (
        "wait for the media plane",
        "{} or {} s, then `TIMEOUT` and clean-up",
        &[By(|config| config.limits.produce_timeout_ms / 1_000), By(|config| config.limits.connect_transport_timeout_ms / 1_000)],
    ),
];

/// Packets a second of a camera as configured: as many as its bitrate makes of so many bytes on average, and one for each frame.
fn packets_of_a_camera(limits: &Limits, packet: &str) -> u64 {
    let bytes = u64::from(limits.camera_bitrate) * number(LIMIT, "PICTURE_TOLERANCE_PERCENT") / 100 / 8;
    bytes / number(LIMIT, packet) + number(LIMIT, "FRAMES")
}

/// The value of a constant, read from its source: most constants are private to their module.
fn number(file: &str, name: &str) -> u64 {
    let source = read(&format!("crates/{file}"));
    let begin = format!("const {name}: ");
    let found = source.split(&begin).nth(1).unwrap_or_else(|| panic!("{file} has no {name}"));
    value(file, found.split_once(" = ").expect("has a value").1.split(';').next().expect("ends"))
}

/// The value of an expression; a time is in seconds.
fn value(file: &str, text: &str) -> u64 {
    let within = |begin: &str, end: &str| text.strip_prefix(begin)?.strip_suffix(end);
    if let Some(inner) = within("Duration::from_secs(", ")").or_else(|| within("NonZeroU32::new(", ").unwrap()")) {
        value(file, inner)
    } else if let Some((a, b)) = text.rsplit_once(" / ") {
        value(file, a) / value(file, b)
    } else if let Some((a, b)) = text.rsplit_once(" * ") {
        value(file, a) * value(file, b)
    } else if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.replace('_', "").parse().unwrap_or_else(|_| panic!("{file}: {text}"))
    } else {
        number(file, text)
    }
}

/// Writes a number as people do: 16,000.
fn written(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    grouped.join(",")
}

/// The limit of a row, as the code has it.
fn filled((begin, says, facts): &Row, config: &Config) -> String {
    let mut pieces = says.split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for fact in *facts {
        let number = match fact {
            Is(file, name) => number(file, name),
            In(unit, file, name) => number(file, name) / unit,
            By(of) => of(config),
            Rule(file, test) => {
                assert!(read(&format!("crates/{file}")).contains(&format!("\nfn {test}()")), "{begin}: {file} has no test {test}");
                continue;
            }
        };
        text += &written(number);
        text += pieces.next().unwrap_or_else(|| panic!("{begin}: no gap for {number}"));
    }
    assert_eq!(pieces.next(), None, "{begin}: a gap that nothing fills");
    text
}

#[test]
fn the_limits_that_security_md_names_are_those_of_the_code() {
    let document = read("SECURITY.md");
    let table = document.split("## Limits").nth(1).expect("the section").split("\n##").next().expect("it ends");
    let config = Config::default();
    let mut known = BTreeSet::new();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")).skip(1);
    for (what, limit) in rows {
        // The longest beginning that fits, since one may be the beginning of another.
        let row = ROWS.iter().filter(|(begin, ..)| what.starts_with(begin)).max_by_key(|(begin, ..)| begin.len());
        let row =
            row.unwrap_or_else(|| panic!("nothing in the code is known to hold for the row {what:?}: add it above, with its constants"));
        assert!(known.insert(row.0), "{what}: twice");
        assert_eq!(limit, filled(row, &config), "{what}");
    }
    let gone: Vec<_> = ROWS.iter().filter(|(begin, ..)| !known.contains(begin)).map(|(begin, ..)| begin).collect();
    assert!(gone.is_empty(), "no longer in the table: {gone:?}");
    let limits = &config.limits;
    let waits = [limits.create_transport_timeout_ms, limits.restart_ice_timeout_ms, limits.consume_timeout_ms];
    assert!(waits.iter().all(|wait| [limits.produce_timeout_ms, limits.connect_transport_timeout_ms].contains(wait)), "{waits:?}");
}

#[test]
fn a_number_is_read_as_the_compiler_reads_it() {
    assert_eq!(
        ["64 * 1024", "16_000", "Duration::from_secs(10)", "NonZeroU32::new(50).unwrap()"].map(|text| value("", text)),
        [65_536, 16_000, 10, 50]
    );
    assert_eq!([1, 999, 1_000, 1_234_567].map(written), ["1", "999", "1,000", "1,234,567"]);
}

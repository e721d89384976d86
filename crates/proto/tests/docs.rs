//! Keeps `docs/protocol/socketio.md` complete: what the dialect knows is on the page, and the page names nothing else.

use std::collections::BTreeSet;

use parlor_proto::codec::socketio::{ERROR_EVENT, REQUEST_EVENTS, event_name, reply_name};
use parlor_proto::transport::TransportFailure;
use parlor_proto::{Culprit, ErrorCode, EventKind, ReplyKind, limits};
use strum::VariantArray;

const PAGE: &str = include_str!("../../../docs/protocol/socketio.md");

/// Every name of the dialect.
fn known() -> BTreeSet<&'static str> {
    let replies = ReplyKind::VARIANTS.iter().copied().map(reply_name);
    let events = EventKind::VARIANTS.iter().copied().map(event_name);
    REQUEST_EVENTS.into_iter().chain(replies).chain(events).chain([ERROR_EVENT]).collect()
}

/// Every `voice:…` name that `text` has directly between two `quote` characters.
fn names(text: &str, quote: char) -> BTreeSet<&str> {
    text.split(quote).filter(|part| part.starts_with("voice:") && part[6..].chars().all(|c| c.is_ascii_alphabetic() || c == ':')).collect()
}

#[test]
fn every_request_event_has_a_heading() {
    for event in REQUEST_EVENTS {
        assert!(PAGE.lines().any(|line| line.starts_with("### ") && line.contains(&format!("`{event}`"))), "{event} has no heading");
    }
}

#[test]
fn every_reply_and_push_of_the_codec_is_on_the_page() {
    let documented = names(PAGE, '`');
    let known = known();
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
}

#[test]
fn the_page_names_no_event_the_codec_does_not_know() {
    // Names in the examples are between double quotes, those in the text between back quotes.
    let documented: BTreeSet<_> = names(PAGE, '`').union(&names(PAGE, '"')).copied().collect();
    let known = known();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "documented, but not in the codec: {unknown:?}");
}

#[test]
fn every_error_code_is_in_the_table_with_its_culprit() {
    for code in ErrorCode::ALL.iter().copied() {
        let name = serde_json::to_value(code).expect("serializes");
        let culprit = match code.culprit() {
            Culprit::Client => "client",
            Culprit::Caller => "caller",
            Culprit::Network => "network",
            Culprit::Us => "us",
        };
        let row = format!("| `{}` | {culprit} |", name.as_str().expect("a text"));
        assert!(PAGE.contains(&row), "no row begins with: {row}");
    }
}

#[test]
fn every_reason_of_a_failed_transport_is_in_the_table() {
    for reason in TransportFailure::ALL.iter().copied() {
        let row = format!("| `{}` | ", reason.name());
        assert!(PAGE.contains(&row), "no row begins with: {row}");
    }
}

#[test]
fn the_sizes_on_the_page_are_the_limits_of_the_code() {
    let sentences = [
        format!("texts of 1 to {} characters", limits::MAX_ID_CHARS),
        format!("the same, up to {} characters", limits::MAX_NAME_CHARS),
        format!("1 to {} characters |", limits::MAX_REASON_CHARS),
        format!("| size of a message | {} KiB;", limits::MAX_MESSAGE_BYTES / 1024),
        format!("1 to {} encodings", limits::MAX_ENCODINGS),
        format!("with 1 to {} entries", limits::MAX_FINGERPRINTS),
        format!("`mid` and `rid`: 1 to {} characters", limits::MAX_MID_BYTES),
        format!(
            "At most {} codecs, {} parameters and {} feedback entries of a codec, {} header extensions, {} bytes of any text",
            limits::MAX_CODECS,
            limits::MAX_CODEC_PARAMETERS,
            limits::MAX_RTCP_FEEDBACK,
            limits::MAX_HEADER_EXTENSIONS,
            limits::MAX_TEXT_BYTES
        ),
    ];
    for sentence in sentences {
        assert!(PAGE.contains(&sentence), "the page does not say: {sentence}");
    }
    assert_eq!(limits::MAX_MID_BYTES, limits::MAX_RID_BYTES, "the page says one number for both");
}

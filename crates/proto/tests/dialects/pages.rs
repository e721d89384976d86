//! Keeps `call.md`, `voice.md` and `envelope.md` of `docs/protocol` complete: every message type is on its page, and the pages
//! name no other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::schema::schema;
use crate::{call_messages, transcript, voice_messages};
use parlor_proto::codec::call::Call;
use parlor_proto::codec::voice::Voice;

/// The words in the first column of a page's tables.
fn listed(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    rows.flat_map(|cell| cell.split(',')).map(|word| word.trim().trim_matches('`').to_owned()).filter(|word| word != "type").collect()
}

/// The types of every message that is read without a refusal of its type, or written.
fn known(transcript: &Value) -> BTreeSet<String> {
    let read = transcript["read"].as_array().into_iter().flatten().map(|read| &read["name"]);
    let pushed = transcript["pushed"].as_array().into_iter().flatten().map(|pushed| &pushed["message"]["type"]);
    let joined = transcript["joined"].as_array().into_iter().flatten().map(|message| &message["type"]);
    let others = ["refused", "pong", "call state"].map(|name| &transcript[name]["type"]);
    let all = read.chain(pushed).chain(joined).chain(others).filter_map(Value::as_str);
    all.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_type_of_ws_call_is_on_its_page_and_no_other() {
    assert_eq!(listed(include_str!("../../../../docs/protocol/call.md")), known(&transcript::<Call>(&call_messages())));
}

#[test]
fn every_type_of_ws_voice_is_on_its_page_and_no_other() {
    assert_eq!(listed(include_str!("../../../../docs/protocol/voice.md")), known(&transcript::<Voice>(&voice_messages())));
}

#[test]
fn every_message_of_ws_is_on_its_page_and_no_other() {
    let file = &schema().file[0];
    let envelope = file.message_type.iter().find(|message| message.name() == "Envelope").expect("there is one");
    let messages = envelope.field.iter().filter(|field| field.oneof_index.is_some()).map(|field| field.name().to_owned());
    assert_eq!(listed(include_str!("../../../../docs/protocol/envelope.md")), messages.collect());
}

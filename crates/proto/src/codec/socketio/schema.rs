//! The dialect as a JSON Schema, from the types that read and write it: `docs/protocol/socketio.schema.json`.
//!
//! Clients are made from the schema (the TypeScript types of `web/sdk` are), so the file is kept, and a test fails when it
//! is not what the types say. `PARLOR_BLESS=1 cargo test -p parlor-proto --lib schema` writes the file anew.

use std::collections::BTreeSet;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use strum::VariantArray;

use super::payload::{self, Ban, Deafen, EndCall, Kick, Move, Mute};
use super::{ERROR_EVENT, event_name, reply_name, request_name};
use crate::error::Error;
use crate::event::{Event, EventKind, Reply, ReplyKind};
use crate::moderation::ModerationAction;
use crate::request::RequestKind;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol/socketio.schema.json");

type Fields = Map<String, Value>;

#[test]
fn the_schema_on_file_is_what_the_types_say() {
    let is = schema();
    if std::env::var_os("PARLOR_BLESS").is_some() {
        return std::fs::write(FILE, format!("{is:#}\n")).expect("the file can be written");
    }
    let kept: Option<Value> = std::fs::read_to_string(FILE).ok().and_then(|text| serde_json::from_str(&text).ok());
    assert!(
        kept == Some(is),
        "docs/protocol/socketio.schema.json is out of date: PARLOR_BLESS=1 cargo test -p parlor-proto --lib schema writes it, \
         then npm --prefix web run generate"
    );
}

/// The whole document: tables of requests, replies and pushes, and the definitions they refer to.
fn schema() -> Value {
    let (mut written, mut read) = (SchemaSettings::draft2020_12().for_serialize().into_generator(), reader());
    let replies = variants::<Reply, _>(&mut written, ReplyKind::VARIANTS);
    let events = variants::<Event, _>(&mut written, EventKind::VARIANTS);
    let refusal = written.subschema_for::<Error>().to_value();
    let payloads = RequestKind::VARIANTS.iter().map(|kind| {
        let mut payload = payload_of(&mut read, *kind);
        payload.remove("description");
        payload.to_value()
    });
    let payloads: Vec<_> = payloads.collect();

    let mut definitions = written.take_definitions(true);
    definitions.values_mut().for_each(without_optional_nulls);
    for (kind, mut reply) in replies {
        without_optional_nulls(&mut reply);
        // A reply that is a type of its own has that type's definition.
        if reply.get("$ref").is_none() {
            assert_eq!(definitions.insert(format!("{kind:?}"), reply), None, "{kind:?} is the name of two types");
        }
    }
    let mut payloads = Value::Array(payloads);
    add_read(&mut definitions, read.take_definitions(true), &mut payloads);

    let requests = RequestKind::VARIANTS.iter().zip(payloads.as_array().expect("a list")).map(|(kind, payload)| {
        (request_name(*kind).to_owned(), fields([("payload".to_owned(), payload.clone()), ("reply".to_owned(), named(kind.reply()))]))
    });
    let pushes = events.into_iter().map(|(kind, mut event)| {
        without_optional_nulls(&mut event);
        (event_name(kind).to_owned(), event)
    });
    let replies = ReplyKind::VARIANTS.iter().map(|kind| (reply_name(*kind).to_owned(), named(*kind)));
    let tables = [
        ("Requests", "Every request: what it takes, and what it is answered with.", fields(requests)),
        ("Replies", "The events that answer requests without an acknowledgement.", fields(replies)),
        ("Pushes", "Everything the server says unasked.", fields(pushes)),
    ];
    for (name, description, mut table) in tables {
        table["description"] = description.into();
        definitions.insert(name.to_owned(), table);
    }
    let definition = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let parts = ["Requests", "Replies", "Pushes"].map(|name| (name.to_lowercase(), definition(name)));
    let mut whole = fields(parts.into_iter().chain([("refusal".to_owned(), refusal)]));
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    whole["title"] = "Protocol".into();
    whole["description"] = format!(
        "The socket.io dialect of Parlor. A refusal answers a request with an acknowledgement; without one it is the event {ERROR_EVENT}."
    )
    .into();
    whole["$defs"] = Value::Object(definitions);
    whole
}

fn reader() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_deserialize().into_generator()
}

/// An object that has all of these fields.
fn fields(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Fields = fields.into_iter().collect();
    let required: BTreeSet<_> = properties.keys().cloned().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The definition of a reply.
fn named(kind: ReplyKind) -> Value {
    json!({"$ref": format!("#/$defs/{kind:?}")})
}

/// The schema of each variant of an untagged enum; they are in the order of its variants.
fn variants<T: JsonSchema, K: Copy>(generator: &mut SchemaGenerator, kinds: &[K]) -> Vec<(K, Value)> {
    let schema = T::json_schema(generator).to_value();
    let each = schema["anyOf"].as_array().expect("an untagged enum has a schema for each variant");
    assert_eq!(each.len(), kinds.len());
    kinds.iter().copied().zip(each.iter().cloned()).collect()
}

/// What a request takes. That these are the types with which requests are read, the examples show: `web/sdk/test/protocol.test.ts`.
fn payload_of(generator: &mut SchemaGenerator, request: RequestKind) -> Schema {
    match request {
        RequestKind::Join => payload::Join::json_schema(generator),
        RequestKind::Leave => payload::Leave::json_schema(generator),
        RequestKind::GetRouterRtpCapabilities | RequestKind::GetIceServers => schemars::json_schema!({"type": "object", "properties": {}}),
        RequestKind::CreateTransport => payload::CreateTransport::json_schema(generator),
        RequestKind::ConnectTransport => payload::ConnectTransport::json_schema(generator),
        RequestKind::RestartIce | RequestKind::CloseTransport => payload::OfTransport::json_schema(generator),
        RequestKind::Produce => payload::Produce::json_schema(generator),
        RequestKind::PauseProducer | RequestKind::ResumeProducer | RequestKind::CloseProducer => {
            payload::OfProducer::json_schema(generator)
        }
        RequestKind::Consume => payload::Consume::json_schema(generator),
        RequestKind::PauseConsumer | RequestKind::ResumeConsumer | RequestKind::CloseConsumer | RequestKind::RequestKeyFrame => {
            payload::OfConsumer::json_schema(generator)
        }
        RequestKind::SetPreferredLayers => payload::SetPreferredLayers::json_schema(generator),
        RequestKind::UpdateState => payload::UpdateState::json_schema(generator),
        RequestKind::Resume => payload::Resume::json_schema(generator),
        RequestKind::RequestSlot | RequestKind::ReleaseSlot => payload::OfSlot::json_schema(generator),
        RequestKind::Moderate => moderate(generator),
        RequestKind::MeshOffer | RequestKind::MeshAnswer => payload::MeshDescription::json_schema(generator),
        RequestKind::MeshIce => payload::MeshIce::json_schema(generator),
        RequestKind::ReportConnection => payload::ReportConnection::json_schema(generator),
        RequestKind::Ping => payload::Ping::json_schema(generator),
    }
}

/// `voice:moderate` takes other fields for each action.
fn moderate(generator: &mut SchemaGenerator) -> Schema {
    let actions = ModerationAction::VARIANTS.iter().map(|action| {
        let mut schema = match action {
            ModerationAction::Mute => Mute::json_schema(generator),
            ModerationAction::Deafen => Deafen::json_schema(generator),
            ModerationAction::Kick => Kick::json_schema(generator),
            ModerationAction::Ban => Ban::json_schema(generator),
            ModerationAction::Move => Move::json_schema(generator),
            ModerationAction::EndCall => EndCall::json_schema(generator),
        }
        .to_value();
        schema["properties"]["action"] = json!({"const": action});
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        required.push("action".into());
        schema["required"] = required.into();
        schema
    });
    let actions: Vec<_> = actions.collect();
    let definition = json!({"description": "What a moderator can do.", "oneOf": actions});
    let definition = Schema::try_from(definition).expect("an object is a schema");
    generator.definitions_mut().insert("ModerationCommand".to_owned(), definition.into());
    schemars::json_schema!({"$ref": "#/$defs/ModerationCommand"})
}

/// What is written may lack a field instead of being null there: such fields are left out when they are `None`.
fn without_optional_nulls(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let required: Vec<Value> = fields.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                properties.iter_mut().filter(|(name, _)| !required.contains(&json!(name))).for_each(|(_, field)| remove_null(field));
            }
            fields.values_mut().for_each(without_optional_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_optional_nulls),
        _ => {}
    }
}

/// `["string", "null"]` becomes `"string"`, `anyOf: [X, null]` becomes X.
fn remove_null(field: &mut Value) {
    let Value::Object(fields) = field else { return };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            fields.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if let [Value::Object(one)] = choices.as_slice() {
            let one = one.clone();
            fields.remove("anyOf");
            fields.extend(one);
        }
    }
}

/// Adds the definitions of what is read. One that is read otherwise than it is written (a field may be left out, say)
/// is a definition of its own, with `Wanted` behind its name.
fn add_read(definitions: &mut Fields, read: Fields, payloads: &mut Value) {
    let mut other: BTreeSet<String> = BTreeSet::new();
    loop {
        let differs = |name: &String, schema: &Value| {
            definitions.get(name).is_some_and(|written| written != schema) || references(schema).iter().any(|to| other.contains(to))
        };
        let found: Vec<_> = read.iter().filter(|(name, schema)| !other.contains(*name) && differs(name, schema)).collect();
        if found.is_empty() {
            break;
        }
        let found: Vec<String> = found.into_iter().map(|(name, _)| name.clone()).collect();
        other.extend(found);
    }
    for (name, mut schema) in read {
        rename(&mut schema, &other);
        let name = if other.contains(&name) { format!("{name}Wanted") } else { name };
        definitions.insert(name, schema);
    }
    rename(payloads, &other);
}

const DEFINITION: &str = "#/$defs/";

/// The names of the definitions a schema refers to.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(DEFINITION)).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Has references go to the definitions of what is read.
fn rename(schema: &mut Value, other: &BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref")
                && to.strip_prefix(DEFINITION).is_some_and(|name| other.contains(name))
            {
                to.push_str("Wanted");
            }
            fields.values_mut().for_each(|field| rename(field, other));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, other)),
        _ => {}
    }
}

//! Channels: made, read, replaced, removed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parlor_proto::{
    Access, Channel, ChannelId, ChannelKind, E2eePolicy, ErrorCode, Privacy, RecordingPolicy, Tier, Timestamp, Topology, UserId, Window,
};
use parlor_store::{Expected, StoreError, Stored, Versions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::page::{List, PageParams, Wanted};
use crate::http::api::extract::text::{NameText, whole, word};
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;
use crate::http::conditions::{Conditions, Read, Tag, Tags};

/// The highest `maxParticipants`, and the highest `maxSpectators`: a larger room has never been measured.
const MAX_PEOPLE: u32 = 1_000;
/// The end of a version's tag while the channel is closed: a closed channel is shown differently, although nobody has changed it.
const CLOSED: &str = "-closed";
/// The characters of an id that are escaped where the id is one segment of a path.
const NOT_OF_A_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Routes that read.
pub fn read_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_channels)).routes(routes!(read_channel))
}

/// Routes that write.
pub fn write_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(create_channel)).routes(routes!(put_channel, delete_channel))
}

/// Bodies that describe a channel: the same fields, with and without an id.
macro_rules! channel_body {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$attribute])* $field: $type,)*
            /// The name people see. Not set: the id, or the beginning of it.
            #[serde(default)]
            #[schema(value_type = Option<schema::Name>)]
            name: Option<NameText>,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Kind, required = false)]
            kind: ChannelKind,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Way, required = false)]
            topology: Topology,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Paid, required = false)]
            tier: Tier,
            /// The channel's own limit of participants. Not set: the limit of its tier.
            #[serde(default, deserialize_with = "whole")]
            #[schema(minimum = 1, maximum = 1000)]
            max_participants: Option<u32>,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Hiding, required = false)]
            privacy: Privacy,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Encryption, required = false)]
            e2ee: E2eePolicy,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Recording, required = false)]
            recording: RecordingPolicy,
            #[serde(default, deserialize_with = "word")]
            #[schema(value_type = schema::Admission, required = false)]
            access: Access,
            /// Whether users whom `access` does not let in may still listen.
            #[serde(default)]
            spectators: bool,
            /// The channel's own limit of listeners; they take no place of a participant. Not set: the limit of the server.
            #[serde(default, deserialize_with = "whole")]
            #[schema(minimum = 1, maximum = 1000)]
            max_spectators: Option<u32>,
            /// The first moment the channel can be joined.
            #[serde(default)]
            opens_at: Option<When>,
            /// The first moment the channel cannot be joined any more; later than `opensAt`.
            #[serde(default)]
            closes_at: Option<When>,
            /// The user who owns the channel: the owner may always join, and moderate.
            #[serde(default)]
            #[schema(value_type = Option<schema::Id>)]
            owner: Option<UserId>,
        }

        impl $name {
            fn channel(self, id: ChannelId) -> Answer<Channel> {
                let name = self.name.map_or_else(|| default_name(&id), |name| name.0);
                let window = Window { opens_at: self.opens_at.map(|at| at.0), closes_at: self.closes_at.map(|at| at.0) };
                at_most("maxParticipants", self.max_participants)?;
                at_most("maxSpectators", self.max_spectators)?;
                check(&window, self.e2ee, self.recording)?;
                let Self { kind, topology, tier, max_participants, privacy, e2ee, recording, access, .. } = self;
                let Self { spectators, max_spectators, owner, .. } = self;
                Ok(Channel {
                    id,
                    name,
                    kind,
                    topology,
                    tier,
                    max_participants,
                    privacy,
                    e2ee,
                    recording,
                    access,
                    spectators,
                    max_spectators,
                    window,
                    owner,
                })
            }
        }
    };
}

channel_body! {
    /// What a channel is to be.
    ChannelSettings {}
}

channel_body! {
    /// A channel that is to be made.
    NewChannel {
        #[schema(value_type = schema::Id)]
        id: ChannelId,
    }
}

/// A channel as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Channel)]
pub struct ChannelView {
    #[schema(value_type = schema::Id)]
    id: ChannelId,
    /// The name people see.
    #[schema(value_type = String)]
    name: String,
    #[schema(value_type = schema::Kind)]
    kind: ChannelKind,
    #[schema(value_type = schema::Way)]
    topology: Topology,
    #[schema(value_type = schema::Paid)]
    tier: Tier,
    /// The channel's own limit of participants; null: the limit of its tier.
    #[schema(required = true)]
    max_participants: Option<u32>,
    #[schema(value_type = schema::Hiding)]
    privacy: Privacy,
    #[schema(value_type = schema::Encryption)]
    e2ee: E2eePolicy,
    #[schema(value_type = schema::Recording)]
    recording: RecordingPolicy,
    #[schema(value_type = schema::Admission)]
    access: Access,
    /// Whether users whom `access` does not let in may still listen.
    spectators: bool,
    /// The channel's own limit of listeners; null: the limit of the server.
    #[schema(required = true)]
    max_spectators: Option<u32>,
    /// The first moment the channel can be joined; null: there is none, it always could be.
    #[schema(required = true)]
    opens_at: Option<When>,
    /// The first moment the channel cannot be joined any more; null: never.
    #[schema(required = true)]
    closes_at: Option<When>,
    /// Whether the channel is open at the moment, by its window.
    voice_active: bool,
    /// The room to join: the id of the channel while it is open; null while it is closed.
    #[schema(value_type = Option<schema::Id>, required = true)]
    room_id: Option<ChannelId>,
    /// The user who owns the channel, if there is one.
    #[schema(value_type = Option<schema::Id>, required = true)]
    owner: Option<UserId>,
    /// The version, which counts the changes. The `ETag` contains it, and says whether the channel is closed.
    version: i64,
    /// When the channel was made.
    created_at: When,
    /// When the channel was changed last.
    updated_at: When,
}

impl ChannelView {
    /// The channel as it is shown at a moment.
    pub fn at(stored: Stored<Channel>, now: Timestamp) -> Self {
        let room_id = stored.value.room_at(now).cloned();
        let Stored { value, version, created_at, updated_at, .. } = stored;
        let Channel {
            id,
            name,
            kind,
            topology,
            tier,
            max_participants,
            privacy,
            e2ee,
            recording,
            access,
            spectators,
            max_spectators,
            window,
            owner,
        } = value;
        let (opens_at, closes_at) = (window.opens_at.map(When), window.closes_at.map(When));
        let (created_at, updated_at) = (When(created_at), When(updated_at));
        Self {
            id,
            name,
            kind,
            topology,
            tier,
            max_participants,
            privacy,
            e2ee,
            recording,
            access,
            spectators,
            max_spectators,
            opens_at,
            closes_at,
            voice_active: room_id.is_some(),
            room_id,
            owner,
            version,
            created_at,
            updated_at,
        }
    }
}

/// Lists channels, sorted by id
#[utoipa::path(get, path = "/api/channels", tag = "channels", params(PageParams),
    responses((status = 200, description = "A page of channels", body = List<ChannelView>)))]
async fn list_channels(State(api): State<Api>, wanted: Wanted) -> Answer<Json<List<ChannelView>>> {
    let found = api.store().channels(&wanted.page).await?;
    let now = api.now();
    Ok(Json(wanted.answer(found, |stored| stored.value.id.to_string(), |stored| ChannelView::at(stored, now))))
}

/// Reads a channel
///
/// With `If-None-Match`, a client that has what it would get already gets 304 and no body. The tag changes with the version, and
/// when the window opens or closes.
#[utoipa::path(get, path = "/api/channels/{id}", tag = "channels",
    params(
        ("id" = schema::Id, Path, description = "The channel"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it must have, several, or `*` for any"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has, several, or `*` for any")),
    responses(
    (status = 200, description = "The channel", body = ChannelView, headers(("ETag" = String, description = "Its version"))),
    (status = 304, description = "It is what the client has", headers(("ETag" = String, description = "Its version"))),
    (status = 412, description = "It is at another version")))]
async fn read_channel(State(api): State<Api>, At(id): At<ChannelId>, conditions: Conditions) -> Answer<Response> {
    let stored = api.channel(&id).await?;
    let now = api.now();
    let tag = etag(&stored, now);
    match conditions.of_read(&tag) {
        Read::Wanted => Ok(tagged(StatusCode::OK, stored, now)),
        Read::NotModified => Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()),
        Read::Failed => Err(Problem::from(StoreError::Stale { version: stored.version }).of_field("If-Match")),
    }
}

/// Makes a channel
///
/// Repeated with the same content, it answers 200 and changes nothing; with other content, 409.
#[utoipa::path(post, path = "/api/channels", tag = "channels", request_body = NewChannel, responses(
    (status = 201, description = "It was made", body = ChannelView, headers(
        ("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
    (status = 200, description = "It is there already, exactly so", body = ChannelView, headers(("ETag" = String, description = "Its version"))),
    (status = 409, description = "There is one with this id already, and it is another"),
    (status = 422, description = "The fields do not fit together")))]
async fn create_channel(State(api): State<Api>, caller: Caller, Body(body): Body<NewChannel>) -> Answer<Response> {
    let id = body.id.clone();
    let channel = body.channel(id)?;
    match api.store().create_channel(&channel, &caller.actor(), api.now()).await {
        Ok(stored) => {
            api.settled(&channel.id).await?;
            let place = format!("/api/channels/{}", utf8_percent_encode(channel.id.as_str(), NOT_OF_A_SEGMENT));
            let mut response = tagged(StatusCode::CREATED, stored, api.now());
            if let Ok(place) = HeaderValue::from_str(&place) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            Ok(response)
        }
        Err(StoreError::Exists(_)) => match api.store().channel(&channel.id).await? {
            Some(stored) if stored.value == channel => Ok(tagged(StatusCode::OK, stored, api.now())),
            _ => Err(Problem::new(ErrorCode::Conflict).of_field("id")),
        },
        Err(error) => Err(error.into()),
    }
}

/// Makes a channel, or replaces the one there is
///
/// Fields that are not given get their default. With `If-Match`, only that version is replaced; with
/// `If-None-Match: *`, a channel is made and none replaced.
#[utoipa::path(put, path = "/api/channels/{id}", tag = "channels",
    params(
        ("id" = schema::Id, Path, description = "The channel"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to replace, several, or `*` for any"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there must be none yet; or `ETag`s of versions not to replace")),
    request_body = ChannelSettings, responses(
    (status = 201, description = "It was made", body = ChannelView, headers(("ETag" = String, description = "Its version"))),
    (status = 200, description = "It was replaced, or is exactly so already", body = ChannelView, headers(("ETag" = String, description = "Its version"))),
    (status = 412, description = "It is at another version, not there, or there already"),
    (status = 422, description = "The fields do not fit together")))]
async fn put_channel(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<ChannelId>,
    conditions: Conditions,
    Body(body): Body<ChannelSettings>,
) -> Answer<Response> {
    let channel = body.channel(id)?;
    let put = api.store().put_channel(&channel, expected(&conditions)?, &caller.actor(), api.now()).await;
    let (stored, created) = put.map_err(|error| match error {
        StoreError::NotFound(_) => failed("If-Match", "There is no such channel."),
        error => unexpected(error),
    })?;
    api.settled(&channel.id).await?;
    Ok(tagged(if created { StatusCode::CREATED } else { StatusCode::OK }, stored, api.now()))
}

/// Removes a channel
///
/// With its members, invitations, seats and bans; a call in it ends. Its audit log and its events stay.
#[utoipa::path(delete, path = "/api/channels/{id}", tag = "channels", params(
        ("id" = schema::Id, Path, description = "The channel"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to remove, several, or `*` for any"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of versions not to remove")),
    responses((status = 204, description = "It is gone"), (status = 412, description = "It is at another version")))]
async fn delete_channel(State(api): State<Api>, caller: Caller, At(id): At<ChannelId>, conditions: Conditions) -> Answer<StatusCode> {
    // Without a channel the answer is 404, whatever the conditions expect of it (RFC 9110, 13.2.1).
    api.store().delete_channel_if(&id, &expected(&conditions)?, &caller.actor(), api.now()).await.map_err(unexpected)?;
    api.settled(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The conditions of a change in the form in which the store compares them, inside the transaction of the change. A
/// condition that cannot be read counts as not met.
fn expected(conditions: &Conditions) -> Answer<Expected> {
    let sentence = "is no list of tags: give the ETag as it was answered, with its quotes.";
    if conditions.if_match == Some(Tags::Unreadable) {
        return Err(failed("If-Match", &format!("If-Match {sentence}")));
    }
    if conditions.if_none_match == Some(Tags::Unreadable) {
        return Err(failed("If-None-Match", &format!("If-None-Match {sentence}")));
    }
    let one_of = conditions.if_match.as_ref().map(|tags| versions(tags, false));
    let none_of = conditions.if_none_match.as_ref().map(|tags| versions(tags, true));
    Ok(Expected { one_of, none_of })
}

/// The versions that tags stand for; foreign tags stand for none. The tags of this server are strong: by the strong
/// comparison a weak tag never matches. A version has two tags, and either stands for it: a client that saw the channel
/// before its window closed has missed no change.
fn versions(tags: &Tags, weakly: bool) -> Versions {
    let Tags::These(tags) = tags else { return Versions::Any };
    let compared = tags.iter().filter(|tag| weakly || !tag.weak);
    let canonical = |tag: &Tag| {
        let digits = tag.opaque.strip_suffix(CLOSED).unwrap_or(&tag.opaque);
        digits.parse().ok().filter(|version: &i64| version.to_string() == digits)
    };
    Versions::These(compared.filter_map(canonical).collect())
}

/// Answers with 412 if the channel is not as the client's conditions expect it.
fn unexpected(error: StoreError) -> Problem {
    match error {
        StoreError::Exists(_) => failed("If-None-Match", "There is one already, and it is of those that If-None-Match names."),
        StoreError::Stale { .. } => Problem::from(error).of_field("If-Match"),
        error => error.into(),
    }
}

fn failed(header: &str, sentence: &str) -> Problem {
    Problem::new(ErrorCode::PreconditionFailed).say(sentence).of_field(header)
}

fn tagged(status: StatusCode, stored: Stored<Channel>, now: Timestamp) -> Response {
    (status, [(header::ETAG, etag(&stored, now))], Json(ChannelView::at(stored, now))).into_response()
}

/// The tag of a channel's answer. Two answers with the same tag are the same, byte for byte: the time matters only as
/// far as the channel is open or not.
fn etag(stored: &Stored<Channel>, now: Timestamp) -> String {
    format!("\"{}{}\"", stored.version, if stored.value.room_at(now).is_some() { "" } else { CLOSED })
}

fn default_name(id: &ChannelId) -> String {
    id.as_str().chars().take(parlor_proto::limits::MAX_NAME_CHARS).collect::<String>().trim_end().to_owned()
}

/// Checks a channel's own limit, if it has one.
fn at_most(field: &str, max: Option<u32>) -> Answer<()> {
    match max {
        Some(max) if max == 0 || max > MAX_PEOPLE => Err(Problem::invalid(field, &format!("must be from 1 to {MAX_PEOPLE}, or null"))),
        _ => Ok(()),
    }
}

fn check(window: &Window, e2ee: E2eePolicy, recording: RecordingPolicy) -> Answer<()> {
    if let (Some(opens), Some(closes)) = (window.opens_at, window.closes_at)
        && closes <= opens
    {
        return Err(Problem::impossible("closesAt", "must be later than opensAt"));
    }
    if e2ee == E2eePolicy::Required && recording == RecordingPolicy::Allowed {
        return Err(Problem::impossible("recording", "cannot be allowed where end-to-end encryption is required"));
    }
    Ok(())
}

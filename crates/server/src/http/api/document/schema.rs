//! Schemas of texts and choices for the document: what the server accepts, as far as a pattern can express it for every reader.

use std::borrow::Cow;

use parlor_proto::connection::{CandidateType, NetworkType, RelayProtocol};
use parlor_proto::event::CallTopology;
use parlor_proto::transport::Protocol;
use parlor_proto::{
    Access, ChannelKind, E2eePolicy, ErrorCode, Invitation, MediaKind, MemberRole, Privacy, RecordingPolicy, Role, Source, Tier, Topology,
    limits,
};
use parlor_rooms::connectivity::{Reached, Verdict};
use serde::Serialize;
use serde_json::json;
use strum::VariantArray as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::api::guard::scope::Scope;
use crate::rooms;

/// The invisible characters, within a class of characters. Beyond the first plane a class can have none: a reader
/// without the flag `u` (ECMA-262) takes such a character for two, and a range of them for a mistake. Invisible
/// characters from there are refused all the same, and the document says so in words.
macro_rules! unseen {
    () => {
        concat!(
            r"\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164",
            r"\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufff8",
        )
    };
}

/// A pattern of printable text, without white space at the ends, and without the characters given as well.
macro_rules! printable {
    ($also:literal) => {
        concat!(
            r"^[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000",
            $also,
            unseen!(),
            r"]([^\u0000-\u001f\u007f-\u009f",
            $also,
            unseen!(),
            r"]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000",
            $also,
            unseen!(),
            r"])?$"
        )
    };
}

/// One visible thing: the flag of a region, or any other character, perhaps with how it is to be drawn. The tags of a
/// flag are written one by one, because a class of them would need a reader that knows the planes beyond the first.
macro_rules! seen {
    () => {
        concat!(
            "(?:\u{1f3f4}(?:",
            "\u{e0030}|\u{e0031}|\u{e0032}|\u{e0033}|\u{e0034}|\u{e0035}|\u{e0036}|\u{e0037}|\u{e0038}|\u{e0039}|\u{e0061}|",
            "\u{e0062}|\u{e0063}|\u{e0064}|\u{e0065}|\u{e0066}|\u{e0067}|\u{e0068}|\u{e0069}|\u{e006a}|\u{e006b}|\u{e006c}|",
            "\u{e006d}|\u{e006e}|\u{e006f}|\u{e0070}|\u{e0071}|\u{e0072}|\u{e0073}|\u{e0074}|\u{e0075}|\u{e0076}|\u{e0077}|",
            "\u{e0078}|\u{e0079}|\u{e007a}",
            "){1,6}\u{e007f}|",
            r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufe0e-\ufe0f",
            unseen!(),
            r"])[\ufe0e\ufe0f]?"
        )
    };
}

/// The pattern of what `parlor_proto::ids::check_name` accepts: visible things, with white space or a joiner in between.
const NAME: &str = concat!("^", seen!(), r"(?:(?:[\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+|[\u200c\u200d])?", seen!(), ")*$");
/// The pattern of what `parlor_proto::ids::check_id` accepts.
const ID: &str = printable!(r"\ufe0e-\ufe0f");

/// A schema that only the document knows; handlers use the real type.
macro_rules! documented {
    ($(#[doc = $doc:literal] $name:ident = $schema:expr;)*) => { $(
        #[doc = $doc]
        #[derive(Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some($doc.trim())).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )* };
}

documented! {
    /// An id the host application chose, of a channel or a user. Printable, no white space at its ends, nothing that is not seen.
    Id = printable(ID, limits::MAX_ID_CHARS, "den");
    /// A name people see. Printable, no white space at its ends, nothing that is not seen.
    Name = printable(NAME, limits::MAX_NAME_CHARS, "The den");
    /// A sentence for the person concerned. Printable, no white space at its ends, nothing that is not seen.
    Reason = printable(NAME, limits::MAX_REASON_CHARS, "Shouting.");
    /// A number that names an object of the server, as 32 hexadecimal digits.
    ObjectId = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{32}$"));
    /// Whether a channel is a conversation of two or a room.
    Kind = one_of(&[ChannelKind::Voice, ChannelKind::Dm]);
    /// How media travels: through the server, directly, or as it fits.
    Way = one_of(&[Topology::Sfu, Topology::Mesh, Topology::Auto]);
    /// What a channel has paid for: it decides how many fit in.
    Paid = one_of(&[Tier::Free, Tier::Pro]);
    /// Whether addresses of participants stay hidden behind relays.
    Hiding = one_of(&[Privacy::Standard, Privacy::Relay]);
    /// Whether media is encrypted end to end.
    Encryption = one_of(&[E2eePolicy::Off, E2eePolicy::Optional, E2eePolicy::Required]);
    /// Whether a call may be recorded.
    Recording = one_of(&[RecordingPolicy::Off, RecordingPolicy::Allowed]);
    /// Who may join and speak.
    Admission = one_of(&[Access::Public, Access::Members, Access::Invited, Access::Seated]);
    /// As what somebody belongs to a channel.
    Membership = one_of(&[MemberRole::Member, MemberRole::Moderator]);
    /// How far an invitation has come. It goes from `invited` to `present` (accepted) to `left`, and never back.
    InvitationState = one_of(&[Invitation::Invited, Invitation::Present, Invitation::Left]);
    /// Whether somebody in a call may speak, or listens.
    CallRole = one_of(&[Role::Speaker, Role::Spectator]);
    /// Sound or picture.
    TrackKind = one_of(&[MediaKind::Audio, MediaKind::Video]);
    /// What a track shows.
    TrackSource = one_of(&[Source::Mic, Source::Camera, Source::Screen]);
    /// How far somebody is with a call, or a call as a whole.
    CallStage = one_of(&[rooms::CallStage::Idle, rooms::CallStage::Ended, rooms::CallStage::Connecting, rooms::CallStage::Active]);
    /// The way that media of a call takes.
    CallWay = one_of(&[CallTopology::Sfu, CallTopology::Mesh]);
    /// The network of a client, as far as its browser tells.
    NetworkKind = one_of(NetworkType::VARIANTS);
    /// What became of a connection. `abandoned`: it ended before it could be known, within ten seconds.
    ConnectionEnd = named(Verdict::VARIANTS);
    /// How far a connection came: no check is known of; checks were sent, none was answered; ICE worked, DTLS did not; both did.
    ConnectionStage = named(Reached::VARIANTS);
    /// The type of a candidate; `unknown` if the client has not told.
    CandidateKind = known(CandidateType::VARIANTS);
    /// What carries packets.
    Carrier = known(Protocol::VARIANTS);
    /// What leads to a relay.
    RelayCarrier = named(RelayProtocol::VARIANTS);
    /// What an API key may do; `*` is everything.
    Permission = one_of(Scope::EACH);
    /// What went wrong, for a program. The list is closed; sentences may change, codes do not.
    Code = one_of(ErrorCode::ALL);
}

/// Every schema that this module defines for the document.
pub fn all() -> Vec<(String, RefOr<Schema>)> {
    fn of<T: ToSchema>() -> (String, RefOr<Schema>) {
        (T::name().into_owned(), T::schema())
    }
    vec![
        of::<Id>(),
        of::<Name>(),
        of::<Reason>(),
        of::<ObjectId>(),
        of::<Kind>(),
        of::<Way>(),
        of::<Paid>(),
        of::<Hiding>(),
        of::<Encryption>(),
        of::<Recording>(),
        of::<Admission>(),
        of::<Membership>(),
        of::<InvitationState>(),
        of::<CallRole>(),
        of::<TrackKind>(),
        of::<TrackSource>(),
        of::<CallStage>(),
        of::<CallWay>(),
        of::<NetworkKind>(),
        of::<ConnectionEnd>(),
        of::<ConnectionStage>(),
        of::<CandidateKind>(),
        of::<Carrier>(),
        of::<RelayCarrier>(),
        of::<Permission>(),
        of::<Code>(),
        of::<crate::http::api::extract::when::When>(),
    ]
}

fn printable(pattern: &str, max: usize, example: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(max));
    text.pattern(Some(pattern)).examples([json!(example)])
}

/// The names of choices that are not read or written otherwise.
fn named<T: Copy + Into<&'static str>>(choices: &[T]) -> ObjectBuilder {
    one_of(&choices.iter().map(|choice| (*choice).into()).collect::<Vec<&str>>())
}

/// The same, or that it is not known.
fn known<T: Copy + Into<&'static str>>(choices: &[T]) -> ObjectBuilder {
    one_of(&choices.iter().map(|choice| (*choice).into()).chain(["unknown"]).collect::<Vec<&str>>())
}

fn one_of<T: Serialize>(choices: &[T]) -> ObjectBuilder {
    let names: Vec<_> = choices.iter().filter_map(|choice| serde_json::to_value(choice).ok()).collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

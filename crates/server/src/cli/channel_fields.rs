//! The options of a channel's fields at the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use parlor_proto::{Access, Channel, ChannelKind, E2eePolicy, Privacy, RecordingPolicy, Tier, Timestamp, Topology, UserId};

use crate::cli::records::{display_name, moment, user_id, word};

/// The most participants a channel may be given, and the most spectators, as in the REST API.
const MAX_PEOPLE: i64 = 1_000;

const KINDS: [&str; 2] = ["dm", "voice"];
const TOPOLOGIES: [&str; 3] = ["sfu", "mesh", "auto"];
const TIERS: [&str; 2] = ["free", "pro"];
const PRIVACY: [&str; 2] = ["standard", "relay"];
const E2EE: [&str; 3] = ["off", "optional", "required"];
const RECORDING: [&str; 2] = ["off", "allowed"];
const ACCESS: [&str; 4] = ["public", "members", "invited", "seated"];

/// Options for the fields of a channel. A field whose option is not given stays as it is.
#[derive(Clone, Debug, Args)]
pub struct Fields {
    /// Name people see [when the channel is made: its id]
    #[arg(long, value_parser = display_name)]
    name: Option<String>,
    /// What the channel is for [when it is made: voice]
    #[arg(long, value_parser = PossibleValuesParser::new(KINDS).map(word::<ChannelKind>))]
    kind: Option<ChannelKind>,
    /// How media goes: mesh is from client to client, and the web app and SDK take no part in it yet; nobody can join an auto channel yet [when it is made: sfu]
    #[arg(long, value_parser = PossibleValuesParser::new(TOPOLOGIES).map(word::<Topology>))]
    topology: Option<Topology>,
    /// Decides how many may be in the channel, and show video [when it is made: free]
    #[arg(long, value_parser = PossibleValuesParser::new(TIERS).map(word::<Tier>))]
    tier: Option<Tier>,
    /// The most participants, instead of the limit of the tier
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_PEOPLE))]
    max_participants: Option<u32>,
    /// With relay, clients use TURN only and show nobody their address [when it is made: standard]
    #[arg(long, value_parser = PossibleValuesParser::new(PRIVACY).map(word::<Privacy>))]
    privacy: Option<Privacy>,
    /// End-to-end encryption [when it is made: off]
    #[arg(long, value_parser = PossibleValuesParser::new(E2EE).map(word::<E2eePolicy>))]
    e2ee: Option<E2eePolicy>,
    /// Whether calls may be recorded [when it is made: off]
    #[arg(long, value_parser = PossibleValuesParser::new(RECORDING).map(word::<RecordingPolicy>))]
    recording: Option<RecordingPolicy>,
    /// Who may speak [when it is made: public]
    #[arg(long, value_parser = PossibleValuesParser::new(ACCESS).map(word::<Access>))]
    access: Option<Access>,
    /// Whether those whom --access does not let in may listen [when it is made: no]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    spectators: Option<bool>,
    /// How many may only listen, instead of limits.spectators of the configuration
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_PEOPLE))]
    max_spectators: Option<u32>,
    /// The first moment the channel can be joined, as 2100-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    opens_at: Option<Timestamp>,
    /// The first moment the channel cannot be joined any more
    #[arg(long, value_name = "TIME", value_parser = moment)]
    closes_at: Option<Timestamp>,
    /// Owner of the channel, who is always let in and moderates
    #[arg(long, value_name = "USER", value_parser = user_id)]
    owner: Option<UserId>,
}

/// The fields that can be unset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Field {
    MaxParticipants,
    MaxSpectators,
    OpensAt,
    ClosesAt,
    Owner,
}

impl Field {
    /// Unsets the field in a channel.
    pub fn clear(self, channel: &mut Channel) {
        match self {
            Self::MaxParticipants => channel.max_participants = None,
            Self::MaxSpectators => channel.max_spectators = None,
            Self::OpensAt => channel.window.opens_at = None,
            Self::ClosesAt => channel.window.closes_at = None,
            Self::Owner => channel.owner = None,
        }
    }
}

impl Fields {
    /// The channel with these fields in place of its own.
    pub fn on(self, mut channel: Channel) -> Channel {
        fn set<T>(field: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *field = given;
            }
        }
        set(&mut channel.name, self.name);
        set(&mut channel.kind, self.kind);
        set(&mut channel.topology, self.topology);
        set(&mut channel.tier, self.tier);
        set(&mut channel.privacy, self.privacy);
        set(&mut channel.e2ee, self.e2ee);
        set(&mut channel.recording, self.recording);
        set(&mut channel.access, self.access);
        set(&mut channel.spectators, self.spectators);
        channel.max_participants = self.max_participants.or(channel.max_participants);
        channel.max_spectators = self.max_spectators.or(channel.max_spectators);
        channel.window.opens_at = self.opens_at.or(channel.window.opens_at);
        channel.window.closes_at = self.closes_at.or(channel.window.closes_at);
        channel.owner = self.owner.or(channel.owner);
        channel
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Checks that each word is read as the value that the store and the API write as this word.
    fn are_words<T: DeserializeOwned + Serialize + Default>(words: &[&str]) {
        for text in words {
            let value = serde_json::to_value(word::<T>((*text).to_owned())).expect("serializes");
            assert_eq!(value, *text);
        }
    }

    #[test]
    fn the_words_are_those_of_the_api() {
        are_words::<ChannelKind>(&KINDS);
        are_words::<Topology>(&TOPOLOGIES);
        are_words::<Tier>(&TIERS);
        are_words::<Privacy>(&PRIVACY);
        are_words::<E2eePolicy>(&E2EE);
        are_words::<RecordingPolicy>(&RECORDING);
        are_words::<Access>(&ACCESS);
    }
}

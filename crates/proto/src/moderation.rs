//! What moderators and administrators can do in a call, and who did it.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, VariantArray};

use crate::ids::{ChannelId, UserId};
use crate::time::Timestamp;

/// An act of moderation in one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, EnumDiscriminants)]
#[strum_discriminants(
    name(ModerationAction),
    doc = "What kind of act it is.",
    derive(Hash, Serialize, Deserialize, VariantArray),
    cfg_attr(test, derive(schemars::JsonSchema)),
    serde(rename_all = "kebab-case"),
    allow(missing_docs)
)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Moderation {
    /// Silences somebody, or lets them be heard again. What is `None` stays as it is.
    Mute {
        /// The user it concerns.
        user: UserId,
        /// Every sound they send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio: Option<bool>,
        /// Whether their camera is silenced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video: Option<bool>,
        /// Their shared screen, picture and sound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        screen: Option<bool>,
    },
    /// Lets somebody hear nothing, or hear again.
    Deafen {
        /// The user it concerns.
        user: UserId,
        /// Whether they hear nothing.
        deafened: bool,
    },
    /// Puts somebody out; they may come back.
    Kick {
        /// The user it concerns.
        user: UserId,
        /// The words shown to them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Puts somebody out and keeps them out.
    Ban {
        /// The user it concerns.
        user: UserId,
        /// The first moment at which they may come back; `None` means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The words shown to them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Puts somebody out and tells them where to go.
    Move {
        /// The user it concerns.
        user: UserId,
        /// The channel they are sent to.
        to: ChannelId,
    },
    /// Puts everybody out of the call.
    EndCall {
        /// The words shown to everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl ModerationAction {
    /// The action's name in the dialects, the audit log and the feed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mute => "mute",
            Self::Deafen => "deafen",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Move => "move",
            Self::EndCall => "end-call",
        }
    }
}

impl Moderation {
    /// What kind of act it is.
    #[must_use]
    pub fn action(&self) -> ModerationAction {
        self.into()
    }

    /// The name of its kind, in the dialects, the audit log and the feed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.action().name()
    }

    /// The user it concerns; `None` if it concerns everybody.
    #[must_use]
    pub const fn user(&self) -> Option<&UserId> {
        match self {
            Self::Mute { user, .. }
            | Self::Deafen { user, .. }
            | Self::Kick { user, .. }
            | Self::Ban { user, .. }
            | Self::Move { user, .. } => Some(user),
            Self::EndCall { .. } => None,
        }
    }

    /// The words for the one concerned.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Kick { reason, .. } | Self::Ban { reason, .. } | Self::EndCall { reason } => reason.as_deref(),
            Self::Mute { .. } | Self::Deafen { .. } | Self::Move { .. } => None,
        }
    }
}

/// Who has acted, for the audit log and the feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "kebab-case")]
pub enum Actor {
    /// Somebody with a session.
    Session(UserId),
    /// The bearer of an API key, by the key's id.
    Key(String),
    /// Somebody at the command line of the server.
    CommandLine,
    /// The server itself, by its rules.
    Server,
}

impl Actor {
    /// The user, if it is one.
    #[must_use]
    pub const fn user(&self) -> Option<&UserId> {
        match self {
            Self::Session(user) => Some(user),
            Self::Key(_) | Self::CommandLine | Self::Server => None,
        }
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("user", id)) => UserId::new(id).ok().map(Self::Session),
            Some(("key", id)) => Some(Self::Key(id.to_owned())),
            None if text == "command-line" => Some(Self::CommandLine),
            None if text == "server" => Some(Self::Server),
            _ => None,
        }
    }
}

/// `user:alice`, `key:k1`, `command-line`, `server`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(user) => write!(f, "user:{user}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::CommandLine => f.write_str("command-line"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// What moderators have taken from somebody in one channel. It outlives leaving: a rejoin does not undo it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Restrictions {
    /// Nothing they send is heard.
    pub audio: bool,
    /// Their camera is not seen.
    pub video: bool,
    /// Their shared screen is not seen or heard.
    pub screen: bool,
    /// They hear nobody.
    pub deafened: bool,
}

impl Restrictions {
    /// What is left of the restrictions, or added to them, by an act.
    #[must_use]
    pub fn after(self, action: &Moderation) -> Self {
        match action {
            Moderation::Mute { audio, video, screen, .. } => Self {
                audio: audio.unwrap_or(self.audio),
                video: video.unwrap_or(self.video),
                screen: screen.unwrap_or(self.screen),
                ..self
            },
            Moderation::Deafen { deafened, .. } => Self { deafened: *deafened, ..self },
            Moderation::Kick { .. } | Moderation::Ban { .. } | Moderation::Move { .. } | Moderation::EndCall { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserId {
        UserId::new("mallory").expect("valid")
    }

    #[test]
    fn a_mute_changes_what_it_names_only() {
        let before = Restrictions { video: true, deafened: true, ..Restrictions::default() };
        let mute = Moderation::Mute { user: user(), audio: Some(true), video: None, screen: Some(false) };
        assert_eq!(before.after(&mute), Restrictions { audio: true, ..before });
        assert_eq!(before.after(&Moderation::Kick { user: user(), reason: None }), before);
    }

    #[test]
    fn an_act_is_written_by_its_name() {
        for action in ModerationAction::VARIANTS {
            assert_eq!(serde_json::to_value(action).expect("is written"), action.name());
        }
    }

    #[test]
    fn acts_and_actors_survive_being_stored() {
        let acts = [
            Moderation::Mute { user: user(), audio: Some(true), video: None, screen: None },
            Moderation::Ban { user: user(), until: Some(Timestamp(5)), reason: Some("spam".into()) },
            Moderation::EndCall { reason: None },
        ];
        for act in acts {
            let text = serde_json::to_string(&act).expect("serializes");
            assert_eq!(serde_json::from_str::<Moderation>(&text).expect("is read"), act, "{text}");
        }
        for actor in [Actor::Session(user()), Actor::Key("k:1".into()), Actor::CommandLine, Actor::Server] {
            assert_eq!(Actor::parse(&actor.to_string()), Some(actor));
        }
        assert_eq!(Actor::parse("somebody"), None);
    }
}

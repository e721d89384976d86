//! The types of events there are, and which of them a webhook wants.

/// Every type of event there is.
pub const KINDS: [&str; 12] = [
    "room.started",
    "room.ended",
    "participant.joined",
    "participant.left",
    "producer.started",
    "producer.stopped",
    "moderation.mute",
    "moderation.deafen",
    "moderation.kick",
    "moderation.ban",
    "moderation.move",
    "moderation.end-call",
];

/// Which types a webhook wants: one, all of a group (`participant.*`), or all (`*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// Reads one; `None` if there is no such type.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let pattern = Self(text.to_owned());
        KINDS.iter().any(|kind| pattern.matches(kind)).then_some(pattern)
    }

    /// Whether this type is meant.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && kind.starts_with(group),
            None => self.0 == kind,
        }
    }
}

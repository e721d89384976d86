//! The types of events, and the patterns by which a webhook chooses among them.

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

/// The types of events a webhook wants: one, all of a group (`participant.*`), or all (`*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern; `None` if it matches no type there is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let pattern = Self(text.to_owned());
        KINDS.iter().any(|kind| pattern.matches(kind)).then_some(pattern)
    }

    /// Whether the pattern matches this type.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && kind.starts_with(group),
            None => self.0 == kind,
        }
    }
}

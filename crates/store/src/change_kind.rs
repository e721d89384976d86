//! The kinds of changes in the change log.

use serde::{Deserialize, Serialize};

/// What kind of thing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A ban was put, changed or lifted.
    Ban,
    /// What a person has paid for.
    Entitlement,
    /// A person's sessions are ended: `details.before` is the moment.
    Revoked,
    /// What a person is kept from in a channel.
    Restriction,
    /// A channel was made, changed or removed: `details` has `before` and `after`, as far as there is one.
    Channel,
    /// A member, an invitation or a seat: who is inside may no longer be allowed to, or may be more than a spectator now.
    Access,
    /// An act of moderation for a running room: see [`Change::command`](crate::Change::command).
    Moderation,
    /// An API key was made or removed.
    Key,
    /// What this Parlor does not know, a newer one wrote it; or a line that cannot be read. Nobody has to act on it.
    Other,
}

//! A participant: who somebody is, as what they are here, and what they may.

use std::time::Instant;

use parlor_proto::event::{Participant as Shown, ParticipantState, ProducerInfo};
use parlor_proto::{Identity, Permissions, ResumeToken, Role, SessionId, Source};

use crate::access::Admitted;
use crate::connectivity::Connectivity;

/// Somebody in the room.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) identity: Identity,
    /// The session that joined: it names the stay, also when another took it up.
    pub(crate) stay: SessionId,
    /// Shows that somebody is the client of this stay.
    pub(crate) token: ResumeToken,
    pub(crate) role: Role,
    /// Came as a moderator: so the others see them.
    pub(crate) moderator: bool,
    /// Whether the participant may moderate now.
    pub(crate) moderates: bool,
    /// The last write to the store that is in what is known of them here.
    pub(crate) as_of: i64,
    /// When the entitlement ends.
    pub(crate) pro_until: Option<Instant>,
    /// The connection is lost; at this time they are taken out.
    pub(crate) lost: Option<Instant>,
    /// Video slots that were given to others while it was.
    pub(crate) given_on: Vec<Source>,
    /// Counts the joins of the room: who came first is listed first.
    pub(crate) number: u64,
    pub(crate) permissions: Permissions,
    pub(crate) state: ParticipantState,
    /// How their connections come about.
    pub(crate) connectivity: Connectivity,
}

/// What somebody brings along.
pub(crate) struct Entrant {
    pub(crate) session: SessionId,
    pub(crate) number: u64,
    pub(crate) identity: Identity,
    pub(crate) admitted: Admitted,
    pub(crate) as_of: i64,
    pub(crate) permissions: Permissions,
    pub(crate) pro_until: Option<Instant>,
    pub(crate) token: ResumeToken,
    pub(crate) connectivity: Connectivity,
}

impl Participant {
    pub(crate) fn new(entrant: Entrant) -> Self {
        let Entrant { session, number, identity, admitted, as_of, permissions, pro_until, token, connectivity } = entrant;
        Self {
            identity,
            stay: session,
            token,
            role: admitted.role,
            moderator: admitted.moderator,
            moderates: admitted.moderator,
            as_of,
            pro_until: pro_until.filter(|_| admitted.entitlement.pro),
            lost: None,
            given_on: Vec::new(),
            number,
            permissions,
            connectivity,
            state: ParticipantState::default().restricted(admitted.restrictions),
        }
    }

    /// Whether their connection is there.
    pub(crate) const fn is_connected(&self) -> bool {
        self.lost.is_none()
    }

    /// The participant as the others see them, with what they send.
    pub(crate) fn show(&self, producers: Vec<ProducerInfo>) -> Shown {
        Shown {
            user_id: self.identity.user.clone(),
            name: self.identity.name.clone(),
            state: self.state,
            role: self.role,
            moderator: self.moderator,
            producers,
            mesh: None,
        }
    }
}

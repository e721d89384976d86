//! Who may enter a channel, and as what: decided from facts that were looked up before, so that it needs no store.

use std::time::{Duration, Instant};

use parlor_proto::{
    Access, Channel, ChannelId, E2eePolicy, Entitlement, Error, ErrorCode, GrantRole, Identity, Invitation, MemberRole, Restrictions, Role,
    Timestamp, Topology, Window,
};

/// What the store knows of a user and a channel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// A ban, which may be over.
    pub ban: Option<Ban>,
    /// The user is a member.
    pub member: Option<MemberRole>,
    /// The user was invited.
    pub invitation: Option<Invitation>,
    /// The user has a seat.
    pub seat: bool,
    /// What moderators have taken from the user here.
    pub restrictions: Restrictions,
    /// What the host application said the user has paid for; stronger than the token.
    pub entitlement: Option<Entitlement>,
    /// Tokens made before this moment are void.
    pub revoked_before: Option<Timestamp>,
}

/// Somebody is kept out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ban {
    /// The first moment at which it is over; `None` if it does not end.
    pub until: Option<Timestamp>,
    /// The reason of the ban in a moderator's words.
    pub reason: Option<String>,
}

/// The role and rights with which somebody may enter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Admitted {
    /// To speak or to listen.
    pub role: Role,
    /// Whether they may moderate.
    pub moderator: bool,
    /// What they have paid for, at this moment.
    pub entitlement: Entitlement,
    /// What moderators have taken from them.
    pub restrictions: Restrictions,
}

/// Why somebody may not enter a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The user's token is for other channels.
    NotGranted,
    /// The user may not know of the channel: to them there is none.
    Hidden,
    /// The user was signed out after their token was made.
    Revoked,
    /// The user is banned from the channel.
    Banned(Ban),
    /// The user is not among those whom the channel is for.
    NotAmong(Access),
    /// The channel is not open now.
    Closed(Window),
    /// The channel demands end-to-end encryption, and there is none yet.
    EncryptionUnavailable,
    /// The channel is for calls from client to client, where nobody can be kept from speaking: there are no spectators.
    MeshListener,
    /// The channel is for calls from client to client, where nobody can be silenced; a moderator has silenced the user.
    MeshSilenced,
    /// The channel is to choose between SFU and mesh by itself, which the server cannot do yet.
    AutoUnavailable,
}

/// Whether a token counts, when those made before a moment do not.
pub fn not_revoked(identity: &Identity, revoked_before: Option<Timestamp>) -> Result<(), Refused> {
    if revoked_before.is_some_and(|before| identity.issued_at < before) { Err(Refused::Revoked) } else { Ok(()) }
}

/// Whether somebody may enter now. What depends on who is inside (full, there already) is the room's to say.
pub fn admit(channel: &Channel, identity: &Identity, facts: &Facts, wall: Timestamp) -> Result<Admitted, Refused> {
    granted(&channel.id, identity)?;
    // Every other refusal says that there is such a channel: a ban, and also that of a token that is void here.
    if !may_know_of(channel, identity, facts) {
        return Err(Refused::Hidden);
    }
    not_revoked(identity, facts.revoked_before)?;
    let moderator = moderates(channel, identity, facts);
    if let Some(ban) = facts.ban.as_ref().filter(|b| b.until.is_none_or(|until| wall < until)) {
        return Err(Refused::Banned(ban.clone()));
    }
    // Before everything else that says something of the channel: that is for those who belong there.
    let role = role(channel, identity, facts, moderator)?;
    if !channel.window.contains(wall) {
        return Err(Refused::Closed(channel.window));
    }
    if channel.e2ee == E2eePolicy::Required {
        return Err(Refused::EncryptionUnavailable);
    }
    match channel.topology {
        Topology::Sfu => {}
        Topology::Mesh if role == Role::Spectator => return Err(Refused::MeshListener),
        Topology::Mesh if facts.restrictions != Restrictions::default() => return Err(Refused::MeshSilenced),
        Topology::Mesh => {}
        Topology::Auto => return Err(Refused::AutoUnavailable),
    }
    let entitlement = facts.entitlement.unwrap_or(identity.entitlement).at(wall);
    Ok(Admitted { role, moderator, entitlement, restrictions: facts.restrictions })
}

/// When what somebody has paid for ends, on the room's clock; `None` if it does not, or if there is nothing to end. One that
/// is over ends now, and one that is too far away to be measured never does.
#[must_use]
pub fn pro_until(entitlement: Entitlement, wall: Timestamp, now: Instant) -> Option<Instant> {
    let end = entitlement.expires_at.filter(|_| entitlement.pro)?;
    now.checked_add(Duration::from_millis(wall.millis_until(end)))
}

/// Whether a token may be used for a channel, which need not exist: who has one for some channels learns nothing of others.
pub fn granted(channel: &ChannelId, identity: &Identity) -> Result<(), Refused> {
    if identity.grants.is_some() && identity.grant(channel).is_none() {
        return Err(Refused::NotGranted);
    }
    Ok(())
}

/// Whether somebody may know that there is such a channel. To all others it does not exist: they are answered as if it did not.
#[must_use]
pub fn may_know_of(channel: &Channel, identity: &Identity, facts: &Facts) -> bool {
    let related = facts.member.is_some() || facts.seat || facts.invitation.is_some_and(|invitation| invitation != Invitation::Left);
    let open = channel.access == Access::Public || channel.spectators;
    open || related || moderates(channel, identity, facts) || identity.grant(&channel.id).is_some()
}

fn moderates(channel: &Channel, identity: &Identity, facts: &Facts) -> bool {
    identity.moderator
        || identity.grant(&channel.id) == Some(GrantRole::Moderator)
        || facts.member == Some(MemberRole::Moderator)
        || owns(channel, identity)
}

fn owns(channel: &Channel, identity: &Identity) -> bool {
    channel.owner.as_ref() == Some(&identity.user)
}

fn role(channel: &Channel, identity: &Identity, facts: &Facts, moderator: bool) -> Result<Role, Refused> {
    let grant = identity.grant(&channel.id);
    if grant == Some(GrantRole::Spectator) {
        return Ok(Role::Spectator);
    }
    let welcome = match channel.access {
        Access::Public => true,
        Access::Members => facts.member.is_some(),
        Access::Invited => facts.invitation == Some(Invitation::Present),
        Access::Seated => facts.seat,
    };
    if welcome || moderator || grant.is_some() {
        return Ok(Role::Speaker);
    }
    if channel.spectators { Ok(Role::Spectator) } else { Err(Refused::NotAmong(channel.access)) }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotGranted => denied("not_granted").say("Your sign-in is not for this channel."),
            Refused::Hidden => ErrorCode::ChannelNotFound.into(),
            Refused::Revoked => Self::new(ErrorCode::Unauthenticated).with("reason", "the session was ended; sign in again"),
            Refused::Banned(ban) => banned(&ban),
            Refused::NotAmong(access) => not_among(access),
            Refused::Closed(window) => closed(window),
            Refused::EncryptionUnavailable => {
                denied("e2ee_unavailable").say("This channel demands end-to-end encryption, which this server does not have yet.")
            }
            Refused::MeshListener => {
                denied("mesh_has_no_spectators").say("In this channel calls go from browser to browser, so nobody can come in only to listen.")
            }
            Refused::MeshSilenced => {
                denied("silenced").say("A moderator has silenced you, and in this channel's calls that cannot be kept up. Ask a moderator.")
            }
            Refused::AutoUnavailable => {
                denied("auto_unavailable").say("This channel chooses by itself between calls by the server and calls from browser to browser, which this server cannot do yet.")
            }
        }
    }
}

fn denied(reason: &str) -> Error {
    Error::new(ErrorCode::PermissionDenied).with("reason", reason)
}

fn not_among(access: Access) -> Error {
    match access {
        Access::Public => denied("not_public"),
        Access::Members => denied("not_a_member").say("Only members may join this channel. Ask a moderator to make you one."),
        Access::Invited => denied("not_invited").say("Only who was invited and has accepted may join this channel."),
        Access::Seated => denied("no_seat").say("Only who has a seat may join this channel."),
    }
}

fn banned(ban: &Ban) -> Error {
    let error = denied("banned").with("until", ban.until.map(Timestamp::to_rfc3339));
    let error = match &ban.reason {
        Some(reason) => error.with("banReason", reason.as_str()),
        None => error,
    };
    error.say(match ban.until {
        Some(_) => "You are banned from this channel for some time.",
        None => "You are banned from this channel.",
    })
}

fn closed(window: Window) -> Error {
    Error::new(ErrorCode::ChannelClosed)
        .with("opensAt", window.opens_at.map(Timestamp::to_rfc3339))
        .with("closesAt", window.closes_at.map(Timestamp::to_rfc3339))
}

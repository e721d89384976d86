//! Who may enter: every refusal of a join that needs no room, in the order in which they are said.

use parlor_proto::{
    Access, Channel, E2eePolicy, Entitlement, Error, ErrorCode, Grant, GrantRole, Identity, Invitation, MemberRole, Restrictions, Role,
    Timestamp, Topology, Window,
};
use parlor_rooms::{Admitted, Ban, Facts, admit};
use parlor_testkit::test_room::{channel_id, user_id};

use crate::refused;

const NOW: Timestamp = Timestamp(1_000_000);

fn channel(access: Access) -> Channel {
    Channel { access, ..Channel::new(channel_id("den"), "The den") }
}

fn alice() -> Identity {
    Identity::new(user_id("alice"), "Alice")
}

fn granted(grants: &[(&str, GrantRole)]) -> Identity {
    let grants = grants.iter().map(|(channel, role)| Grant { channel: channel_id(channel), role: *role }).collect();
    Identity { grants: Some(grants), ..alice() }
}

/// As a client is told.
fn admitted(channel: &Channel, identity: &Identity, facts: &Facts) -> Result<Admitted, Error> {
    Ok(admit(channel, identity, facts, NOW)?)
}

fn role(channel: &Channel, identity: &Identity, facts: &Facts) -> Result<Role, Error> {
    admitted(channel, identity, facts).map(|a| a.role)
}

#[test]
fn a_public_channel_is_for_everybody() {
    assert_eq!(admit(&channel(Access::Public), &alice(), &Facts::default(), NOW), Ok(Admitted::default()));
}

#[test]
fn a_members_channel_is_for_its_members_and_its_owner() {
    let mut members = channel(Access::Members);
    assert_eq!(refused(role(&members, &alice(), &Facts::default())), ErrorCode::ChannelNotFound);
    let member = Facts { member: Some(MemberRole::Member), ..Facts::default() };
    assert_eq!(role(&members, &alice(), &member), Ok(Role::Speaker));
    members.owner = Some(user_id("alice"));
    assert_eq!(role(&members, &alice(), &Facts::default()), Ok(Role::Speaker));
}

#[test]
fn an_invitation_counts_while_its_bearer_is_present() {
    let invited = channel(Access::Invited);
    for (invitation, welcome) in
        [(None, false), (Some(Invitation::Invited), false), (Some(Invitation::Present), true), (Some(Invitation::Left), false)]
    {
        let facts = Facts { invitation, ..Facts::default() };
        assert_eq!(role(&invited, &alice(), &facts).is_ok(), welcome, "{invitation:?}");
    }
    let owned = Channel { owner: Some(user_id("alice")), ..invited };
    assert_eq!(role(&owned, &alice(), &Facts::default()), Ok(Role::Speaker));
}

#[test]
fn a_seated_channel_is_for_who_has_a_seat() {
    let seated = channel(Access::Seated);
    assert_eq!(refused(role(&seated, &alice(), &Facts::default())), ErrorCode::ChannelNotFound);
    assert_eq!(role(&seated, &alice(), &Facts { seat: true, ..Facts::default() }), Ok(Role::Speaker));
}

#[test]
fn a_channel_one_has_nothing_to_do_with_does_not_exist_and_others_say_what_is_missing() {
    let strangers = [
        Facts::default(),
        Facts { invitation: Some(Invitation::Left), ..Facts::default() },
        Facts { ban: Some(Ban::default()), ..Facts::default() },
    ];
    let nothing = Error::from(ErrorCode::ChannelNotFound);
    for access in [Access::Members, Access::Invited, Access::Seated] {
        for facts in &strangers {
            assert_eq!(role(&channel(access), &alice(), facts), Err(nothing.clone()), "{access:?} {facts:?}");
            let closed = Window { closes_at: Some(Timestamp(1)), ..Window::default() };
            assert_eq!(role(&Channel { window: closed, ..channel(access) }, &alice(), facts), Err(nothing.clone()));
        }
    }
    let reason = |access, facts: &Facts| role(&channel(access), &alice(), facts).expect_err("refused").details["reason"].clone();
    let member = Facts { member: Some(MemberRole::Member), ..Facts::default() };
    assert_eq!(reason(Access::Seated, &member), "no_seat");
    assert_eq!(reason(Access::Invited, &Facts { invitation: Some(Invitation::Invited), ..Facts::default() }), "not_invited");
    assert_eq!(reason(Access::Members, &Facts { seat: true, ..Facts::default() }), "not_a_member");
    for access in [Access::Members, Access::Invited, Access::Seated] {
        assert_eq!(reason(access, &Facts { ban: Some(Ban::default()), ..member.clone() }), "banned", "{access:?}");
        let open = Channel { spectators: true, ..channel(access) };
        let banned = role(&open, &alice(), &strangers[2]).expect_err("everybody may see it");
        assert_eq!(banned.details["reason"], "banned");
    }
}

#[test]
fn where_spectators_are_welcome_who_may_not_speak_may_listen() {
    for access in [Access::Members, Access::Invited, Access::Seated] {
        let open = Channel { spectators: true, ..channel(access) };
        assert_eq!(role(&open, &alice(), &Facts::default()), Ok(Role::Spectator), "{access:?}");
    }
}

#[test]
fn grants_name_the_only_channels_and_stand_for_membership() {
    for access in [Access::Public, Access::Members, Access::Invited, Access::Seated] {
        let channel = channel(access);
        assert_eq!(role(&channel, &granted(&[("den", GrantRole::Member)]), &Facts::default()), Ok(Role::Speaker));
        assert_eq!(role(&channel, &granted(&[("den", GrantRole::Spectator)]), &Facts::default()), Ok(Role::Spectator));
        let elsewhere = granted(&[("attic", GrantRole::Moderator)]);
        assert_eq!(refused(role(&channel, &elsewhere, &Facts::default())), ErrorCode::PermissionDenied);
        assert_eq!(refused(role(&channel, &granted(&[]), &Facts::default())), ErrorCode::PermissionDenied);
    }
}

#[test]
fn moderators_are_made_by_token_grant_membership_or_ownership() {
    let moderates = |channel: &Channel, identity: &Identity, facts: &Facts| admit(channel, identity, facts, NOW).expect("in").moderator;
    let (public, none) = (channel(Access::Public), Facts::default());
    assert!(!moderates(&public, &alice(), &none));
    assert!(!moderates(&public, &alice(), &Facts { member: Some(MemberRole::Member), ..Facts::default() }));
    assert!(moderates(&public, &Identity { moderator: true, ..alice() }, &none));
    assert!(moderates(&public, &granted(&[("den", GrantRole::Moderator)]), &none));
    assert!(moderates(&public, &alice(), &Facts { member: Some(MemberRole::Moderator), ..Facts::default() }));
    assert!(moderates(&Channel { owner: Some(user_id("alice")), ..public }, &alice(), &none));
    let members = channel(Access::Members);
    assert_eq!(role(&members, &Identity { moderator: true, ..alice() }, &none), Ok(Role::Speaker));
}

#[test]
fn a_ban_keeps_everybody_out_until_it_is_over_owners_and_moderators_too() {
    let owned = Channel { owner: Some(user_id("alice")), ..channel(Access::Public) };
    let moderator = Identity { moderator: true, ..alice() };
    let ban = |until| Facts { ban: Some(Ban { until, reason: Some("spam".into()) }), ..Facts::default() };
    let error = admitted(&owned, &moderator, &ban(Some(Timestamp(NOW.0 + 1)))).expect_err("banned");
    assert_eq!((error.code, &error.details["until"]), (ErrorCode::PermissionDenied, &"1970-01-01T00:16:40.001Z".into()));
    assert_eq!(error.details["banReason"], "spam");
    let error = admitted(&owned, &moderator, &ban(None)).expect_err("banned for good");
    assert!(error.details["until"].is_null());
    assert!(admit(&owned, &moderator, &ban(Some(NOW)), NOW).is_ok(), "a ban ends at its moment");
}

#[test]
fn outside_its_window_a_channel_is_closed_and_says_when_it_opens() {
    let window = Window { opens_at: Some(NOW), closes_at: Some(Timestamp(NOW.0 + 10)) };
    let timed = Channel { window, ..channel(Access::Public) };
    let at = |at: i64| admit(&timed, &alice(), &Facts::default(), Timestamp(at)).map_err(Error::from);
    assert!(at(NOW.0).is_ok() && at(NOW.0 + 9).is_ok());
    for outside in [NOW.0 - 1, NOW.0 + 10] {
        let error = at(outside).expect_err("closed");
        assert_eq!(error.code, ErrorCode::ChannelClosed);
        assert_eq!(
            (&error.details["opensAt"], &error.details["closesAt"]),
            (&"1970-01-01T00:16:40Z".into(), &"1970-01-01T00:16:40.01Z".into())
        );
    }
}

#[test]
fn a_token_from_before_the_user_was_signed_out_is_void() {
    let facts = Facts { revoked_before: Some(Timestamp(500)), ban: Some(Ban::default()), ..Facts::default() };
    let old = Identity { issued_at: Timestamp(499), ..alice() };
    assert_eq!(refused(role(&channel(Access::Public), &old, &facts)), ErrorCode::Unauthenticated, "said before the ban");
    let facts = Facts { ban: None, ..facts };
    assert!(role(&channel(Access::Public), &Identity { issued_at: Timestamp(500), ..alice() }, &facts).is_ok());
    let nothing = ErrorCode::ChannelNotFound;
    assert_eq!(refused(role(&channel(Access::Members), &old, &facts)), nothing, "said of no channel one has nothing to do with");
    let facts = Facts { member: Some(MemberRole::Member), ..facts };
    assert_eq!(refused(role(&channel(Access::Members), &old, &facts)), ErrorCode::Unauthenticated);
}

#[test]
fn a_channel_that_demands_end_to_end_encryption_says_that_there_is_none() {
    let error = role(&Channel { e2ee: E2eePolicy::Required, ..channel(Access::Public) }, &alice(), &Facts::default()).expect_err("refused");
    assert_eq!((error.code, &error.details["reason"]), (ErrorCode::PermissionDenied, &"e2ee_unavailable".into()));
    assert!(role(&Channel { e2ee: E2eePolicy::Optional, ..channel(Access::Public) }, &alice(), &Facts::default()).is_ok());
}

#[test]
fn a_mesh_channel_takes_those_who_may_speak_and_nobody_who_would_have_to_be_kept_silent() {
    let mesh = Channel { topology: Topology::Mesh, spectators: true, ..channel(Access::Members) };
    let member = Facts { member: Some(MemberRole::Member), ..Facts::default() };
    assert_eq!(role(&mesh, &alice(), &member), Ok(Role::Speaker));
    let reason = |facts: &Facts| role(&mesh, &alice(), facts).expect_err("refused").details["reason"].clone();
    assert_eq!(reason(&Facts::default()), "mesh_has_no_spectators");
    for restrictions in
        [Restrictions { audio: true, ..Restrictions::default() }, Restrictions { deafened: true, ..Restrictions::default() }]
    {
        assert_eq!(reason(&Facts { restrictions, ..member.clone() }), "silenced");
    }
}

#[test]
fn a_channel_that_is_to_choose_by_itself_says_that_it_cannot() {
    let auto = Channel { topology: Topology::Auto, ..channel(Access::Public) };
    let error = role(&auto, &alice(), &Facts::default()).expect_err("refused");
    assert_eq!((error.code, &error.details["reason"]), (ErrorCode::PermissionDenied, &"auto_unavailable".into()));
}

#[test]
fn what_the_host_application_said_is_stronger_than_the_token_and_an_ended_entitlement_is_none() {
    let entitled = |token: Entitlement, facts: Option<Entitlement>| {
        let facts = Facts { entitlement: facts, ..Facts::default() };
        admit(&channel(Access::Public), &Identity { entitlement: token, ..alice() }, &facts, NOW).expect("in").entitlement.pro
    };
    let until = |at| Entitlement { pro: true, expires_at: Some(Timestamp(at)) };
    assert!(entitled(Entitlement::PRO, None) && !entitled(Entitlement::FREE, None));
    assert!(!entitled(Entitlement::PRO, Some(Entitlement::FREE)) && entitled(Entitlement::FREE, Some(Entitlement::PRO)));
    assert!(entitled(until(NOW.0 + 1), None) && !entitled(until(NOW.0), None));
}

#[test]
fn what_moderators_took_is_still_taken() {
    let restrictions = Restrictions { audio: true, ..Restrictions::default() };
    let facts = Facts { restrictions, ..Facts::default() };
    assert_eq!(admit(&channel(Access::Public), &alice(), &facts, NOW).expect("in").restrictions, restrictions);
}

//! Moderators: what they can do, who they are, and that the media plane does it whatever the client wants.

use parlor_proto::event::{CloseReason, Event, LeftReason, Reply};
use parlor_proto::media::Source;
use parlor_proto::{Actor, ErrorCode, MediaKind, Moderation, ModerationAction, Request, Restrictions, SessionId, Tier, Timestamp};
use parlor_rooms::Output;
use parlor_testkit::test_room::{TestRoom, channel_id, config, identity, user_id};

use crate::refused;

/// A moderator, somebody with a microphone and a camera, and somebody who receives both.
fn call() -> (TestRoom, SessionId, SessionId, SessionId) {
    let mut room = TestRoom::pro();
    let mut moderator = identity("mod", Tier::Free);
    moderator.moderator = true;
    let moderator = room.join_as(moderator);
    let (mallory, bob) = (room.join("mallory", Tier::Pro), room.join("bob", Tier::Free));
    for (kind, source) in [(MediaKind::Audio, Source::Mic), (MediaKind::Video, Source::Camera)] {
        let track = room.produce(mallory, kind, source).expect("may");
        room.consume(bob, track).expect("may");
    }
    [moderator, mallory, bob].iter().for_each(|s| drop(room.events(*s)));
    (room, moderator, mallory, bob)
}

fn mute(audio: Option<bool>, video: Option<bool>, screen: Option<bool>) -> Moderation {
    Moderation::Mute { user: user_id("mallory"), audio, video, screen }
}

fn do_it(room: &mut TestRoom, who: SessionId, action: Moderation) {
    let (act, user) = (action.action(), action.user().cloned());
    let reply = room.ask(who, Request::Moderate { action });
    assert_eq!(reply, Ok(Reply::Moderated { action: act, user_id: user }));
}

fn is_silent(room: &TestRoom, kind: MediaKind, source: Source) -> bool {
    room.media.producers.values().find(|p| (p.kind, p.source) == (kind, source)).expect("is sent").paused
}

#[test]
fn what_somebody_was_given_for_the_call_is_taken_back_if_they_may_not_be_here() {
    let user = user_id("mallory");
    let kick = Moderation::Kick { user: user.clone(), reason: None };
    let ban = Moderation::Ban { user: user.clone(), until: None, reason: None };
    let moved = Moderation::Move { user: user.clone(), to: channel_id("elsewhere") };
    for (action, taken) in [(kick, true), (ban, true), (moved, false), (Moderation::EndCall { reason: None }, false)] {
        let (mut room, moderator, _, _) = call();
        room.said.clear();
        do_it(&mut room, moderator, action.clone());
        let sent_out = Output::SentOut { user: user.clone() };
        assert_eq!(room.said.contains(&sent_out), taken, "{action:?}");
    }
    for (reason, taken) in [(LeftReason::SessionRevoked, true), (LeftReason::AccessLost, true), (LeftReason::MovedDevice, false)] {
        assert_eq!(reason.takes_access(), taken);
    }
}

#[test]
fn only_moderators_may() {
    let (mut room, _, mallory, _) = call();
    for action in [Moderation::Kick { user: user_id("bob"), reason: None }, Moderation::EndCall { reason: None }] {
        assert_eq!(refused(room.ask(mallory, Request::Moderate { action })), ErrorCode::PermissionDenied);
    }
}

#[test]
fn a_mute_is_kept_by_the_media_plane_whatever_the_client_asks() {
    let (mut room, moderator, mallory, bob) = call();
    do_it(&mut room, moderator, mute(Some(true), None, None));
    assert!(is_silent(&room, MediaKind::Audio, Source::Mic) && !is_silent(&room, MediaKind::Video, Source::Camera));
    let producers: Vec<_> = room.model(mallory).producers.into_iter().collect();
    for producer in producers {
        room.ask(mallory, Request::PauseProducer { producer }).expect("may");
        room.ask(mallory, Request::ResumeProducer { producer }).expect("may");
    }
    room.ask(mallory, Request::UpdateState { muted: Some(false), deafened: None, speaking: Some(true) }).expect("may");
    assert!(is_silent(&room, MediaKind::Audio, Source::Mic));
    let told = room.events(bob);
    let state = told.iter().find_map(|e| if let Event::ParticipantState { state, .. } = e { Some(*state) } else { None });
    assert!(state.is_some_and(|s| s.server_muted.audio && !s.muted && !s.speaking), "{told:?}");
}

#[test]
fn a_release_gives_the_right_back_and_switches_nothing_on() {
    let (mut room, moderator, mallory, bob) = call();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        room.produce(mallory, kind, Source::Screen).expect("may");
    }
    do_it(&mut room, moderator, mute(Some(true), Some(true), Some(true)));
    room.events(bob);
    do_it(&mut room, moderator, mute(Some(false), Some(false), Some(false)));
    let tracks = [
        (MediaKind::Audio, Source::Mic),
        (MediaKind::Video, Source::Camera),
        (MediaKind::Video, Source::Screen),
        (MediaKind::Audio, Source::Screen),
    ];
    for (kind, source) in tracks {
        assert!(is_silent(&room, kind, source), "{kind:?} {source:?}");
    }
    let told = room.events(bob);
    assert!(
        told.iter().any(|e| matches!(e, Event::ParticipantState { state, .. } if state.muted && !state.server_muted.audio)),
        "{told:?}"
    );
    assert!(!told.iter().any(|e| matches!(e, Event::ProducerResumed { .. })), "{told:?}");
    // It is theirs to do.
    room.ask(mallory, Request::UpdateState { muted: Some(false), deafened: None, speaking: None }).expect("may");
    let producers: Vec<_> = room.model(mallory).producers.into_iter().collect();
    for producer in producers {
        room.ask(mallory, Request::ResumeProducer { producer }).expect("may");
    }
    for (kind, source) in tracks {
        assert!(!is_silent(&room, kind, source), "{kind:?} {source:?}");
    }
}

#[test]
fn what_begins_under_a_mute_begins_silent() {
    let (mut room, moderator, mallory, _) = call();
    do_it(&mut room, moderator, mute(Some(true), Some(true), Some(true)));
    assert!(is_silent(&room, MediaKind::Video, Source::Camera));
    for kind in [MediaKind::Video, MediaKind::Audio] {
        room.produce(mallory, kind, Source::Screen).expect("is taken");
        assert!(is_silent(&room, kind, Source::Screen));
    }
}

#[test]
fn a_mute_of_sound_silences_the_sound_of_the_screen_and_not_its_picture() {
    let (mut room, moderator, mallory, _) = call();
    do_it(&mut room, moderator, mute(Some(true), None, None));
    for kind in [MediaKind::Video, MediaKind::Audio] {
        room.produce(mallory, kind, Source::Screen).expect("is taken");
        assert_eq!(is_silent(&room, kind, Source::Screen), kind == MediaKind::Audio);
    }
}

#[test]
fn who_is_muted_is_told_by_whom() {
    let (mut room, moderator, mallory, _) = call();
    do_it(&mut room, moderator, mute(None, Some(true), None));
    let restrictions = Restrictions { video: true, ..Restrictions::default() };
    let expected = Event::Moderation { action: ModerationAction::Mute, by_user_id: Some(user_id("mod")), restrictions, reason: None };
    assert_eq!(room.events(mallory), [expected]);
    // The same once more changes nothing, and is not told.
    room.moderate(&mute(None, Some(true), None), &Actor::Key("k".into()));
    assert!(room.events(mallory).is_empty());
}

#[test]
fn a_mute_outlives_leaving() {
    let (mut room, moderator, mallory, _) = call();
    do_it(&mut room, moderator, mute(Some(true), None, None));
    room.ask(mallory, Request::Leave { channel: None }).expect("leaves");
    let again = room.connect();
    let joined = room.try_join(again, "mallory", Tier::Pro).expect("may come back");
    assert!(joined.state.server_muted.audio);
    room.produce(again, MediaKind::Audio, Source::Mic).expect("is taken");
    assert!(is_silent(&room, MediaKind::Audio, Source::Mic));
}

#[test]
fn who_is_deafened_is_sent_no_sound_whatever_the_client_asks() {
    let (mut room, moderator, _, bob) = call();
    do_it(&mut room, moderator, Moderation::Deafen { user: user_id("bob"), deafened: true });
    room.ask(bob, Request::UpdateState { muted: None, deafened: Some(false), speaking: None }).expect("may");
    for consumer in room.model(bob).consumers.into_keys() {
        room.ask(bob, Request::ResumeConsumer { consumer }).expect("may");
    }
    let heard = |room: &TestRoom| room.media.consumers.values().filter(|c| !c.paused).count();
    assert_eq!(heard(&room), 1, "the picture is still seen");
    do_it(&mut room, moderator, Moderation::Deafen { user: user_id("bob"), deafened: false });
    assert_eq!(heard(&room), 2);
}

#[test]
fn who_is_kicked_is_out_is_told_why_and_may_come_back() {
    let (mut room, moderator, mallory, bob) = call();
    do_it(&mut room, moderator, Moderation::Kick { user: user_id("mallory"), reason: Some("noise".into()) });
    let told = room.events(mallory);
    assert!(
        matches!(&told[0], Event::Moderation { action: ModerationAction::Kick, reason: Some(reason), .. } if reason == "noise"),
        "{told:?}"
    );
    assert_eq!(told[1], Event::Left { channel_id: channel_id("den"), reason: LeftReason::Kicked, rejoin: false, to: None });
    assert!(!room.is_inside(mallory) && room.media.producers.is_empty());
    let told = room.events(bob);
    assert!(told.iter().any(|e| matches!(e, Event::ProducerClosed { reason: Some(CloseReason::Moderation), .. })), "{told:?}");
    assert!(matches!(told.last(), Some(Event::ParticipantLeft { .. })));
    room.join("mallory", Tier::Pro);
}

#[test]
fn who_is_banned_is_out_and_stays_out_until_then() {
    let (mut room, moderator, mallory, _) = call();
    let until = Timestamp(room.wall().0 + 60_000);
    do_it(&mut room, moderator, Moderation::Ban { user: user_id("mallory"), until: Some(until), reason: None });
    assert!(matches!(room.events(mallory).last(), Some(Event::Left { reason: LeftReason::Banned, .. })));
    let session = room.connect();
    assert_eq!(refused(room.try_join(session, "mallory", Tier::Pro)), ErrorCode::PermissionDenied);
    room.advance(std::time::Duration::from_secs(60));
    room.join("mallory", Tier::Pro);
}

#[test]
fn a_ban_can_meet_somebody_who_is_not_here_and_nothing_else_can() {
    let (mut room, moderator, ..) = call();
    let absent = || user_id("absent");
    do_it(&mut room, moderator, Moderation::Ban { user: absent(), until: None, reason: None });
    for action in [Moderation::Kick { user: absent(), reason: None }, Moderation::Move { user: absent(), to: channel_id("attic") }] {
        assert_eq!(refused(room.ask(moderator, Request::Moderate { action })), ErrorCode::NotFound);
    }
}

#[test]
fn who_is_moved_is_told_where_to() {
    let (mut room, moderator, mallory, _) = call();
    let to_here = Moderation::Move { user: user_id("mallory"), to: channel_id("den") };
    assert_eq!(refused(room.ask(moderator, Request::Moderate { action: to_here })), ErrorCode::InvalidRequest);
    do_it(&mut room, moderator, Moderation::Move { user: user_id("mallory"), to: channel_id("attic") });
    let left = Event::Left { channel_id: channel_id("den"), reason: LeftReason::Moved, rejoin: false, to: Some(channel_id("attic")) };
    assert_eq!(room.events(mallory).last(), Some(&left));
}

#[test]
fn a_call_that_is_ended_is_over_for_everybody() {
    let (mut room, moderator, mallory, bob) = call();
    do_it(&mut room, moderator, Moderation::EndCall { reason: None });
    for session in [moderator, mallory, bob] {
        assert!(matches!(room.events(session).last(), Some(Event::Left { reason: LeftReason::CallEnded, rejoin: false, .. })));
    }
    assert!(room.closed && room.media.is_empty());
}

#[test]
fn nobody_moderates_the_owner_but_the_administration_can() {
    let mut config = config("den", 1);
    config.channel.owner = Some(user_id("owner"));
    let mut room = TestRoom::new(config);
    let owner = room.join("owner", Tier::Free);
    let mut moderator = identity("mod", Tier::Free);
    moderator.moderator = true;
    let moderator = room.join_as(moderator);
    let kick = Moderation::Kick { user: user_id("owner"), reason: None };
    assert_eq!(refused(room.ask(moderator, Request::Moderate { action: kick.clone() })), ErrorCode::PermissionDenied);
    do_it(&mut room, owner, Moderation::Mute { user: user_id("owner"), audio: Some(true), video: None, screen: None });
    room.moderate(&kick, &Actor::CommandLine);
    assert!(!room.is_inside(owner));
}

#[test]
fn nobody_lifts_what_was_done_to_themselves() {
    let (mut room, moderator, ..) = call();
    let myself = || user_id("mod");
    let mute = |audio| Moderation::Mute { user: myself(), audio: Some(audio), video: None, screen: None };
    room.moderate(&mute(true), &Actor::CommandLine);
    for action in [mute(false), Moderation::Deafen { user: myself(), deafened: false }] {
        assert_eq!(refused(room.ask(moderator, Request::Moderate { action })), ErrorCode::PermissionDenied);
    }
}

#[test]
fn who_is_signed_out_or_loses_access_is_out() {
    let (mut room, _, mallory, bob) = call();
    room.evict("mallory", LeftReason::SessionRevoked);
    room.evict("bob", LeftReason::AccessLost);
    room.evict("absent", LeftReason::AccessLost);
    for (session, why) in [(mallory, LeftReason::SessionRevoked), (bob, LeftReason::AccessLost)] {
        let told = room.events(session);
        assert!(matches!(told.last(), Some(Event::Left { reason, rejoin: false, .. }) if *reason == why), "{told:?}");
    }
}

#[test]
fn spectators_listen_and_send_nothing() {
    let mut config = config("den", 1);
    config.channel.access = parlor_proto::Access::Members;
    config.channel.spectators = true;
    let mut room = TestRoom::new(config);
    room.facts("speaker").member = Some(parlor_proto::MemberRole::Member);
    let speaker = room.join("speaker", Tier::Free);
    let mic = room.produce(speaker, MediaKind::Audio, Source::Mic).expect("may speak");
    let guest = room.join("guest", Tier::Pro);
    assert!(room.model(guest).permissions.is_some_and(|p| !p.audio && !p.video && !p.screenshare));
    room.consume(guest, mic).expect("may listen");
    for (kind, source) in [(MediaKind::Audio, Source::Mic), (MediaKind::Video, Source::Camera), (MediaKind::Audio, Source::Screen)] {
        assert_eq!(refused(room.produce(guest, kind, source)), ErrorCode::PermissionDenied);
    }
    assert_eq!(refused(room.ask(guest, Request::RequestSlot { source: Source::Camera })), ErrorCode::PermissionDenied);
    let told = room.events(speaker);
    assert!(matches!(told.as_slice(), [Event::ParticipantJoined(p)] if p.role == parlor_proto::Role::Spectator), "{told:?}");
    room.ask(guest, Request::UpdateState { muted: None, deafened: None, speaking: Some(true) }).expect("is ignored");
    assert!(room.events(speaker).is_empty(), "a spectator does not speak");
}

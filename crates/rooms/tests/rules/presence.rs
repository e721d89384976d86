//! Mute, deafen, who speaks.

use parlor_proto::event::{Event, ParticipantState, Reply, Speaker};
use parlor_proto::media::Source;
use parlor_proto::{MediaEvent, MediaKind, ProducerId, Request, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, user_id};
use std::time::Duration;

fn mute(muted: bool) -> Request {
    Request::UpdateState { muted: Some(muted), deafened: None, speaking: None }
}

fn deafen(deafened: bool) -> Request {
    Request::UpdateState { muted: None, deafened: Some(deafened), speaking: None }
}

fn talk(room: &mut TestRoom) -> (SessionId, SessionId, ProducerId) {
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    (alice, bob, mic)
}

#[test]
fn a_muted_microphone_is_silent_whatever_the_client_sends() {
    let mut room = TestRoom::free();
    let (alice, _, mic) = talk(&mut room);
    room.ask(alice, mute(true)).expect("mutes");
    assert!(room.media.producers[&mic].paused);
    room.ask(alice, Request::ResumeProducer { producer: mic }).expect("resumes, in vain");
    assert!(room.media.producers[&mic].paused);
    room.ask(alice, mute(false)).expect("unmutes");
    assert!(!room.media.producers[&mic].paused);
}

#[test]
fn a_pause_outlasts_unmuting() {
    let mut room = TestRoom::free();
    let (alice, _, mic) = talk(&mut room);
    room.ask(alice, Request::PauseProducer { producer: mic }).expect("pauses");
    room.ask(alice, mute(true)).expect("mutes");
    room.ask(alice, mute(false)).expect("unmutes");
    assert!(room.media.producers[&mic].paused);
}

#[test]
fn mute_is_for_the_microphone_and_leaves_camera_and_screen() {
    let mut room = TestRoom::pro();
    let (alice, _, _) = talk(&mut room);
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    let screen_sound = room.produce(alice, MediaKind::Audio, Source::Screen).expect("produces");
    room.ask(alice, mute(true)).expect("mutes");
    assert!(!room.media.producers[&camera].paused && !room.media.producers[&screen_sound].paused);
}

#[test]
fn a_microphone_made_while_muted_begins_silent() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.ask(alice, mute(true)).expect("mutes");
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    assert!(room.media.producers[&mic].paused);
    assert!(matches!(room.events(bob).last(), Some(Event::NewProducer(info)) if info.paused));
}

#[test]
fn muting_reaches_a_microphone_that_is_still_being_made() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let body = room.produce_request(alice, MediaKind::Audio, Source::Mic);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_millis(50)));
    room.send(alice, body);
    room.ask(alice, mute(true)).expect("mutes");
    room.advance(Duration::from_millis(50));
    assert!(room.media.producers.values().all(|p| p.paused));
    assert!(matches!(room.events(bob).last(), Some(Event::NewProducer(info)) if info.paused));
}

#[test]
fn a_deafened_participant_is_sent_no_sound_but_pictures() {
    let mut room = TestRoom::pro();
    let (alice, bob, mic) = talk(&mut room);
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    let (sound, picture) = (room.consume(bob, mic).expect("consumes"), room.consume(bob, camera).expect("consumes"));
    room.ask(bob, deafen(true)).expect("deafens");
    assert!(room.media.consumers[&sound].paused && !room.media.consumers[&picture].paused);
    room.ask(bob, Request::ResumeConsumer { consumer: sound }).expect("resumes, in vain");
    assert!(room.media.consumers[&sound].paused);
    room.ask(bob, deafen(false)).expect("hears again");
    assert!(!room.media.consumers[&sound].paused);
}

#[test]
fn a_consumer_made_while_deafened_begins_silent() {
    let mut room = TestRoom::free();
    let (_, bob, mic) = talk(&mut room);
    room.ask(bob, deafen(true)).expect("deafens");
    let sound = room.consume(bob, mic).expect("consumes");
    assert!(room.media.consumers[&sound].paused);
}

#[test]
fn a_change_of_state_is_told_to_the_others_once() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.events(alice);
    let state = ParticipantState { muted: true, ..ParticipantState::default() };
    for _ in 0..2 {
        assert_eq!(room.ask(alice, mute(true)), Ok(Reply::StateUpdated { state }));
    }
    assert_eq!(room.events(bob), [Event::ParticipantState { user_id: user_id("alice"), state }]);
    assert!(room.events(alice).is_empty());
}

#[test]
fn what_is_left_out_stays_as_it_is() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.ask(alice, mute(true)).expect("mutes");
    room.ask(alice, deafen(true)).expect("deafens");
    let state = ParticipantState { muted: true, deafened: true, ..ParticipantState::default() };
    let nothing = Request::UpdateState { muted: None, deafened: None, speaking: None };
    assert_eq!(room.ask(alice, nothing), Ok(Reply::StateUpdated { state }));
}

#[test]
fn the_muted_do_not_speak() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let speak = Request::UpdateState { muted: None, deafened: None, speaking: Some(true) };
    room.ask(alice, speak.clone()).expect("speaks");
    let muted = ParticipantState { muted: true, ..ParticipantState::default() };
    assert_eq!(room.ask(alice, mute(true)), Ok(Reply::StateUpdated { state: muted }));
    assert_eq!(room.ask(alice, speak), Ok(Reply::StateUpdated { state: muted }));
}

#[test]
fn a_newcomer_sees_who_is_muted() {
    let mut room = TestRoom::free();
    let (alice, _, _) = talk(&mut room);
    room.ask(alice, mute(true)).expect("mutes");
    let late = room.connect();
    let joined = room.try_join(late, "late", Tier::Free).expect("joins");
    assert!(joined.participants[0].state.muted && joined.participants[0].producers[0].paused);
}

fn speakers(room: &mut TestRoom, levels: &[(ProducerId, i8)]) {
    room.report(MediaEvent::Speakers { levels: levels.to_vec() });
}

#[test]
fn active_speakers_are_shown_to_all_with_their_names() {
    let mut room = TestRoom::free();
    let (alice, bob, mic) = talk(&mut room);
    room.events(alice);
    room.events(bob);
    speakers(&mut room, &[(mic, -20)]);
    let shown = Event::ActiveSpeakers { speakers: vec![Speaker { user_id: user_id("alice"), producer_id: mic, level: -20 }] };
    assert_eq!(room.events(alice), std::slice::from_ref(&shown));
    assert_eq!(room.events(bob), [shown]);
}

#[test]
fn the_muted_and_the_gone_are_not_shown_as_speaking() {
    let mut room = TestRoom::free();
    let (alice, bob, mic) = talk(&mut room);
    room.ask(alice, mute(true)).expect("mutes");
    room.events(bob);
    speakers(&mut room, &[(mic, -20), (ProducerId::from_random(7), -10)]);
    assert!(room.events(bob).is_empty(), "nobody spoke before, nobody speaks now: no news");
}

#[test]
fn silence_is_told_once() {
    let mut room = TestRoom::free();
    let (_, bob, mic) = talk(&mut room);
    speakers(&mut room, &[(mic, -20)]);
    room.events(bob);
    speakers(&mut room, &[]);
    speakers(&mut room, &[]);
    assert_eq!(room.events(bob), [Event::ActiveSpeakers { speakers: Vec::new() }]);
}

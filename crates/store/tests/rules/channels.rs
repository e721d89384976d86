//! Channels: made once, changed with a version, listed, removed.

use parlor_proto::{Access, Channel, ChannelKind, E2eePolicy, Privacy, RecordingPolicy, Tier, Topology, Window};
use parlor_store::{Found, Page, StoreError, What};

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    every_field_is_kept,
    a_second_one_with_the_same_id_is_refused,
    a_change_needs_the_version_that_was_read,
    what_is_the_same_already_is_left_alone,
    a_removed_channel_is_gone_with_all_that_belongs_to_it,
    pages_are_stable_while_channels_come_and_go,
    a_window_must_not_end_before_it_begins,
];

async fn every_field_is_kept(db: Database) {
    let store = db.open().await;
    let mut full = channel("den");
    full.kind = ChannelKind::Dm;
    full.topology = Topology::Auto;
    full.tier = Tier::Pro;
    full.max_participants = Some(u32::MAX);
    full.privacy = Privacy::Relay;
    full.e2ee = E2eePolicy::Optional;
    full.recording = RecordingPolicy::Allowed;
    full.access = Access::Seated;
    full.spectators = true;
    full.max_spectators = Some(u32::MAX);
    full.window = Window { opens_at: Some(at(i64::MIN)), closes_at: Some(at(i64::MAX)) };
    full.owner = Some(user("olga"));
    let made = store.create_channel(&full, &admin(), at(5)).await.expect("made");
    assert_eq!((made.version, made.created_at, made.updated_at), (1, at(5), at(5)));
    assert_eq!(made.value, full);
    store.create_channel(&channel("attic"), &admin(), at(6)).await.expect("made");

    // As another process sees it.
    let other = db.open().await;
    assert_eq!(other.channel(&id("den")).await.expect("read"), Some(made));
    let plain = other.channel(&id("attic")).await.expect("read").expect("is there");
    assert_eq!(plain.value, channel("attic"));
    // A limit of its own can be taken away again.
    let limitless = Channel { max_spectators: None, ..full };
    store.put_channel(&limitless, None, &admin(), at(7)).await.expect("changed");
    assert_eq!(other.channel(&id("den")).await.expect("read").expect("is there").value, limitless);
    assert_eq!(other.channel(&id("cellar")).await.expect("read"), None);
}

async fn a_second_one_with_the_same_id_is_refused(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let again = store.create_channel(&channel("den"), &admin(), at(2)).await;
    assert_eq!(again, Err(StoreError::Exists(What::Channel)));
    // Ids are compared byte by byte.
    store.create_channel(&channel("Den"), &admin(), at(3)).await.expect("another one");
    assert_eq!(store.channels(&Page::first(10)).await.expect("listed").len(), 2);
}

async fn a_change_needs_the_version_that_was_read(db: Database) {
    let store = db.open().await;
    let (made, created) = store.put_channel(&channel("den"), None, &admin(), at(1)).await.expect("made");
    assert!(created && made.version == 1);
    let mut changed = channel("den");
    changed.name = "The lion's den".to_owned();
    let (second, created) = store.put_channel(&changed, Some(1), &admin(), at(2)).await.expect("changed");
    assert!(!created);
    assert_eq!((second.version, second.created_at, second.updated_at), (2, at(1), at(2)));

    let late = store.put_channel(&channel("den"), Some(1), &admin(), at(3)).await;
    assert_eq!(late, Err(StoreError::Stale { version: 2 }));
    let missing = store.put_channel(&channel("attic"), Some(1), &admin(), at(3)).await;
    assert_eq!(missing, Err(StoreError::NotFound(What::Channel)));
    let (third, _) = store.put_channel(&channel("den"), None, &admin(), at(4)).await.expect("changed whatever is there");
    assert_eq!(third.version, 3);
    assert_eq!(store.channel(&id("den")).await.expect("read"), Some(third));
}

async fn what_is_the_same_already_is_left_alone(db: Database) {
    let store = db.open().await;
    store.put_channel(&channel("den"), None, &admin(), at(1)).await.expect("made");
    let before = store.last_change().await.expect("a number");
    let (same, created) = store.put_channel(&channel("den"), Some(1), &admin(), at(9)).await.expect("nothing to do");
    assert_eq!((same.version, same.updated_at, created), (1, at(1), false));
    assert_eq!(store.last_change().await.expect("a number"), before, "nothing was written");
    assert_eq!(store.audit(None, &Page::first(10)).await.expect("listed").len(), 1);
}

async fn a_removed_channel_is_gone_with_all_that_belongs_to_it(db: Database) {
    let store = db.open().await;
    let (den, alice) = (id("den"), user("alice"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.put_member(&den, &alice, parlor_proto::MemberRole::Member, &admin(), at(2)).await.expect("put");
    store.invite(&den, &alice, &admin(), at(2)).await.expect("invited");
    store.put_seat(&den, "north", Some(&alice), &admin(), at(2)).await.expect("put");
    store.put_ban(&den, &alice, None, None, &admin(), at(2)).await.expect("banned");
    let silenced = parlor_proto::Restrictions { audio: true, ..Default::default() };
    store.put_restrictions(&den, &alice, &silenced, &admin(), at(2)).await.expect("put");

    store.delete_channel(&den, &admin(), at(3)).await.expect("removed");
    assert_eq!(store.delete_channel(&den, &admin(), at(4)).await, Err(StoreError::NotFound(What::Channel)));
    assert_eq!(store.admission(&den, &alice).await.expect("read"), None);

    store.create_channel(&channel("den"), &admin(), at(5)).await.expect("made anew");
    let Found { facts, .. } = store.admission(&den, &alice).await.expect("read").expect("is there");
    assert_eq!(facts, parlor_rooms::Facts::default());
    assert!(store.seats(&den, &Page::first(10)).await.expect("listed").is_empty());
    let log = store.audit(Some(&den), &Page::first(100)).await.expect("listed");
    assert_eq!(log.len(), 8, "what was done is still known");
}

async fn pages_are_stable_while_channels_come_and_go(db: Database) {
    let store = db.open().await;
    for n in 0..20 {
        store.create_channel(&channel(&format!("c{n:02}")), &admin(), at(1)).await.expect("made");
    }
    let (mut seen, mut page) = (Vec::new(), Page::first(3));
    for round in 0.. {
        let rows = store.channels(&page).await.expect("listed");
        let Some(last) = rows.last() else { break };
        page = Page::after(last.value.id.as_str(), 3);
        seen.extend(rows.iter().map(|row| row.value.id.to_string()));
        if round >= 8 {
            continue;
        }
        // Before, at and after the place where the reader is.
        store.create_channel(&channel(&format!("a{round}")), &admin(), at(2)).await.expect("made");
        store.create_channel(&channel(&format!("{}x", seen.last().expect("one"))), &admin(), at(2)).await.expect("made");
        store.delete_channel(&id(seen.first().expect("one")), &admin(), at(2)).await.ok();
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(seen, sorted, "in order, and nothing twice");
    assert!((0..20).all(|n| seen.contains(&format!("c{n:02}"))), "nothing was missed: {seen:?}");
}

async fn a_window_must_not_end_before_it_begins(db: Database) {
    let store = db.open().await;
    let mut wrong = channel("den");
    wrong.window = Window { opens_at: Some(at(10)), closes_at: Some(at(10)) };
    let refused = store.create_channel(&wrong, &admin(), at(1)).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "closesAt", .. })), "{refused:?}");
    assert_eq!(store.channel(&id("den")).await.expect("read"), None);
}

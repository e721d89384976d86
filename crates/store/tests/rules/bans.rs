//! Bans last as long as they say, and restrictions until they are lifted.

use parlor_proto::{Identity, Restrictions, Timestamp};
use parlor_rooms::access::admit;
use parlor_store::{BanPut, Found, Page, Store, StoreError, What};

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    a_ban_ends_at_its_moment,
    a_ban_without_an_end_outlives_the_process,
    a_ban_must_end_in_the_future,
    restrictions_stay_until_they_are_lifted,
];

async fn is_let_in(store: &Store, now: Timestamp) -> bool {
    let Found { channel, facts, .. } = store.admission(&id("den"), &user("mallory")).await.expect("read").expect("is there");
    admit(&channel, &Identity::new(user("mallory"), "Mallory"), &facts, now).is_ok()
}

async fn a_ban_ends_at_its_moment(db: Database) {
    let store = db.open().await;
    let (den, mallory) = (id("den"), user("mallory"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    assert!(is_let_in(&store, at(10)).await);
    let ban = async |until, now| store.put_ban(&den, &mallory, Some(at(until)), Some("spam"), &admin(), at(now)).await;
    assert_eq!(ban(100, 10).await, Ok(BanPut::New));
    assert_eq!(ban(100, 20).await, Ok(BanPut::Same), "the same again changes nothing");
    assert_eq!(store.audit(Some(&den), &Page::first(10)).await.expect("listed").len(), 2, "made, banned");
    assert!(!is_let_in(&store, at(99)).await);
    assert!(is_let_in(&store, at(100)).await);
    let listed = async |now| store.bans(&den, &Page::first(10), at(now)).await.expect("listed");
    let before = listed(99).await;
    let [record] = before.as_slice() else { panic!("one: {before:?}") };
    assert_eq!((&record.user, record.until, record.reason.as_deref()), (&mallory, Some(at(100)), Some("spam")));
    assert_eq!((&record.by, record.updated_at), (&admin(), at(10)));
    assert!(listed(100).await.is_empty());
    assert_eq!(store.delete_ban(&den, &mallory, &admin(), at(100)).await, Err(StoreError::NotFound(What::Ban)));
    assert_eq!(ban(300, 200).await, Ok(BanPut::New), "one that has ended does not count");
    assert_eq!(ban(250, 210).await, Ok(BanPut::Changed), "made shorter");
    assert!(!is_let_in(&store, at(249)).await);
    assert!(is_let_in(&store, at(250)).await);
    store.delete_ban(&den, &mallory, &admin(), at(220)).await.expect("lifted");
    assert!(is_let_in(&store, at(221)).await);
}

async fn a_ban_without_an_end_outlives_the_process(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.put_ban(&id("den"), &user("mallory"), None, None, &admin(), at(2)).await.expect("banned");
    store.close().await;
    let store = db.open().await;
    assert!(!is_let_in(&store, at(i64::MAX)).await);
    assert_eq!(store.bans(&id("den"), &Page::first(10), at(i64::MAX)).await.expect("listed").len(), 1);
}

async fn a_ban_must_end_in_the_future(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let ban = store.put_ban(&id("den"), &user("mallory"), Some(at(5)), None, &admin(), at(5)).await;
    assert!(matches!(ban, Err(StoreError::Invalid { field: "until", .. })), "{ban:?}");
}

async fn restrictions_stay_until_they_are_lifted(db: Database) {
    let store = db.open().await;
    let (den, mallory) = (id("den"), user("mallory"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    assert_eq!(store.restrictions(&den, &mallory).await, Ok(Restrictions::default()));
    let silenced = Restrictions { audio: true, screen: true, ..Restrictions::default() };
    for _ in 0..2 {
        store.put_restrictions(&den, &mallory, &silenced, &admin(), at(2)).await.expect("put");
    }
    assert_eq!(db.open().await.restrictions(&den, &mallory).await, Ok(silenced));
    store.put_restrictions(&den, &mallory, &Restrictions::default(), &admin(), at(3)).await.expect("lifted");
    assert_eq!(store.restrictions(&den, &mallory).await, Ok(Restrictions::default()));
    assert_eq!(store.audit(Some(&den), &Page::first(10)).await.expect("listed").len(), 3, "made, put, lifted");
}

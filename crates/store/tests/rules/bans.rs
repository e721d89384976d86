//! Bans last as long as they say, and restrictions until they are lifted.

use parlor_proto::{Actor, Identity, Restrictions, Timestamp};
use parlor_rooms::access::admit;
use parlor_store::{BanPut, Found, MAX_BANS_BY_MODERATORS, MAX_RESTRICTED, Page, Store, StoreError, What};
use sqlx::Executor as _;

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    a_ban_ends_at_its_moment,
    a_ban_without_an_end_outlives_the_process,
    a_ban_must_end_in_the_future,
    restrictions_stay_until_they_are_lifted,
    moderators_ban_so_many_and_no_more,
    moderators_restrict_so_many_and_no_more,
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

fn moderator() -> Actor {
    Actor::Session(user("moderator"))
}

async fn moderators_ban_so_many_and_no_more(db: Database) {
    let (store, den) = (db.open().await, id("den"));
    for name in ["den", "attic"] {
        store.create_channel(&channel(name), &admin(), at(1)).await.expect("made");
    }
    // By one moderator and the next, and one that is over: it does not count.
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_BANS_BY_MODERATORS}) \
         INSERT INTO bans (channel_id, user_id, until_at, actor, updated_at) SELECT 'den', 'invented-' || i, \
         CASE WHEN i = 1 THEN 5 ELSE NULL END, CASE WHEN i % 2 = 0 THEN 'user:one' ELSE 'user:other' END, 2 FROM n"
    );
    db.connect().await.execute(sqlx::AssertSqlSafe(many)).await.expect("written");
    let ban = async |name: &str, by: Actor| store.put_ban(&den, &user(name), None, None, &by, at(10)).await;
    assert_eq!(ban("last", moderator()).await, Ok(BanPut::New));
    let refused = ban("one-more", moderator()).await;
    assert!(matches!(refused, Err(StoreError::TooMany(_))), "{refused:?}");
    assert_eq!(ban("one-more", admin()).await, Ok(BanPut::New), "the operator has no limit");
    let changed = store.put_ban(&den, &user("last"), Some(at(20)), None, &moderator(), at(11)).await;
    assert_eq!(changed, Ok(BanPut::Changed), "nor has a change");
    store.put_ban(&id("attic"), &user("mallory"), None, None, &moderator(), at(11)).await.expect("another channel");
    store.delete_ban(&den, &user("invented-2"), &admin(), at(12)).await.expect("lifted");
    assert_eq!(ban("room-again", moderator()).await, Ok(BanPut::New));
}

async fn moderators_restrict_so_many_and_no_more(db: Database) {
    let (store, den) = (db.open().await, id("den"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    // The last one is as an older version left somebody to whom everything was given back: it does not count.
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_RESTRICTED}) \
         INSERT INTO restrictions (channel_id, user_id, audio, video, screen, deafened, updated_at) \
         SELECT 'den', 'invented-' || i, CASE WHEN i = {MAX_RESTRICTED} THEN 0 ELSE 1 END, 0, 0, 0, 2 FROM n"
    );
    db.connect().await.execute(sqlx::AssertSqlSafe(many)).await.expect("written");
    let silent = Restrictions { audio: true, ..Restrictions::default() };
    let restrict = async |name: &str, what: Restrictions, by: Actor| store.put_restrictions(&den, &user(name), &what, &by, at(10)).await;
    assert_eq!(restrict("last", silent, moderator()).await, Ok(()));
    let refused = restrict("one-more", silent, moderator()).await;
    assert!(matches!(refused, Err(StoreError::TooMany(_))), "{refused:?}");
    assert_eq!(restrict("one-more", silent, admin()).await, Ok(()), "the operator has no limit");
    assert_eq!(restrict("last", Restrictions { deafened: true, ..silent }, moderator()).await, Ok(()), "nor has a change");
    for name in ["one-more", "last"] {
        assert_eq!(restrict(name, Restrictions::default(), moderator()).await, Ok(()), "given back");
    }
    assert_eq!(restrict("room-again", silent, moderator()).await, Ok(()));
}

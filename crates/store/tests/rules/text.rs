//! Whatever people write is stored as they wrote it, and never becomes part of a statement.

use parlor_proto::{ChannelId, MemberRole, UserId};
use parlor_store::{Found, Page, StoreError};
use serde_json::json;

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![odd_texts_are_kept_as_they_are, a_text_that_cannot_be_stored_is_named];

const ODD: [&str; 24] = [
    "'; DROP TABLE channels; --",
    "' OR '1'='1",
    "\"quoted\" `ticks` [brackets]",
    "$1 ? ?1 :name @p %s %d {} {0}",
    "100 % _under_ \\ back\\\\slash \\0 \\n",
    "/* comment */ -- comment",
    "null",
    "NULL",
    "0",
    "1e309",
    "-9223372036854775808",
    "true",
    "Стол №5",
    "日本語の部屋",
    "العربية",
    "עברית",
    "🎲👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u{301} is not \u{e9}",
    "\u{e9} is not e\u{301}",
    "ß SS ẞ ı I İ",
    "\u{10ffff}\u{fffd}\u{e000}",
    "a\u{a0}b\u{3000}c",
    "Z̷̢͖̺a̶l̴g̸o̵",
    "<script>alert(1)</script>&amp;",
];

async fn odd_texts_are_kept_as_they_are(db: Database) {
    let store = db.open().await;
    let (mut ids, mut users) = (Vec::new(), Vec::new());
    for text in ODD {
        // As an id where ids allow it: some have characters that cannot be seen.
        let name = ChannelId::new(text).unwrap_or_else(|_| id(&format!("c{}", ids.len())));
        let who = UserId::new(text).unwrap_or_else(|_| user(&format!("u{}", users.len())));
        let mut odd = channel("x");
        (odd.id, odd.name, odd.owner) = (name.clone(), text.to_owned(), Some(who.clone()));
        store.create_channel(&odd, &admin(), at(1)).await.expect("made");
        store.put_member(&name, &who, MemberRole::Member, &admin(), at(1)).await.expect("put");
        store.put_ban(&name, &who, None, Some(text), &admin(), at(1)).await.expect("banned");
        let seat = ChannelId::new(text).map_or_else(|_| "s".to_owned(), |_| text.to_owned());
        store.put_seat(&name, &seat, Some(&who), &admin(), at(1)).await.expect("put");
        store.record(&admin(), text, Some(&name), Some(&who), json!({ text: text }), at(1)).await.expect("noted");

        assert_eq!(store.channel(&name).await.expect("read").expect("is there").value, odd);
        let Found { facts, .. } = store.admission(&name, &who).await.expect("read").expect("is there");
        assert_eq!(facts.ban.expect("banned").reason.as_deref(), Some(text));
        assert!(facts.seat && facts.member.is_some());
        assert_eq!(store.seats(&name, &Page::first(5)).await.expect("listed")[0].seat, seat);
        let line = &store.audit(Some(&name), &Page::first(1)).await.expect("listed")[0];
        assert_eq!((line.action.as_str(), &line.details), (text, &json!({ text: text })));
        ids.push(name);
        users.push(who);
    }
    ids.sort();
    let listed = store.channels(&Page::first(100)).await.expect("listed");
    assert_eq!(listed.into_iter().map(|c| c.value.id).collect::<Vec<_>>(), ids, "by their bytes, on both databases");
    for name in &ids {
        let page = store.channels(&Page::after(name.as_str(), 1)).await.expect("listed");
        assert_eq!(page.first().map(|c| &c.value.id), ids.iter().find(|other| *other > name));
    }
}

async fn a_text_that_cannot_be_stored_is_named(db: Database) {
    let store = db.open().await;
    let mut wrong = channel("den");
    wrong.name = "a\0b".to_owned();
    let refused = store.create_channel(&wrong, &admin(), at(1)).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "name", .. })), "{refused:?}");
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let refused = store.put_ban(&id("den"), &user("mallory"), None, Some("a\0b"), &admin(), at(1)).await;
    assert!(matches!(refused, Err(StoreError::Invalid { field: "reason", .. })), "{refused:?}");
    // In details it is escaped, so there it can be.
    store.record(&admin(), "test", None, None, json!({ "a\0b": "c\0d" }), at(2)).await.expect("noted");
    assert_eq!(store.audit(None, &Page::first(1)).await.expect("listed")[0].details, json!({ "a\0b": "c\0d" }));
    // And a place to go on from may be anything.
    for odd in ["", "'", "\u{10ffff}", "a\0b"] {
        let page = store.channels(&Page::after(odd, 10)).await;
        assert!(page.is_ok() || matches!(page, Err(StoreError::Invalid { field: "after", .. })), "{page:?}");
    }
}

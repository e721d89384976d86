//! API keys: stored as hashes, known by their text, gone when revoked.

use parlor_store::{KeyText, NewKey, Page, StoreError, What};
use sqlx::Row as _;

use crate::database::Database;
use crate::{admin, at, on_both};

on_both![a_key_is_known_until_it_is_removed, the_database_never_sees_a_key];

fn new_key(text: &KeyText) -> NewKey {
    NewKey {
        id: text.id().to_owned(),
        name: "deploy".to_owned(),
        hash: text.hash(),
        scopes: vec!["channels".to_owned(), "bans".to_owned()],
    }
}

async fn a_key_is_known_until_it_is_removed(db: Database) {
    let store = db.open().await;
    let (text, other) = (KeyText::generate().expect("random"), KeyText::generate().expect("random"));
    let made = store.create_key(&new_key(&text), &admin(), at(5)).await.expect("made");
    assert_eq!(store.create_key(&new_key(&text), &admin(), at(6)).await, Err(StoreError::Exists(What::Key)));
    let read = store.key(text.id()).await.expect("read").expect("is there");
    assert_eq!(read, made);
    assert!(read.matches(&text) && !read.matches(&other));
    assert_eq!((read.scopes.as_slice(), read.created_at), (["channels".to_owned(), "bans".to_owned()].as_slice(), at(5)));
    store.create_key(&new_key(&other), &admin(), at(7)).await.expect("made");
    let first = store.keys(&Page::first(1)).await.expect("listed");
    let rest = store.keys(&Page::after(first[0].id.clone(), 10)).await.expect("listed");
    assert_eq!((first.len(), rest.len()), (1, 1));
    store.delete_key(text.id(), &admin(), at(8)).await.expect("removed");
    assert_eq!(store.key(text.id()).await, Ok(None));
    assert_eq!(store.delete_key(text.id(), &admin(), at(9)).await, Err(StoreError::NotFound(What::Key)));
}

async fn the_database_never_sees_a_key(db: Database) {
    let store = db.open().await;
    let text = KeyText::generate().expect("random");
    store.create_key(&new_key(&text), &admin(), at(5)).await.expect("made");
    let mut connection = db.connect().await;
    let row = sqlx::query("SELECT hash FROM api_keys").fetch_one(&mut connection).await.expect("a row");
    assert_eq!(row.get::<Vec<u8>, _>(0), text.hash());
    let secret = text.expose().rsplit('_').next().expect("has one");
    for row in
        sqlx::query("SELECT details FROM audit UNION ALL SELECT details FROM changes").fetch_all(&mut connection).await.expect("rows")
    {
        let details: String = row.get(0);
        assert!(details.contains(text.id()) && !details.contains(secret), "{details}");
    }
}

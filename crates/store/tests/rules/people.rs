//! What holds for a person everywhere: entitlement and revocation.

use parlor_proto::Entitlement;
use parlor_store::{Person, StoreError, What};

use crate::database::Database;
use crate::{admin, at, on_both, user};

on_both![an_entitlement_is_put_and_taken_back, revocation_never_goes_back];

async fn an_entitlement_is_put_and_taken_back(db: Database) {
    let store = db.open().await;
    let alice = user("alice");
    assert_eq!(store.entitlement(&alice).await, Ok(None));
    let missing = Err(StoreError::NotFound(What::Entitlement));
    assert_eq!(store.delete_entitlement(&alice, &admin(), at(1)).await, missing);
    for entitlement in [Entitlement { pro: true, expires_at: Some(at(50)) }, Entitlement::PRO, Entitlement::FREE] {
        store.put_entitlement(&alice, &entitlement, &admin(), at(2)).await.expect("put");
        assert_eq!(store.entitlement(&alice).await, Ok(Some(entitlement)));
    }
    assert_eq!(store.entitlement(&user("bob")).await, Ok(None));
    store.delete_entitlement(&alice, &admin(), at(3)).await.expect("removed");
    assert_eq!(store.entitlement(&alice).await, Ok(None));
    assert_eq!(store.delete_entitlement(&alice, &admin(), at(3)).await, missing);
}

async fn revocation_never_goes_back(db: Database) {
    let store = db.open().await;
    let alice = user("alice");
    store.put_entitlement(&alice, &Entitlement::PRO, &admin(), at(1)).await.expect("put");
    for (before, then) in [(10, 10), (5, 10), (20, 20)] {
        store.revoke(&alice, at(before), &admin(), at(30)).await.expect("revoked");
        let person = Person { entitlement: Some(Entitlement::PRO), revoked_before: Some(at(then)) };
        assert_eq!(store.person(&alice).await, Ok(person));
    }
    store.delete_entitlement(&alice, &admin(), at(31)).await.expect("removed");
    assert_eq!(store.person(&alice).await, Ok(Person { entitlement: None, revoked_before: Some(at(20)) }));
    assert_eq!(store.person(&user("bob")).await, Ok(Person::default()));
}
